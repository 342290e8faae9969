"""Which tests run a line of a package, and whether they notice when it changes.

Every test is run once under coverage. A mutant is then tried on the tests that run its line, the quickest first, in a
process forked from one that has imported torch and sympy already, and in a copy of the tree.
"""

import contextlib
import functools
import io
import itertools
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COPIED = ("nld", "tests", "book", "results", "pyproject.toml", "_toc.yml", "_config.yml", "CITATION.cff")
# Imported once, before any process is forked; nothing of ours, which each process imports from its own copy.
HEAVY = (
    "torch",
    "torch._dynamo",
    "torch.testing",
    "sympy",
    "scipy.optimize",
    "xarray",
    "h5netcdf",
    "hypothesis",
    "mpmath",
)
ARGUMENTS = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow and not browser and not slurm"]
PATIENCE = 20.0  # seconds for what has no duration of its own: starting, collecting
SLOWER = 10.0  # a mutant's test that takes so many times its usual time will not end


@dataclass
class Tests:
    """What is known of the tests of a package: seconds of each, and which lines of which file each one runs."""

    __test__ = False  # for pytest, which would collect a class of this name

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, dict[str, list[int]]] = field(default_factory=dict)  # test -> file -> lines

    def of(self, file: str, within: range, called: bool) -> list[str]:
        """The tests that run one of these lines, quickest first.

        Lines that run on import count as run by every test of the file, and by those of each test file that names it,
        for a test may look at constants alone. Where tests share a fixture, whichever came first has run the lines for
        all: the others of its file are taken too.
        """
        found = {
            test
            for test, files in self.lines.items()
            if file in files and (not called or not set(within).isdisjoint(files[file]))
        }
        texts = {name: (ROOT / name).read_text("utf-8") for name in {test.split("::")[0] for test in self.seconds}}
        running = {test.split("::")[0] for test in found}
        whole = {name for name in running if "scope=" in texts[name]}
        if not called:
            whole |= {name for name, text in texts.items() if re.search(rf"\b{Path(file).stem}\b", text)}
        found |= {test for test in self.seconds if test.split("::")[0] in whole}
        return self.quickest(found)

    def quickest(self, tests: Iterable[str], within: float = float("inf")) -> list[str]:
        """Tests by their time, as many as are through within so many seconds, and one at least.

        The quickest case of every test function comes first, then every second one: they tend to fail together.
        """
        cases: dict[str, list[str]] = {}
        for test in sorted(tests, key=lambda test: (self.seconds[test], test)):
            cases.setdefault(test.split("[")[0], []).append(test)
        turns = {test: turn for each in cases.values() for turn, test in enumerate(each)}
        ordered = sorted(turns, key=lambda test: (turns[test], self.seconds[test], test))
        ends = itertools.accumulate(self.seconds[test] for test in ordered)
        return [test for i, (test, end) in enumerate(zip(ordered, ends, strict=True)) if end <= within or i == 0]


class _Survey:
    """A pytest plugin: the lines and seconds of every test."""

    def __init__(self, coverage):
        self.coverage, self.seconds, self.failed = coverage, {}, set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        for each in _caches():  # what an earlier test has computed, this one shall compute again
            each.cache_clear()
        self.coverage.switch_context(item.nodeid)
        began = time.perf_counter()
        result = yield
        if item.nodeid not in self.failed:
            self.seconds[item.nodeid] = time.perf_counter() - began
        self.coverage.switch_context("")
        return result

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.add(report.nodeid)
            print(f"left out, since it fails under coverage: {report.nodeid}", file=sys.__stdout__, flush=True)


class _Chosen:
    """A pytest plugin: only these tests, in this order, each with a limit; it remembers the first that failed."""

    def __init__(self, seconds: dict[str, float]):
        self.seconds, self.failed, self.ran = seconds, "", 0

    def pytest_collection_modifyitems(self, items):
        known = {item.nodeid: item for item in items}
        items[:] = [known[name] for name in self.seconds if name in known]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        signal.setitimer(signal.ITIMER_REAL, PATIENCE + SLOWER * self.seconds[item.nodeid])
        self.ran += 1
        return (yield)

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed = self.failed or report.nodeid


