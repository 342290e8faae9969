"""`make mutants`: change the sources a little, many times, and see whether their tests notice.

A random sample of mutants (benchmarks.mutation) is tried on the tests that run their lines (benchmarks.mutant_tests).
Results are kept in the store, so that what was interrupted goes on, and so that after a change only what it touches is
tried again. What packages there are, and which mutants nobody could tell from the original, is in mutants.toml.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
import tomllib
from multiprocessing.connection import wait
from pathlib import Path

from benchmarks import mutant_tests
from benchmarks.mutation import Mutant, mutants, sample, statement

ROOT = Path(__file__).parents[1]
EXAMPLE = """examples:
  python -m benchmarks.mutants                       the whole sample; again, to go on after an interruption
  python -m benchmarks.mutants --minutes 20          stop after a while
  python -m benchmarks.mutants --only monitor --jobs 2
"""


class Results:
    """What is known of each mutant, in a file of JSON lines; valid while source and tests are as they were."""

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        self.known = {row["key"]: row for row in map(json.loads, lines)}

    def find(self, mutant: Mutant, tests: list[str]) -> dict | None:
        """The result of a mutant if neither its file nor the test files that decided have changed since."""
        row = self.valid(mutant)
        # What survived once may be killed by a test that is new.
        return row if row and (row["result"] != "survived" or set(row["files"]) == _files(tests)) else None

    def valid(self, mutant: Mutant) -> dict | None:
        """The result of a mutant of the file as it is, judged by tests as they are."""
        row = self.known.get(_key(mutant))
        there = row is not None and all((ROOT / file).is_file() for file in row["files"])
        return row if there and row["digest"] == _digest([mutant.file, *row["files"]]) else None

    def add(self, mutant: Mutant, tests: list[str], result: dict) -> None:
        """Keep a result."""
        killer = result["by"].split("::")[0]
        files = [killer] if result["result"] == "killed" and (ROOT / killer).is_file() else sorted(_files(tests))
        row = {"key": _key(mutant), "digest": _digest([mutant.file, *files]), "files": files, **result}
        self.known[row["key"]] = row
        with self.path.open("a", encoding="utf-8") as file:
            print(json.dumps(row), file=file)


def _key(mutant: Mutant) -> str:
    return f"{mutant.file}:{mutant.operator}:{mutant.occurrence}"


def _files(tests: list[str]) -> set[str]:
    return {test.split("::")[0] for test in tests}


def _digest(files: list[str]) -> str:
    return hashlib.sha256(b"".join((ROOT / file).read_bytes() for file in files)).hexdigest()[:16]


def equivalent(settings: dict) -> set[tuple[str, str, str]]:
    """File and lines before and after of the mutants that nobody could notice; they are not tried."""
    return {(row["file"], row["before"], row["after"]) for row in settings.get("equivalent", [])}


def sources(row: dict) -> list[str]:
    """The files of a package, from the root of the checkout."""
    found = {str(path.relative_to(ROOT)) for pattern in row["sources"] for path in ROOT.glob(pattern)}
    return sorted(found - set(row.get("without", ())))


def plan(settings: dict, only: list[str]) -> dict[str, list[Mutant]]:
    """The sample of each package that has sources, by their shares.

    Raises:
        ValueError: an unknown package.
    """
    packages = settings["packages"]
    if unknown := set(only) - set(packages):
        raise ValueError(f"expected packages among {', '.join(packages)}, got {', '.join(sorted(unknown))}")
    files = {name: sources(row) for name, row in packages.items()}
    shares = {name: packages[name]["share"] for name in packages if files[name]}
    sizes = {name: round(settings["sample"] * share / sum(shares.values())) for name, share in shares.items()}
    return {
        name: sample(
            [m for file in files[name] for m in mutants(file, (ROOT / file).read_text("utf-8"))],
            size,
            settings["seed"],
        )
        for name, size in sizes.items()
        if not only or name in only
    }


def run(settings: dict, chosen: dict[str, list[Mutant]], results: Results, jobs: int, end: float) -> None:
    """Try all mutants whose result is not known, until ``end``."""
    mutant_tests.prepare()
    for name, drawn in chosen.items():
        row = settings["packages"][name]
        with tempfile.TemporaryDirectory() as folder:
            copies = [
                mutant_tests.copy_tree(Path(folder) / str(i))
                for i in range(jobs)
                if not (Path(folder) / str(i)).mkdir()
            ]
            print(f"{name}: which tests run which lines", flush=True)
            known = survey(copies[0], row, results.path.with_name("mutant-tests"))
            ahead = []
            for mutant in drawn:
                source = (ROOT / mutant.file).read_text("utf-8")
                tests = known.of(mutant.file, *statement(source, mutant.line))
                tests = known.quickest(known.seconds if row.get("all") else tests, settings["seconds"])
                listed = (mutant.file, *mutant.change(source)) in equivalent(settings)
                if not listed and results.find(mutant, tests) is None:
                    ahead.append((mutant, tests))
            print(f"{name}: {len(drawn) - len(ahead)} of {len(drawn)} mutants are known", flush=True)
            _try(ahead, known, copies, results, end)


def survey(copy: Path, row: dict, kept: Path) -> mutant_tests.Tests:
    """Which tests of a package run which of its lines; a file is run again when it or the sources have changed."""
    files = sorted(
        {f for t in row["tests"] for f in ((ROOT / t).rglob("test_*.py") if (ROOT / t).is_dir() else [ROOT / t])}
    )
    known = mutant_tests.Tests()
    kept.mkdir(parents=True, exist_ok=True)
    for name in (str(file.relative_to(ROOT)) for file in files):
        path = kept / f"{Path(name).stem}-{_digest([*sources(row), name])}.json"
        if not path.exists():
            path.write_text(json.dumps(vars(mutant_tests.survey(copy, sources(row), name))))
        found = mutant_tests.Tests(**json.loads(path.read_text()))
        known.seconds |= found.seconds
        known.lines |= found.lines
    return known


def _try(ahead: list[tuple[Mutant, list[str]]], known, copies: list[Path], results: Results, end: float) -> None:
    running: dict[int, tuple] = {}
    free, queue = list(copies), list(reversed(ahead))
    while queue or running:
        while queue and free and time.time() < end:
            copy, (mutant, tests) = free.pop(), queue.pop()
            changed = mutant.apply((ROOT / mutant.file).read_text("utf-8"))
            process, original = mutant_tests.start(copy, mutant.file, changed, {t: known.seconds[t] for t in tests})
            running[process.sentinel] = (copy, mutant, tests, process, original)
        if not running:
            return
        for sentinel in wait(list(running)):
            copy, mutant, tests, process, original = running.pop(sentinel)  # pyright: ignore
            result = mutant_tests.outcome(copy, mutant.file, process, original)
            results.add(mutant, tests, result)
            free.append(copy)
            print(f"{result['result']:8} {mutant.file}:{mutant.line} {result['by']}", flush=True)


def report(settings: dict, chosen: dict[str, list[Mutant]], results: Results) -> tuple[list[dict], list[str]]:
    """Rows of the table, and the survivors in words: of all that were drawn, ``mutants`` have been tried."""
    equal = equivalent(settings)
    rows, survivors = [], []
    for name, drawn in chosen.items():
        count = {"drawn": len(drawn), "mutants": 0, "killed": 0, "timeout": 0, "survived": 0, "equivalent": 0}
        for mutant in drawn:
            change = mutant.change((ROOT / mutant.file).read_text("utf-8"))
            result = {"result": "equivalent"} if (mutant.file, *change) in equal else results.valid(mutant)
            if result is None:
                continue
            count["mutants"] += 1
            count[result["result"]] += 1
            if result["result"] == "survived":
                survivors.append(f"{mutant.file}:{mutant.line}  {'  ->  '.join(change)}")
        rows.append({"package": name, **count})
    rows.append({"package": "all", **{key: sum(row[key] for row in rows) for key in rows[0] if key != "package"}})
    for row in rows:
        tellable = row["mutants"] - row["equivalent"]
        row["score"] = 1 - row["survived"] / tellable if tellable else ""
    return rows, sorted(survivors)


def main(arguments: list[str]) -> int:
    """Carry out the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="mutants at once (default: cores)"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="PACKAGE", help="only this package of mutants.toml"
    )
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no mutant after so long")
    parser.add_argument("--report", action="store_true", help="try nothing; table and survivors of what is known")
    options = parser.parse_args(arguments)
    settings = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text("utf-8"))
    results = Results(Path(os.environ.get("NLD_STORE") or ".nld").absolute() / "mutants.jsonl")
    try:
        chosen = plan(settings, options.only)
        if not options.report:
            run(settings, chosen, results, options.jobs, time.time() + 60 * options.minutes)
    except (ValueError, RuntimeError) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    from benchmarks.__main__ import keep, show  # only now: it imports what the tests must import from their copies

    rows, survivors = report(settings, chosen, results)
    print("\n".join(["", *survivors, "", show(rows)]))
    if options.only:
        print("not kept: these are not all packages")
    else:
        print(f"kept in {keep('mutants', rows).relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
