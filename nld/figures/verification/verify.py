"""The drift guard: a figure's data against its stored reference, which holds the data of several arithmetics.

What theory decides is compared as numbers, to ``DEFAULT``. What training decides is compared as far as training
repeats itself, and how far that is was measured: the reference holds the same seeds on several processors' arithmetics,
one of them a *rounding twin*, whose start is moved by one unit in the last place. Where they differ little, numbers are
compared, to ten times that; where a run amplifies the last bit, there or here, means over seeds are, by their
intervals; and where there is one run only, its means over tenths of the run. Variables that *are* rounding errors,
which a module lists as ``ROUNDING``, may grow tenfold.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import xarray as xr
from scipy import stats

from nld.errors import InvalidInput
from nld.figures.verification.reference import distance
from nld.inference.verdict import SAME, Verdict, compare

DEFAULT = 1e-6
FACTOR = 10  # times the spread between arithmetics, as long as that is
LARGEST = 0.05  # of the variable's range; beyond, a variable is compared in means
LEVEL = 0.01  # chance that the intervals of a variable that did not move disagree anywhere
JUDGING = "judging_seed"  # which seeds these are, and how many, may differ
SEEDS = (JUDGING, "seed", "member")  # dimensions along which runs differ by their seed alone
BLOCKS = 10


@dataclass(frozen=True)
class Moved:
    """One variable of a figure against its reference.

    Args:
        variable: name in the figure's data.
        difference: how far it is, in units of what is allowed by ``how``; infinite where shapes differ, or what is not
            finite (nan, or one of the infinities) differs.
        allowed: what is allowed, over the range of the variable; of intervals, in standard errors.
        how: "words", "numbers", "rounding", "intervals over seeds" or "means over tenths".
    """

    variable: str
    difference: float
    allowed: float
    how: str

    @property
    def holds(self) -> bool:
        return self.difference <= self.allowed


def reference_path(root: Path, name: str) -> Path:
    """Where the reference data of a figure lie."""
    return root / "results" / "reference" / f"{name}.nc"


def compare_with_reference(module: ModuleType, data: xr.Dataset, reference: xr.Dataset) -> list[Moved]:
    """Every variable and coordinate of data and reference.

    Args:
        reference: as ``nld.figures.verification.reference.joined`` makes it.

    Raises:
        ValueError: the module calls a variable rounding that is not there.
    """
    names = [str(n) for n in dict.fromkeys([*reference.variables, *data.variables]) if n not in ("arithmetic", JUDGING)]
    rounding = getattr(module, "ROUNDING", ())
    if unknown := sorted(set(rounding) - set(names)):
        raise InvalidInput(f"expected {module.__name__}.ROUNDING to name variables among {names}, got {unknown}")
    return [_compared(data, reference, name, name in rounding) for name in names]


def moved_verdicts(module: ModuleType, data: xr.Dataset, reference: xr.Dataset) -> list[tuple[str, str]]:
    """Claims on which data and reference are ruled differently: how, as ``inference.verdict.compare`` says, and words.

    The guard of what a figure concludes. A reference of other variables or dimensions has moved already, and the rule
    of today need not be able to read it.
    """
    judge = getattr(module, "judge", None)
    first = reference.isel(arithmetic=0, drop=True) if "arithmetic" in reference.dims else reference
    forms = [{name: variable.dims for name, variable in each.variables.items()} for each in (data, first)]
    if judge is None or forms[0] != forms[1]:
        return []
    now, before = ({(v.claim, v.scale): v for v in judge(each)} for each in (data, first))
    found = []
    for claim in dict.fromkeys([*before, *now]):
        missing = Verdict(claim[0], "not yet tested at this scale", "")
        old, new = before.get(claim, missing), now.get(claim, missing)
        if (how := compare(old, new)) != SAME:
            found.append((how, f"{claim[0]} ({claim[1]}): {old.label} -> {new.label}"))
    return found


def _compared(data: xr.Dataset, reference: xr.Dataset, name: str, rounding: bool) -> Moved:
    if name not in data or name not in reference:
        return Moved(name, np.inf, 0.0, "numbers")
    new, kept = data[name], reference[name]
    several = "arithmetic" in kept.dims
    rows = kept.transpose("arithmetic", ...) if several else kept.expand_dims("arithmetic")
    if not np.issubdtype(kept.dtype, np.number):
        return Moved(name, distance(new.values, rows.values[0]), 0.0, "words")
    if rounding:
        return _rounding(name, new.values.astype(float), rows.values.astype(float))
    seeds = next((d for d in SEEDS if d in new.dims), None)
    if seeds == JUDGING and set(new.dims) == set(rows.dims[1:]):
        same = new.shape == rows.shape[1:] and distance(new.values, rows.values[0]) <= DEFAULT
        if not same:  # other judging seeds, more of them, or another processor's
            return _intervals(name, new, rows, str(seeds))
    if new.shape != rows.shape[1:]:
        return Moved(name, np.inf, 0.0, "numbers")
    values, stored = new.values.astype(float), rows.values.astype(float)
    spread = max([distance(row, stored[0]) for row in stored[1:]], default=float(kept.attrs.get("spread", 0.0)))
    along = seeds or (new["seed"].dims[0] if "seed" in new.coords and new["seed"].ndim else None)
    along = None if name in data.coords else along  # a coordinate is what it is
    if np.isfinite(spread) and FACTOR * spread <= LARGEST:
        moved = Moved(name, distance(values, stored[0]), max(DEFAULT, FACTOR * spread), "numbers")
        if moved.holds or along is None:
            return moved  # else a run that the reference's arithmetics left alone may have been amplified here
    if along is not None:
        return _intervals(name, new, rows, str(along))
    return _tenths(name, values, stored)


def _rounding(name: str, new: np.ndarray, stored: np.ndarray) -> Moved:
    if new.shape != stored.shape[1:]:
        return Moved(name, np.inf, 0.0, "rounding")
    largest = max(float(np.nanmax(np.abs(stored), initial=0.0)), 1e-300)
    return Moved(name, float(np.nanmax(np.abs(new), initial=0.0)) / largest, float(FACTOR), "rounding")


def _intervals(name: str, new: xr.DataArray, rows: xr.DataArray, dimension: str) -> Moved:
    """Student's two-sample test of the means over seeds, element by element, Bonferroni over the elements."""
    pairs = list(_samples(new, rows, dimension))
    worst, allowed = 0.0, 1.0
    for one, other in pairs:
        n, m = len(one), len(other)
        if n + m < 3 or not n or not m:
            continue
        squares = one.var() * n + other.var() * m
        floor = (DEFAULT * max(np.abs(other).max(), 1e-300)) ** 2
        error = np.sqrt(max(squares / (n + m - 2), floor) * (1 / n + 1 / m))
        bound = stats.t.ppf(1 - LEVEL / 2 / len(pairs), n + m - 2)
        distance = abs(one.mean() - other.mean()) / error
        if distance / bound > worst / allowed:
            worst, allowed = float(distance), float(bound)
    return Moved(name, worst, allowed, "intervals over seeds")


