"""Figures computed again under other arithmetics, each in a fresh store, and what differs from the references.

Each arithmetic has processes of its own, since its settings must be there before any library is loaded.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nld.errors import InvalidInput
from nld.inference.verdict import REVERSED
from nld.results.arithmetic import named

GROUPS = 10  # in which the figures of an arithmetic are computed, one process each
# Threads that have nothing to do sleep. By default they spin, and two of them took three times the processor's time of
# one for the same small networks, and kept other processes from their cores.
_YIELDING = {"OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class Seen:
    """What `nld figure verify` said under one arithmetic.

    Args:
        arithmetic: its name in ``nld.results.arithmetic.NAMED``.
        fingerprint: of the bits of reference computations under it.
        status: exit status of the verification.
        figures: by name, the rows that ``nld figure verify --save`` writes.
        said: all that it printed.
    """

    arithmetic: str
    fingerprint: str
    status: int
    figures: dict[str, dict]
    said: str

    @property
    def good(self) -> bool:
        """Whether no number moved and no verdict was reversed."""
        return self.status == 0


def verify_under(
    arithmetics: Sequence[str], names: Sequence[str], root: Path, *, jobs: int = 2, show: Callable[[str], None] = print
) -> list[Seen]:
    """Compute figures under each arithmetic and compare them with the references in ``root``.

    Under other instructions the judging seeds are run there too.

    Args:
        names: of the figures.
        jobs: processes at a time; where each has several threads, these take turns.

    Raises:
        ValueError: no such arithmetic, or none that changes a bit on this processor.
    """
    environments = {name: named(name) for name in arithmetics}
    plain = _fingerprint({})
    prints = {name: _fingerprint(environment) for name, environment in environments.items()}
    same = [name for name, value in prints.items() if value == plain]
    if len(same) == len(prints):
        raise InvalidInput(
            f"expected an arithmetic that changes the bits of reference computations, got {', '.join(same)}, which do "
            "not on this processor: nothing would be tested"
        )
    for name in same:
        show(f"{name}: passed over, since this processor computes so anyway (fingerprint {plain})")

    # Small groups, so that no processor waits while another computes the last of them.
    groups = [list(names[first::GROUPS]) for first in range(min(GROUPS, len(names)))]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        parts = {name: [] for name in environments if name not in same}
        for name in parts:
            settings = {**environments[name], "NLD_EVIDENCE": _evidence(environments[name]), **_YIELDING}
            settings["NLD_STORE"] = f"{folder}/{name}"
            for number, group in enumerate(groups):
                report = Path(folder) / f"{name}-{number}.json"
                parts[name].append(pool.submit(_verified, group, root, report, settings))
        return [_joined(name, prints[name], [each.result() for each in found], show) for name, found in parts.items()]


def _verified(
    names: Sequence[str], root: Path, report: Path, environment: dict[str, str]
) -> tuple[int, dict[str, dict], str]:
    """Exit status, differences by figure and text of one process."""
    result = _run(
        environment, ["-m", "nld.cli", "figure", "verify", *names, "--root", str(root), "--save", str(report)]
    )
    found = json.loads(report.read_text("utf-8")) if report.exists() else {}
    return result.returncode, found, result.stdout


def _joined(
    name: str, fingerprint: str, parts: Sequence[tuple[int, dict[str, dict], str]], show: Callable[[str], None]
) -> Seen:
    """What all processes of one arithmetic said."""
    statuses, found, said = zip(*parts, strict=True)
    status = max(map(abs, statuses))  # one that was killed has a negative one
    show(f"{name}: {'differs' if status else 'agrees'}")
    # The words of those that failed last: the table shows the end.
    texts = [text for _, text in sorted(zip(map(abs, statuses), said, strict=True), key=lambda each: each[0])]
    return Seen(name, fingerprint, status, {k: v for rows in found for k, v in rows.items()}, "\n".join(texts))


def table(seen: Sequence[Seen]) -> str:
    """What differs, one line a figure and arithmetic that has anything to say; and counts of all."""
    lines = []
    for each in seen:
        moved = sum(len(rows["moved"]) for rows in each.figures.values())
        verdicts = [how for rows in each.figures.values() for how, _ in rows["verdicts"]]
        reversed_ = verdicts.count(REVERSED)
        lines.append(
            f"{each.arithmetic} ({each.fingerprint}): {len(each.figures)} figures, {moved} variables moved, "
            f"{reversed_} verdicts reversed, {len(verdicts) - reversed_} decided on one side only"
        )
        for name, rows in each.figures.items():
            lines += [f"    {name}: {row}" for row in rows["moved"]]
            lines += [f"    {name}: verdict {how}: {words}" for how, words in rows["verdicts"]]
        if each.status and not moved and not reversed_:
            lines += [f"    {line}" for line in each.said.splitlines()[-20:]]
    return "\n".join(lines)


def _evidence(environment: dict[str, str]) -> str:
    """Whether judging seeds are run: under other instructions; on more threads, where small networks are slow, not."""
    return "kept" if "NLD_THREADS" in environment else "live"


def _fingerprint(environment: dict[str, str]) -> str:
    result = _run(environment, ["-m", "nld.experiment.runs.fingerprint"])
    if result.returncode:
        raise InvalidInput(f"cannot compute under {environment}: {result.stdout.strip()}")
    return result.stdout.strip().splitlines()[-1]


def _run(environment: dict[str, str], arguments: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **environment}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
