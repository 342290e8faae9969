"""Per-seed numbers of the figure on widths: best rates, and powers of the width."""

import numpy as np
import xarray as xr

PLATEAU = slice(500, 800)  # steps at which angles are compared, the last at a constant rate
EARLY, LATE = slice(0, 8), slice(800, 1100)  # steps at which alignments are compared
MIDDLE = 2  # of the rates


def best_rate(losses: xr.DataArray) -> xr.DataArray:
    """The rate at the vertex of a parabola through the losses over the logarithm of the rate.

    Args:
        losses: with a dimension ``rate``.
    """
    fit = losses.assign_coords(rate=np.log2(losses["rate"].values)).polyfit("rate", 2).polyfit_coefficients
    return 2.0 ** (-fit.sel(degree=1, drop=True) / (2 * fit.sel(degree=2, drop=True)))


def power(values: xr.DataArray, over: str = "width") -> xr.DataArray:
    """Power of a dimension with which the values go: slope of a line through both logarithms."""
    logarithms = values.copy(data=np.log2(values.values)).assign_coords({over: np.log2(values[over].values)})
    return logarithms.polyfit(over, 1).polyfit_coefficients.sel(degree=1, drop=True)


def plateau_angle(data: xr.Dataset) -> xr.DataArray:
    """Angle per step at the largest rate, mean over the end of the plateau, (judging_seed, scheme, width)."""
    return data["judged_angle"].isel(rate=0).sel(look=PLATEAU).mean("look")


def alignment(data: xr.Dataset, looks: slice) -> xr.DataArray:
    """At the middle rate, mean over some looks, (judging_seed, scheme, width)."""
    return data["judged_alignment"].isel(rate=MIDDLE).sel(look=looks).mean("look")


def contrasts(data: xr.Dataset) -> dict[str, np.ndarray]:
    """What rules, one number a judging seed."""
    turning = power(plateau_angle(data))
    moving = power(best_rate(data["judged_loss"]))
    early, late = (power(alignment(data, looks)) for looks in (EARLY, LATE))
    carried = power(data["judged_norm"], "wanted")
    coupled, independent, held = (moving.sel(scheme=f"{name}").values for name in data["scheme"].values)
    return {
        "independent": turning.sel(scheme="independent decay").values,
        "coupled": turning.sel(scheme="coupled decay").values + 0.5,
        "rate, independent": coupled - independent,
        "rate, held": np.abs(coupled) - np.abs(held),
        "alignment": (early - late).sel(scheme="independent decay").values,
        "with": carried.sel(multiplied="with").values,
        "without": carried.sel(multiplied="without").values,
    }


def orders(data: xr.Dataset) -> np.ndarray:
    """Powers of the rate with which decay turns a held matrix, over the four smallest rates, one a rule."""
    small = data.isel(sphere_rate=slice(-4, None))
    return np.polyfit(np.log2(small["sphere_rate"]), np.log2(small["sphere_apart"].values.T), 1)[0]
