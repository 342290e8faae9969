"""One sentence about a record, and what all of them ask of it: its last part, its precision, what moved."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import xarray as xr

# Relative residual above which a symmetry does not hold as it should, by the precision that computed the gradient.
TOLERANCE = {"float64": 1e-10, "float32": 1e-4, "bfloat16": 5e-2, "float16": 1e-2}

Recorded = TypeVar("Recorded", xr.Dataset, xr.DataArray)


@dataclass(frozen=True)
class Finding:
    """One sentence about a record.

    Args:
        topic: "weights", "books", "metric", "equilibrium", "rate", "decay", "balance", "gradient" or "power".
        block: the block it is about, or "" for all.
        good: whether nothing needs attention.
        text: the sentence.
    """

    topic: str
    block: str
    good: bool
    text: str


def recent(record: Recorded, share: float = 0.1) -> Recorded:
    """The last part of a record, at least ten steps if there are as many."""
    steps = record.sizes["step"]
    return record.isel(step=slice(max(steps - max(int(share * steps), 10), 0), None))


def tolerance(record: xr.Dataset) -> float:
    """Relative residual that the precision of weights and gradients allows."""
    return max(TOLERANCE.get(name, 1e-4) for name in precisions(record))


def precisions(record: xr.Dataset) -> list[str]:
    """Those of the weights, and what computed the gradient where that is coarser, as under autocast."""
    coarse = record.attrs.get("gradient_precision")
    return record.attrs["precision"].split(", ") + ([coarse] if coarse else [])


def followed(record: xr.Dataset) -> np.ndarray:
    """Whether a block had a gradient or moved at any step, (block,): the books of others are empty."""
    return ((record.squared_gradient > 0) | (record.squared_step > 0)).any(["step", "unit"]).values


def count(number: float) -> str:
    """A number of steps with two digits that mean something: 31,000."""
    digits = max(int(np.floor(np.log10(max(number, 1)))) - 1, 0)
    return f"{round(number / 10**digits) * 10**digits:,}"


def listed(names: Sequence[str]) -> str:
    """Names of blocks, at most three of them, and how many more."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def together(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings, but one in the place of more than three that say the same of different blocks."""
    alike: dict[tuple[str, bool, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        alike[finding.topic, finding.good, finding.text.removeprefix(finding.block)].append(finding)
    for (topic, good, rest), several in alike.items():
        if len(several) <= 3:
            yield from several
        else:
            yield Finding(topic, "", good, f"Each of {listed([finding.block for finding in several])}{rest}")