def _caches():
    """Every functools.cache of our modules, but where compiled code is kept."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in ("nld", "tests") and "numba" not in Path(module.__file__ or os.devnull).read_text():
            yield from (v for v in vars(module).values() if isinstance(v, functools._lru_cache_wrapper))


def prepare() -> None:
    """Import what is slow to import."""
    os.environ["OMP_NUM_THREADS"] = "1"
    assert not any(name.split(".")[0] == "nld" for name in sys.modules), "nld must come from the copies"
    for name in HEAVY:
        with contextlib.suppress(ImportError):
            __import__(name)


def copy_tree(folder: Path) -> Path:
    """A copy of what the tests need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / name)
    return folder


def _pytest(copy: Path, arguments: list[str], plugin) -> int:
    """Run pytest on a copy, in this process; returns its exit status."""
    os.chdir(copy)
    sys.path[:] = [str(copy), *(entry for entry in sys.path if entry not in ("", str(ROOT)))]
    for name in [name for name in sys.modules if name.split(".")[0] == "benchmarks"]:
        del sys.modules[name]
    os.environ |= {"PYTHONPATH": str(copy), "NLD_STORE": str(copy / ".nld")}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return int(pytest.main(arguments, plugins=[plugin]))


def survey(copy: Path, sources: Iterable[str], test_file: str) -> Tests:
    """Run a file of tests once; the copy keeps the bytecode. A test that fails under coverage judges nothing."""

    def child():
        import coverage

        measured = coverage.Coverage(data_file=None, include=[str(copy / s) for s in sources], messages=False)
        measured.start()
        plugin = _Survey(measured)
        _pytest(copy, [*ARGUMENTS[1:], test_file], plugin)
        measured.stop()
        data, lines = measured.get_data(), {}
        for path in data.measured_files():
            for line, contexts in data.contexts_by_lineno(path).items():
                for test in plugin.seconds.keys() & set(contexts):
                    lines.setdefault(test, {}).setdefault(str(Path(path).relative_to(copy)), []).append(line)
        (copy / "survey.json").write_text(json.dumps({"seconds": plugin.seconds, "lines": lines}))
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    return Tests(**json.loads((copy / "survey.json").read_text()))


def start(copy: Path, file: str, changed: str, seconds: dict[str, float]):
    """Begin to try a changed file on tests; ``outcome`` says what came of it and puts the file back."""
    path = copy / file
    original = path.read_text("utf-8")
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
        compiled.unlink()
    path.write_text(changed, "utf-8")

    def child():
        os.setsid()
        sys.dont_write_bytecode = True
        if "numba" in original:  # numba knows changes of the file that it compiles, not of the constants of another
            os.environ["NUMBA_CACHE_DIR"] = str(copy / "numba")
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 2 * PATIENCE)
        plugin = _Chosen(seconds)
        files = list(dict.fromkeys(test.split("::")[0] for test in seconds))
        status = _pytest(copy, [*ARGUMENTS, *files], plugin)
        (copy / "outcome.json").write_text(json.dumps({"by": plugin.failed, "ran": plugin.ran}))
        os._exit(status)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    return process, original


def outcome(copy: Path, file: str, process, original: str) -> dict:
    """Wait for what ``start`` began: ``result`` "killed", "timeout" or "survived", and ``by`` which test."""
    process.join()
    with contextlib.suppress(ProcessLookupError):  # what a test has started must not outlive it
        os.killpg(process.pid, signal.SIGKILL)
    (copy / file).write_text(original, "utf-8")
    shutil.rmtree(copy / "numba", ignore_errors=True)
    report, status = copy / "outcome.json", process.exitcode
    said = json.loads(report.read_text()) if report.exists() else {"by": "", "ran": 0}
    report.unlink(missing_ok=True)
    if status == -signal.SIGALRM:
        return {"result": "timeout", "by": ""}
    if status == 0 and not said["ran"]:
        return {"result": "survived", "by": "no test"}
    return {"result": "killed" if status else "survived", "by": said["by"]}
