"""A page within a page: the measured runs of fig-grid, chosen by learning rate, momentum and weight decay.

`show` draws the default setting here and puts all runs into the page as numbers; the classic script
`book/_static/explorable-grid.js` redraws the picture when another setting is chosen. Nothing is interpolated: each
choice is one pair of runs. Without scripts the default setting stays, and its choice is shown as it is.
"""

import json
import math

import numpy as np
import xarray as xr
from IPython.display import HTML

from nld.figures._data.experiment_table import MODES
from nld.figures._data.run_grid import DEFAULT, GUESSING
from nld.publish.explorables.explorable import short
from nld.publish.rendering import render

FIELDS = {
    "learning_rate": ("learning rate η", "w²/ℓ"),
    "momentum": ("momentum β", ""),
    "weight_decay": ("weight decay k", "ℓ/w²"),
}
PLOTS = {
    "test_loss": "Test loss [ℓ]",
    "squared_norm": "Squared norm r² [w²]",
    "effective_rate": "Effective learning rate [1/ℓ]",
}
# What the table shows at the end of training: heading, and what multiplies the number.
COLUMNS = {
    "test_loss": ("test loss [ℓ]", 1),
    "test_accuracy": ("accuracy [%]", 100),
    "squared_norm": ("r² [w²]", 1),
    "effective_rate": ("effective rate [1/ℓ]", 1),
}
FRAME = {"left": 34, "top": 8, "width": 176, "height": 130}
READOUT = (
    "{setting}: the test loss after {steps} steps is {unconstrained} ℓ unconstrained and {constrained} ℓ constrained."
)
DIGITS = 6  # of the numbers in the page


def show(data: xr.Dataset) -> HTML:
    """The runs of fig-grid as an explorable; opens at the setting `DEFAULT`."""
    axes = {name: _ends(data[name].values) for name in PLOTS}  # of all settings, so that pictures compare
    chosen = data.sel(DEFAULT)
    steps = int(data["step"][-1])
    setting = ", ".join(
        f"{symbol.split()[-1]} = {short(DEFAULT[name])} {unit}".strip() for name, (symbol, unit) in FIELDS.items()
    )
    losses = {mode: short(chosen["test_loss"].values[n, -1]) for n, mode in enumerate(MODES)}
    readout = READOUT.format(setting=setting, steps=steps, **losses)
    return HTML(
        render(
            "explorable_grid.html",
            choices=[_choice(name, data[name].values) for name in FIELDS],
            plots=[_plot(name, chosen[name], axes[name]) for name in PLOTS],
            frame=FRAME,
            steps=steps,
            setting=setting,
            headings=[heading for heading, _ in COLUMNS.values()],
            rows={mode: _last(chosen, number) for number, mode in enumerate(MODES)},
            readout=readout,
            data=_data(data, axes),
        )
    )


def _data(data: xr.Dataset, axes: dict[str, tuple[float, float]]) -> str:
    """All runs as JSON: values by quantity, nested as mode, learning rate, momentum, weight decay, step."""
    columns = {name: _numbers(data[name].values) for name in COLUMNS}
    return json.dumps(
        {
            "fields": {name: data[name].values.tolist() for name in FIELDS},
            "steps": data["step"].values.tolist(),
            "values": columns,
            "factors": {name: factor for name, (_, factor) in COLUMNS.items()},
            "axes": axes,
            "frame": FRAME,
            "readout": READOUT,
        },
        separators=(",", ":"),
        allow_nan=False,
    )


def _numbers(values):
    """Nested lists of numbers with `DIGITS` digits; None where a diverged run has none."""
    if isinstance(values, np.ndarray):
        return [_numbers(value) for value in values]
    return float(f"{values:.{DIGITS}g}") if math.isfinite(values) else None


def _choice(name: str, values: np.ndarray) -> dict:
    title, unit = FIELDS[name]
    chosen = values.tolist().index(DEFAULT[name])
    return {"name": name, "title": title, "unit": unit, "options": [short(v) for v in values], "chosen": chosen}


def _ends(values: np.ndarray) -> tuple[float, float]:
    """Ends of a logarithmic axis that holds all values, each 1, 2 or 5 times a power of ten."""
    marks = np.array([m * 10.0**e for e in range(-12, 13) for m in (1, 2, 5)])
    low, high = np.nanmin(values), np.nanmax(values)
    return float(f"{marks[marks <= low][-1]:g}"), float(f"{marks[marks >= high][0]:g}")


def _plot(name: str, chosen: xr.DataArray, ends: tuple[float, float]) -> dict:
    decades = [10.0**e for e in range(-12, 13) if ends[0] <= 10.0**e <= ends[1]]
    steps = chosen["step"].values
    return {
        "name": name,
        "title": PLOTS[name],
        "ticks": [{"text": f"{value:g}", "height": _height(value, ends)} for value in decades],
        "guessing": _height(GUESSING, ends) if name == "test_loss" else None,
        "curves": {mode: _points(chosen.values[number], steps, ends) for number, mode in enumerate(MODES)},
    }


def _height(value: float, ends: tuple[float, float]) -> float:
    """Where a value lies in a picture, counted from its top."""
    share = math.log(value / ends[0]) / math.log(ends[1] / ends[0])
    return FRAME["top"] + FRAME["height"] * (1 - share)


def _points(values: np.ndarray, steps: np.ndarray, ends: tuple[float, float]) -> str:
    return " ".join(
        f"{FRAME['left'] + FRAME['width'] * step / steps[-1]:.1f},{_height(value, ends):.1f}"
        for step, value in zip(steps, values, strict=True)
        if math.isfinite(value)
    )


def _last(chosen: xr.Dataset, number: int) -> dict[str, str]:
    """What the table shows of one mode, by quantity."""
    ends = {name: factor * chosen[name].values[number, -1] for name, (_, factor) in COLUMNS.items()}
    return {name: short(end) if math.isfinite(end) else "diverged" for name, end in ends.items()}
