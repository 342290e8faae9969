"""Numbers for the caption, the verdicts and the prose about the figure of noise on orbits."""

import numpy as np
import xarray as xr

from nld.figures._render.text import at_most, number, power_above

EARLY, MIDDLE, LATE = 3.0, 12.0, 24.0  # eta^2 N


def late_values(data: xr.Dataset, rate: float) -> xr.DataArray:
    """Singular values of U averaged from eta^2 N = 12 to 24."""
    values = data["values"].sel(pair_rate=rate)
    weight = data["pair_time"].diff("pair_time")
    return values.where(data["pair_time"] > MIDDLE, drop=True).weighted(weight).mean("pair_time")


def start_gap(data: xr.Dataset, values: xr.DataArray) -> np.ndarray:
    """Largest relative difference between the singular values of two starts, one a seed."""
    first, second = values.isel(start=0), values.isel(start=1)
    return (abs(first - second) / ((first + second) / 2)).max("mode").values


def resting_gap(data: xr.Dataset, rate: float) -> np.ndarray:
    """Largest relative difference between late singular values and those of the optimum, one a seed."""
    return abs(late_values(data, rate) / data["resting_values"] - 1).max(["mode", "start"]).values


def imbalances(data: xr.Dataset) -> dict[str, np.ndarray]:
    """Of averages up to early and late times, mean over starts, one a seed; and that of gradient descent."""
    shown = data["imbalance"].isel(pair_rate=0).mean("start")
    return {
        "early": shown.sel(pair_time=EARLY).values,
        "late": shown.sel(pair_time=LATE).values,
        "descent": data["descent_imbalance"].sel(pair_time=LATE).mean("start").values,
    }


def distances(data: xr.Dataset) -> dict[str, np.ndarray]:
    """Mean |s*| at the start, and averaged over the second half of training, one a seed."""
    distance, half = data["distance"], float(data["relu_time"][-1]) / 2
    late = distance.where(data["relu_time"] >= half, drop=True).mean("relu_time")
    start = distance.isel(relu_time=0, relu_method=0).values
    return {"start": start, "late": late.isel(relu_method=0).values, "descent": late.isel(relu_method=1).values}


def norm_errors(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Relative errors of |q|^4, one a seed: without decay at the end, with decay averaged late, the larger of two."""
    law = data["fourth_power_law"].isel(norm_step=-1).values
    grown = data["fourth_power"].isel(norm_step=-1, norm_case=0).values
    late = data["fourth_power_late"].values[:, 1:]
    return np.abs(grown / law[0] - 1), np.abs(late / law[1:] - 1).max(1)


def spread(values: np.ndarray, form: str = ".2f") -> str:
    """Median, and from smallest to largest."""
    middle, low, high = (number(of(values), form) for of in (np.median, np.min, np.max))
    return f"{middle} ({low} to {high})"


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    balance, distance = imbalances(data), distances(data)
    slow, fast = (resting_gap(data, float(rate)) for rate in data["pair_rate"])
    grown, rested = norm_errors(data)
    fourth, law = data["fourth_power"].isel(norm_step=-1).mean("judging_seed"), data["fourth_power_law"]
    ends = data["valley"].isel(valley_step=-1).transpose("method", "run", "weight").values
    tilt = np.abs(np.log(np.abs(ends[..., 0] / ends[..., 1])))
    gd_gap = start_gap(data, data["descent_values"].isel(pair_time=-1))
    rates = float(data["charge_rate"]), float(data["charge_rate_at_minimum"]), float(data["charge_rate_measured"])
    return {
        "seeds": str(data.sizes["judging_seed"]),
        "law-error": power_above(data["law_error"].max()),
        "rate": f"{1e4 * rates[0]:.2f}",
        "rate-minimum": f"{1e4 * rates[1]:.2f}",
        "rate-off": at_most(100 * abs(rates[0] / rates[2] - 1)),
        "rate-excess": f"{100 * (rates[0] / rates[1] - 1):.0f}",
        "tilt-sgd": at_most(tilt[0].max()),
        "tilt-descent": f"{tilt[2].min():.2f}",
        "early": spread(balance["early"]),
        "late": spread(balance["late"]),
        "descent": spread(balance["descent"]),
        "telescoped": power_above(data["telescoped"].max()),
        "rates-differ": at_most(
            100
            * abs(data["imbalance"].isel(pair_rate=1) / data["imbalance"].isel(pair_rate=0) - 1)
            .where(data["pair_time"] >= EARLY)
            .max()
        ),
        "norms": spread(data["norm_imbalance"].sel(pair_time=LATE).values),
        "start-gap": at_most(100 * start_gap(data, late_values(data, float(data["pair_rate"][0]))).max()),
        "descent-gap": f"{100 * gd_gap.min():.0f}",
        "resting-gap": at_most(100 * slow.max()),
        "resting-mean": f"{100 * slow.mean():.1f}",
        "resting-mean-fast": f"{100 * fast.mean():.1f}",
        "pair-rates": " and ".join(f"{rate:g}" for rate in data["pair_rate"].values),
        "distance-start": spread(distance["start"]),
        "distance-late": spread(distance["late"]),
        "distance-descent": spread(distance["descent"]),
        "curve-error": power_above(data["curve_error"]),
        "source-left": power_above(data["source_left"]),
        "loss-moved": power_above(data["loss_moved"]),
        "norm-error": power_above(data["norm_law_error"]),
        "grown": f"{float(fourth[0]):.0f}",
        "grown-law": f"{float(law[-1, 0]):.0f}",
        "grown-off": at_most(100 * grown.max()),
        "rested": " and ".join(f"{float(x):.1f}" for x in fourth[1:]),
        "rested-law": f"{float(law[-1, 1]):.1f}",
        "rested-off": at_most(100 * rested.max()),
    }
