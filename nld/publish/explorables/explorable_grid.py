"""A page within a page: the measured runs of fig-grid, chosen by learning rate, momentum and weight decay.

`show` draws the default setting here and puts all runs into the page as numbers; the classic script
`book/_static/explorable-grid.js` redraws the picture when another setting is chosen. Nothing is interpolated: each
choice is one pair of runs. Without scripts the default setting stays, and its choice is shown as it is.
"""

import json
import math

import numpy as np
import xarray as xr

from nld.figures._data.experiment_table import MODES
from nld.figures._data.run_grid import DEFAULT, GUESSING
from nld.publish.explorables.explorable import Explorable

FIELDS = {
    "learning_rate": ("learning rate η", "w²/l"),
    "momentum": ("momentum β", ""),
    "weight_decay": ("weight decay k", "l/w²"),
}
PLOTS = {
    "test_loss": "Test loss [l]",
    "squared_norm": "Squared norm r² [w²]",
    "effective_rate": "Effective learning rate [1/l]",
}
# What the table shows at the end of training: heading, and what multiplies the number.
COLUMNS = {
    "test_loss": ("test loss [l]", 1),
    "test_accuracy": ("accuracy [%]", 100),
    "squared_norm": ("r² [w²]", 1),
    "effective_rate": ("effective rate [1/l]", 1),
}
FRAME = {"left": 34, "top": 8, "width": 176, "height": 130}
READOUT = (
    "{setting}: the test loss after {steps} steps is {unconstrained} l unconstrained and {constrained} l constrained."
)
# Once in the page: a dot and a square, at every measured point.
MARKS = (
    '<defs><marker id="nld-mark-unconstrained" class="nld-mark" markerUnits="userSpaceOnUse" markerWidth="6" '
    'markerHeight="6" refX="3" refY="3"><circle class="nld-unconstrained" cx="3" cy="3" r="2.4"/></marker>'
    '<marker id="nld-mark-constrained" class="nld-mark" markerUnits="userSpaceOnUse" markerWidth="6" markerHeight="6" '
    'refX="3" refY="3"><rect class="nld-constrained" x="0.9" y="0.9" width="4.2" height="4.2"/></marker></defs>'
)
DIGITS = 6  # of the numbers in the page


