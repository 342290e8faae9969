"""What fig-rising-gradients draws of one seed: norms in the course of training, and forecasts of them."""

import numpy as np
import xarray as xr

from nld.advice import forecast
from nld.figures._data.rising_runs import (
    CORRECTED,
    DIGITS,
    LANGUAGE,
    LEARNED,
    SEEN,
    STEPS,
    Setting,
    rates,
    train_digits,
    train_language,
)

BIN = 20  # steps that one point is the mean of


def drawn(seed: int) -> xr.Dataset:
    """Courses of one seed of both networks under the stable schedule, and what is forecast before the rate falls."""
    trained = {"language": (train_language, LANGUAGE), "digits": (train_digits, DIGITS)}
    parts = []
    for network, (train, setting) in trained.items():
        runs = [train(seed, "stable", each, watched=each == "nothing") for each in CORRECTED[:2]]
        course = np.stack([hidden_course(run.course) for run in runs])
        dims = ("drawn_corrected", "norm", "bin")
        parts.append(xr.Dataset({f"{network}_course": (dims, course)}))
        parts.append(_ahead(network, runs[0].record, setting))
    learned = hidden_course(train_digits(seed, "stable", fresh=False, setting=LEARNED).course)
    coordinates = {"drawn_corrected": list(CORRECTED[:2]), "norm": ["gradient", "weight"], "bin": _bins(0)}
    return xr.merge(parts).assign(learned_course=(("norm", "bin"), learned)).assign_coords(coordinates)


def hidden_course(course: xr.Dataset) -> np.ndarray:
    """Norms of the gradient and of the weights of all scale-symmetric parts, geometric means in bins, (2, bins)."""
    parts = [part for part in course["part"].values if part != "others"]
    squares = [(course[name].sel(part=parts) ** 2).sum("part").values for name in ("gradient_norm", "weight_norm")]
    return np.exp(0.5 * np.log(squares).reshape(2, -1, BIN).mean(-1))


def _ahead(network: str, record: xr.Dataset, setting: Setting) -> xr.Dataset:
    """The forecast of the same norms with its interval, and the norm at which decay would hold the weights."""
    seen = round(SEEN["stable"] * STEPS)
    foreseen = forecast(record.isel(step=slice(seen)), rates("stable", setting), STEPS)

    def of_all(name: str, power: int) -> np.ndarray:
        squares = foreseen[name].mean("unit") ** power * foreseen.units
        return np.sqrt(squares.sum("block").values.reshape(-1, BIN).mean(-1))

    values = [[of_all(f"{name}{end}", power) for end in ("", "_low", "_high")]
              for name, power in (("gradient_norm", 2), ("squared_norm", 1))]  # fmt: skip
    still = of_all("equilibrium_squared_norm", 1)
    return xr.Dataset(
        {
            f"{network}_ahead": (("norm", "end", "bin_ahead"), values),
            f"{network}_still": ("bin_ahead", still, {"units": "w"}),
        },
        coords={"end": ["forecast", "low", "high"], "bin_ahead": _bins(seen)},
    )


def _bins(first: int) -> np.ndarray:
    """Middles of the bins from a step on."""
    return np.arange(first, STEPS, BIN) + BIN / 2
