"""What differs between two records: runs, blocks, norms, effective rates, angles, residuals and findings."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from nld.errors import InvalidInput
from nld.monitor.diagnosis import findings
from nld.monitor.finding import recent, tolerance
from nld.monitor.monitor_record import require

TOLERANCE = 0.01  # relative difference that is none
RUN = ("model", "optimizer", "precision", "device", "output")  # attributes that say what was run
# Topic, quantity, whether its root is compared, and how it is called.
NUMBERS = (
    ("norms", "squared_norm", True, "norm"),
    ("rates", "effective_learning_rate", False, "effective learning rate"),
    ("angles", "angular_step", False, "angle a step"),
)


@dataclass(frozen=True)
class Difference:
    """One difference.

    Args:
        topic: "run", "blocks", "norms", "rates", "angles", "residuals" or "findings".
        block: the block it is about, or "" for all.
        text: the sentence.
    """

    topic: str
    block: str
    text: str


def differences(first: xr.Dataset, second: xr.Dataset, within: float = TOLERANCE) -> list[Difference]:
    """What differs between two records; numbers are means over units and the last tenth of the steps in common.

    Args:
        within: relative difference of numbers that is none.

    Raises:
        ValueError: one of them has no steps, or is no record of a monitor.
    """
    for record in (first, second):
        require(record)
        if record.sizes["step"] == 0:
            raise InvalidInput("expected two records of at least one step, got one of none; train with it attached")
    common, pair = np.intersect1d(first.step, second.step), (first, second)
    if len(common):
        pair = tuple(record.sel(step=common) for record in pair)
    found = [*_run(first, second), *_steps(first, second, len(common)), *_blocks(first, second)]
    names = [name for name in first.block.values if name in second.block.values]
    for topic, quantity, root, words in NUMBERS:
        values = [recent(record)[quantity].sel(block=names).mean(["step", "unit"]).values for record in pair]
        for name, a, b in zip(names, *(np.sqrt(value) if root else value for value in values), strict=True):
            if np.isnan(a) != np.isnan(b) or abs(a - b) > within * max(abs(a), abs(b)):
                found.append(Difference(topic, name, f"{name}: {words} {a:.4g}, {b:.4g} ({_change(a, b)})"))
    return [*found, *_residuals(pair, names), *_findings(first, second)]


def _change(a: float, b: float) -> str:
    return f"{(b - a) / a:+.1%}" if a else "from 0"


def _run(first: xr.Dataset, second: xr.Dataset) -> Iterator[Difference]:
    for name in RUN:
        a, b = (str(record.attrs.get(name, "")) for record in (first, second))
        if a != b:
            yield Difference("run", "", f"{name}: {a or 'not known'}, {b or 'not known'}")
    groups = [json.loads(record.attrs["hyperparameters"]) for record in (first, second)]
    if len(groups[0]) != len(groups[1]):
        yield Difference("run", "", f"parameter groups: {len(groups[0])}, {len(groups[1])}")
        return
    for number, (a, b) in enumerate(zip(*groups, strict=True)):
        where = f" of parameter group {number}" if len(groups[0]) > 1 else ""
        for key in sorted(a.keys() | b.keys()):
            if a.get(key) != b.get(key):
                yield Difference("run", "", f"{key}{where}: {a.get(key)}, {b.get(key)}")


def _steps(first: xr.Dataset, second: xr.Dataset, common: int) -> Iterator[Difference]:
    if common < max(first.sizes["step"], second.sizes["step"]):
        ends = (f"{r.sizes['step']} from {r.step.values[0]} to {r.step.values[-1]}" for r in (first, second))
        yield Difference("run", "", f"steps: {', '.join(ends)}; {common or 'none'} in common")


def _blocks(first: xr.Dataset, second: xr.Dataset) -> Iterator[Difference]:
    kinds = [{name: _kind(record, name) for name in record.block.values} for record in (first, second)]
    for name in dict.fromkeys([*kinds[0], *kinds[1]]):
        a, b = (kind.get(name, "not there") for kind in kinds)
        if a != b:
            yield Difference("blocks", name, f"{name}: {a}, {b}")


def _kind(record: xr.Dataset, name: str) -> str:
    row = record.sel(block=name)
    return f"{row.kind.values} of {int(row.units)} unit{'s' if int(row.units) != 1 else ''}"


def _residuals(pair, names: list[str]) -> Iterator[Difference]:
    """Blocks whose books balance in one of the records only."""
    worst = [record.relative_residual.sel(block=names).max(["step", "unit"]).values for record in pair]
    holds = [values <= tolerance(record) for values, record in zip(worst, pair, strict=True)]
    for name, a, b, same in zip(names, *worst, holds[0] == holds[1], strict=True):
        if not same:
            yield Difference("residuals", name, f"{name}: relative residual {a:.1e}, {b:.1e}")


def _findings(first: xr.Dataset, second: xr.Dataset) -> Iterator[Difference]:
    """Findings of one record whose topic and block have none in the other, or one that is judged otherwise."""
    told = [{(f.topic, f.block, f.good): f.text for f in findings(record)} for record in (first, second)]
    for which, ours, others in (("first", *told), ("second", *reversed(told))):
        for key, text in ours.items():
            if key not in others:
                yield Difference("findings", key[1], f"only in the {which}: {text}")