def show(data: xr.Dataset) -> Explorable:
    """The runs of fig-grid as an explorable; opens at the setting `DEFAULT`."""
    axes = {name: _ends(data[name].values) for name in PLOTS}  # of all settings, so that pictures compare
    chosen = data.sel(DEFAULT)
    steps = int(data["step"][-1])
    setting = ", ".join(
        f"{symbol.split()[-1]} = {_short(DEFAULT[name])} {unit}".strip() for name, (symbol, unit) in FIELDS.items()
    )
    losses = {mode: _short(chosen["test_loss"].values[n, -1]) for n, mode in enumerate(MODES)}
    readout = READOUT.format(setting=setting, steps=steps, **losses)
    return Explorable(
        '<div class="nld-explorable nld-grid" role="group" aria-label="Explorable: runs on a grid of settings">'
        f'<fieldset disabled class="nld-choices"><legend>Choose a setting</legend>'
        f"{''.join(_choices(name, data[name].values) for name in FIELDS)}</fieldset>"
        f'<div class="nld-plots">{"".join(_plot(name, chosen[name], axes[name]) for name in PLOTS)}</div>'
        f"{_table(chosen, steps, setting)}"
        f'<output class="nld-spoken" aria-live="polite">{readout}</output>'
        f"<noscript><p>Choosing needs JavaScript. Shown is {setting}; the figure's data hold the rest.</p></noscript>"
        f'<script type="application/json">{_data(data, axes)}</script>'
        '</div><script src="../_static/explorable-grid.js"></script>'
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


def _choices(name: str, values: np.ndarray) -> str:
    title, unit = FIELDS[name]
    buttons = "".join(
        f'<label><input type="radio" name="nld-grid-{name}" value="{index}" autocomplete="off"'
        f"{' checked' if value == DEFAULT[name] else ''}>{_short(value)}</label>"
        for index, value in enumerate(values)
    )
    return f'<fieldset data-field="{name}"><legend>{title}{f" [{unit}]" if unit else ""}</legend>{buttons}</fieldset>'


def _ends(values: np.ndarray) -> tuple[float, float]:
    """Ends of a logarithmic axis that holds all values, each 1, 2 or 5 times a power of ten."""
    marks = np.array([m * 10.0**e for e in range(-12, 13) for m in (1, 2, 5)])
    low, high = np.nanmin(values), np.nanmax(values)
    return float(f"{marks[marks <= low][-1]:g}"), float(f"{marks[marks >= high][0]:g}")


def _plot(name: str, chosen: xr.DataArray, ends: tuple[float, float]) -> str:
    left, top, width, height = (FRAME[side] for side in ("left", "top", "width", "height"))
    steps = chosen["step"].values
    decades = [10.0**e for e in range(-12, 13) if ends[0] <= 10.0**e <= ends[1]]
    ticks = "".join(
        f'<text x="{left - 4}" y="{_height(tick, ends) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        f'<path class="nld-axis" d="M{left - 3},{_height(tick, ends):.1f}h3"/>'
        for tick in decades
    )
    if name == "test_loss":
        at = _height(GUESSING, ends)
        ticks += f'<path class="nld-guessing" d="M{left},{at:.1f}h{width}"/>'
        ticks += f'<text x="{left + width}" y="{at - 4:.1f}" text-anchor="end">guessing</text>'
    curves = "".join(
        f'<polyline class="nld-{mode}" data-curve="{mode}" data-quantity="{name}" '
        + " ".join(f'marker-{place}="url(#nld-mark-{mode})"' for place in ("start", "mid", "end"))
        + f' points="{_points(chosen.values[number], steps, ends)}"/>'
        for number, mode in enumerate(MODES)
    )
    return (
        f'<figure><figcaption>{PLOTS[name]}</figcaption><svg viewBox="0 0 220 172" role="img" '
        f'aria-label="{PLOTS[name]} over {steps[-1]} steps, unconstrained and constrained">'
        f"{MARKS if name == next(iter(PLOTS)) else ''}"
        f'<path class="nld-axis" d="M{left},{top}V{top + height}H{left + width}"/>{ticks}{curves}'
        f'<text x="{left}" y="{top + height + 15}" text-anchor="middle">0</text>'
        f'<text x="{left + width / 2}" y="{top + height + 15}" text-anchor="middle">step n</text>'
        f'<text x="{left + width}" y="{top + height + 15}" text-anchor="end">{steps[-1]}</text></svg></figure>'
    )


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


def _table(chosen: xr.Dataset, steps: int, setting: str) -> str:
    heads = "".join(f'<th scope="col">{heading}</th>' for heading, _ in COLUMNS.values())
    rows = ""
    for number, mode in enumerate(MODES):
        cells = "".join(
            f'<td data-mode="{mode}" data-quantity="{name}">{_end(chosen[name].values[number], factor)}</td>'
            for name, (_, factor) in COLUMNS.items()
        )
        line = (
            f'<svg viewBox="0 0 24 6" aria-hidden="true"><line class="nld-{mode}" x1="0" y1="3" x2="24" y2="3"/></svg>'
        )
        rows += f'<tr><th scope="row">{line}{mode}</th>{cells}</tr>'
    return (
        f"<table><caption>Measured after {steps} steps<br><span data-setting>{setting}</span></caption>"
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _end(values: np.ndarray, factor: float) -> str:
    return _short(factor * values[-1]) if math.isfinite(values[-1]) else "diverged"


def _short(value: float) -> str:
    return f"{float(f'{value:.3g}'):g}"
