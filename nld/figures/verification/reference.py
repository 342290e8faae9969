"""Reference data of a figure, of several arithmetics: what `nld figure verify` compares with."""

from pathlib import Path

import numpy as np
import xarray as xr

from nld.errors import InvalidInput

# Of the range: variables that differ less between arithmetics are held once, with the attribute "spread", how much they
# do; training does not amplify rounding in them, and they are compared as numbers.
NEAR = 1e-4


def joined(reference: xr.Dataset | None, data: xr.Dataset, arithmetic: str) -> xr.Dataset:
    """The reference with one more arithmetic, or with its data of that name replaced; the first one leads.

    Variables that all arithmetics share to ``NEAR`` are held once, others along ``arithmetic``.

    Raises:
        ValueError: the data have other variables, dimensions or sizes than the reference.
    """
    parts = {} if reference is None else split(reference)
    for name, other in parts.items():
        forms = [{n: (v.dims, v.shape) for n, v in each.variables.items()} for each in (other, data)]
        if forms[0] != forms[1]:
            changed = sorted({str(n) for n in forms[0].keys() | forms[1].keys() if forms[0].get(n) != forms[1].get(n)})
            raise InvalidInput(
                f"expected data of the form of the reference on {name}, got other {', '.join(changed)}; store a new "
                "reference first"
            )
    parts[arithmetic] = data
    first, *others = parts.values()
    spreads = {n: max([*(distance(each[n].values, first[n].values) for each in others), _known(reference, n)])
               for n in first.data_vars}  # fmt: skip
    shared = [n for n, x in spreads.items() if x <= NEAR]
    apart = [each.drop_vars(shared) for each in parts.values()]
    labels = xr.DataArray(list(parts), dims="arithmetic", name="arithmetic")
    stacked = xr.concat(apart, labels, combine_attrs="override", coords="minimal", compat="override", join="override")
    once = {n: first[n].assign_attrs({"spread": spreads[n]} if spreads[n] else {}) for n in shared}
    return stacked.assign(once).assign_attrs(first.attrs)


def split(reference: xr.Dataset) -> dict[str, xr.Dataset]:
    """The data by arithmetic."""
    if "arithmetic" not in reference.dims:
        return {"": reference}
    names = [str(name) for name in reference["arithmetic"].values]
    return {name: reference.isel(arithmetic=i, drop=True) for i, name in enumerate(names)}


def write(reference: xr.Dataset, path: Path) -> None:
    """Write a reference with half the digits, whose rounding of 6e-8 no comparison is fine enough to see."""
    packed = {"zlib": True, "complevel": 9, "shuffle": True}
    encoding = {
        name: {**packed, "dtype": "float32"} if variable.dtype.kind == "f" else packed
        for name, variable in reference.data_vars.items()
        if variable.ndim and variable.dtype.kind in "fiub"
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    reference.to_netcdf(path, engine="h5netcdf", encoding=encoding)


def _known(reference: xr.Dataset | None, name) -> float:
    """The spread of a variable that a reference holds once."""
    return float(reference[name].attrs.get("spread", 0.0)) if reference is not None and name in reference else 0.0


def distance(new: np.ndarray, old: np.ndarray) -> float:
    """Largest absolute difference over the largest absolute old value; infinite where finite and not finite meet.

    Values that are no numbers are at 0 if they are equal, and else infinitely far.
    """
    if not np.issubdtype(old.dtype, np.number):
        return 0.0 if np.array_equal(new, old) else np.inf
    finite = np.isfinite(old)
    if not np.array_equal(np.isfinite(new), finite) or not np.array_equal(new[~finite], old[~finite], equal_nan=True):
        return np.inf
    largest = np.abs(old[finite]).max(initial=0.0) or 1.0
    return float(np.abs(new[finite] - old[finite]).max(initial=0.0) / largest)
