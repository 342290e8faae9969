"""One judging seed run again, here, beside the seeds that are kept: whether it lies where a further seed would."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import stats

from nld.errors import InvalidInput
from nld.figures.evidence import kept
from nld.inference import FIRST_JUDGING_SEED

ALPHA = 0.01  # chance that any of a figure's numbers is called outside although the seed is like the others


@dataclass(frozen=True)
class Repeated:
    """One per-seed number.

    Args:
        name: of the quantity, with its place along every dimension but the seeds.
        here: on this machine.
        kept: with the same seed, when it was kept; NaN if this seed was not.
        low, high: where a further seed lies, by the other kept ones: mean ± t s sqrt(1 + 1/n).
    """

    name: str
    here: float
    kept: float
    low: float
    high: float

    @property
    def inside(self) -> bool:
        """Whether the number lies where that of a further seed would, up to single precision."""
        room = 1e-6 * max(abs(self.low), abs(self.high))
        return self.low - room <= self.here <= self.high + room


def repeat(place: str, measure: Callable[[Sequence[int]], xr.Dataset], shift: int = 0) -> list[Repeated]:
    """Run the judging seed 10,000 + ``shift`` and compare each of its numbers with those of the other seeds.

    Raises:
        InvalidInput: fewer than three other seeds are kept.
    """
    seed = FIRST_JUDGING_SEED + shift
    before = kept(place, measure.__module__)
    others = before.sel(judging_seed=before["judging_seed"] != seed)
    if others.sizes["judging_seed"] < 3:
        raise InvalidInput(f"expected at least three other kept seeds in {place}, got {others.sizes['judging_seed']}")
    again = measure([seed]).isel(judging_seed=0)
    names = [name for name in again.data_vars if "judging_seed" in before[name].dims]
    count = sum(again[name].size for name in names)
    rows = []
    for name in names:
        here = again[name]
        stored = others[name].transpose("judging_seed", *here.dims)
        same = before[name].reindex(judging_seed=[seed]).transpose("judging_seed", *here.dims).values[0]
        for at in np.ndindex(here.shape):
            samples = stored.values[(slice(None), *at)]
            samples = samples[np.isfinite(samples)]
            n = len(samples)
            half = stats.t.ppf(1 - ALPHA / (2 * count), n - 1) * samples.std(ddof=1) * math.sqrt(1 + 1 / n)
            where = ", ".join(str(here[dim].values[i]) for dim, i in zip(here.dims, at, strict=True))
            mean = float(samples.mean())
            rows.append(Repeated(f"{name}: {where}", float(here.values[at]), float(same[at]), mean - half, mean + half))
    return rows
