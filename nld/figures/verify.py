"""The numeric drift guard: a figure's data against its stored reference, under declared tolerances.

A figure's module may declare ``TOLERANCE = {variable: relative tolerance}``; what it does not
name must agree to ``DEFAULT``. Differences are measured against the largest value of the variable.
"""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import xarray as xr

DEFAULT = 1e-6


@dataclass(frozen=True)
class Moved:
    """One variable of a figure against its reference.

    Args:
        variable: name in the figure's data.
        difference: largest absolute difference over the largest absolute reference value; infinite
            where shapes differ, or what is not finite (nan, or one of the infinities) differs.
        tolerance: what is allowed.
    """

    variable: str
    difference: float
    tolerance: float

    @property
    def holds(self) -> bool:
        return self.difference <= self.tolerance


def reference_path(root: Path, name: str) -> Path:
    """Where the reference data of a figure lie."""
    return root / "results" / "reference" / f"{name}.nc"


def compare_with_reference(module: ModuleType, data: xr.Dataset, reference: xr.Dataset) -> list[Moved]:
    """Every variable and coordinate of data and reference, the declared tolerance beside the difference.

    Raises:
        ValueError: the module declares the tolerance of a variable that is not there.
    """
    tolerances = getattr(module, "TOLERANCE", {})
    names = [str(name) for name in dict.fromkeys([*reference.variables, *data.variables])]
    unknown = sorted(set(tolerances) - set(names))
    if unknown:
        raise ValueError(f"expected {module.__name__}.TOLERANCE to name variables among {names}, got {unknown}")
    return [Moved(name, _difference(data, reference, name), tolerances.get(name, DEFAULT)) for name in names]


def moved_verdicts(module: ModuleType, data: xr.Dataset, reference: xr.Dataset) -> list[str]:
    """Claims on which data and reference are ruled differently, in words.

    The guard of what a figure concludes, where training is chaotic and numbers alone may move far. A reference
    of other variables or dimensions has moved already, and the rule of today need not be able to read it.
    """
    judge = getattr(module, "judge", None)
    forms = [{name: variable.dims for name, variable in each.variables.items()} for each in (data, reference)]
    if judge is None or forms[0] != forms[1]:
        return []
    now, before = ({verdict.claim: verdict.label for verdict in judge(each)} for each in (data, reference))
    claims = dict.fromkeys([*before, *now])
    return [f"{name}: {before.get(name)} -> {now.get(name)}" for name in claims if before.get(name) != now.get(name)]


def _difference(data: xr.Dataset, reference: xr.Dataset, name: str) -> float:
    if name not in data or name not in reference or data[name].shape != reference[name].shape:
        return np.inf
    new, old = data[name].values, reference[name].values
    if not np.issubdtype(old.dtype, np.number):
        return 0.0 if np.array_equal(new, old) else np.inf
    new, old = new.astype(float), old.astype(float)
    finite = np.isfinite(old)
    if not np.array_equal(np.isfinite(new), finite) or not np.array_equal(new[~finite], old[~finite], equal_nan=True):
        return np.inf
    if not finite.any():
        return 0.0
    largest = np.abs(old[finite]).max() or 1.0
    return float(np.abs(new[finite] - old[finite]).max() / largest)