def _samples(new: xr.DataArray, rows: xr.DataArray, dimension: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Finite samples over seeds of data and of all reference rows, for every element beside."""
    if dimension == "run":  # a table of runs: those that differ by their seed alone belong together
        labels = [c for c in new.coords if new[c].dims == ("run",) and c not in ("seed", "key")]
        groups: dict[tuple, list[int]] = {}
        for index, key in enumerate(zip(*(new[label].values for label in labels), strict=True)):
            groups.setdefault(key, []).append(index)
        parts = [(new.isel(run=at), rows.isel(run=at)) for at in groups.values()]
    else:
        parts = [(new, rows)]
    for one, other in parts:
        a = one.transpose(dimension, ...).values.astype(float)
        b = other.transpose("arithmetic", dimension, ...).values.astype(float)
        a, b = a.reshape(len(a), -1), b.reshape(b.shape[0] * b.shape[1], -1)
        for x, y in zip(a.T, b.T, strict=True):
            yield x[np.isfinite(x)], y[np.isfinite(y)]


def _tenths(name: str, new: np.ndarray, stored: np.ndarray) -> Moved:
    """Means over tenths of the longest axis, as numbers; at most half the range may be allowed."""
    axis = int(np.argmax(new.shape)) if new.ndim else 0

    def means(values: np.ndarray) -> np.ndarray:
        if not values.ndim:
            return values
        parts = np.array_split(values, min(BLOCKS, values.shape[axis]), axis)
        return np.stack([part.mean(axis) for part in parts])

    rows = [means(row) for row in stored]
    spread = max(distance(row, rows[0]) for row in rows[1:])
    return Moved(name, distance(means(new), rows[0]), min(max(DEFAULT, FACTOR * spread), 0.5), "means over tenths")
