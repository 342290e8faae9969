"""Forecasts from the first fifth of runs of a language model, and how far from them the runs end."""

import numpy as np
import xarray as xr

from nld.advice.forecast import forecast
from nld.experiment.studies.scheduled_language_model import RULES, SCHEDULES, STEPS, scale_record
from nld.figures.evidence import judged

EVIDENCE = "results/evidence/fig-forecast.nc"
KEPT_SEEDS, AT_ONCE = 8, 1  # a seed is six runs, a minute and a half
SEEN = STEPS // 5
LATE = STEPS // 20  # steps at the end over which angles and gradients are averaged: single ones scatter
POINTS = 60  # of the courses that are drawn
QUANTITIES = {"norm": "squared_norm", "angle": "angular_step", "gradient": "gradient_norm"}
DRAWN = "layers.0.attention.query.weight"  # whose first head's course is drawn


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """Kept judging seeds, or one seed if another is asked for; one size for both profiles."""
    return judged(EVIDENCE, measure, seed=seed, live=1)


def measure(seeds) -> xr.Dataset:
    """What rules: medians over units of relative errors at the end, shares inside their intervals; and one course."""
    rows = [
        xr.concat(
            [xr.concat([_run(rule, schedule, seed) for schedule in SCHEDULES], "schedule") for rule in RULES], "rule"
        )
        for seed in seeds
    ]
    data = xr.concat(rows, "judging_seed").transpose("judging_seed", "rule", "schedule", ...)
    return data.assign_coords(judging_seed=list(seeds), rule=list(RULES), schedule=list(SCHEDULES))


def _run(rule: str, schedule: str, seed: int) -> xr.Dataset:
    return compared(scale_record(rule, schedule, seed), rule, schedule)


def compared(record: xr.Dataset, rule: str, schedule: str) -> xr.Dataset:
    """A run with the forecasts from its first fifth, with sources that drift and with constant ones."""
    steps = record.sizes["step"]
    rates = [SCHEDULES[schedule](step, steps) for step in range(steps)]
    first = record.isel(step=slice(0, steps // 5))
    ahead, constant = (forecast(first, rates, steps, drift=drift) for drift in (True, False))
    record = record.assign(gradient_norm=np.sqrt(record.squared_gradient)).isel(block=(record.kind == "scale").values)
    errors, constant_errors, inside = [], [], []
    for name in QUANTITIES:
        measured = _end(record, name)
        known = np.isfinite(measured)
        low, high = _end(ahead, name, "_low"), _end(ahead, name, "_high")
        errors.append(np.nanmedian(np.abs(_end(ahead, name) / measured - 1)))
        constant_errors.append(np.nanmedian(np.abs(_end(constant, name) / measured - 1)))
        inside.append(((low < measured) & (measured < high))[known].mean())
    course = np.linspace(0, steps - 1, POINTS).astype(int)
    drawn = [str(name) for name in record.parameters.values].index(DRAWN)

    later = course[course >= ahead.step.values[0]]

    def norms(data: xr.Dataset, name: str) -> np.ndarray:
        values = data[name].isel(block=drawn, unit=0).sel(step=course if data is record else later).values
        return np.sqrt(values).astype("float32")

    return xr.Dataset(
        {
            "error": ("quantity", errors, {"units": "1"}),
            "constant_error": ("quantity", constant_errors, {"units": "1"}),
            "inside": ("quantity", inside, {"units": "1"}),
            "measured": ("step", norms(record, "squared_norm"), {"units": "w"}),
            "forecast": ("later", norms(ahead, "squared_norm"), {"units": "w"}),
            "forecast_low": ("later", norms(ahead, "squared_norm_low"), {"units": "w"}),
            "forecast_high": ("later", norms(ahead, "squared_norm_high"), {"units": "w"}),
            "constant": ("later", norms(constant, "squared_norm"), {"units": "w"}),
        },
        {"quantity": list(QUANTITIES), "step": course, "later": later},
    )


def _end(data: xr.Dataset, name: str, suffix: str = "") -> np.ndarray:
    """The norm after the last step, or the root mean square of the last ``LATE`` steps, of every unit, (units,)."""
    values = data[QUANTITIES[name] + suffix]
    if name == "norm":
        return np.sqrt(values.isel(step=-1).values.ravel())
    return np.sqrt((values.isel(step=slice(-LATE, None)) ** 2).mean("step").values.ravel())
