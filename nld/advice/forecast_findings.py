"""A forecast in sentences: norms that will not settle in time, and gradients that rise because the schedule falls."""

import numpy as np
import xarray as xr

from nld.errors import InvalidInput
from nld.monitor import Finding

NEAR = 0.1  # within this relative distance of its equilibrium a norm counts as settled
RISE = 1.2  # from this factor on a rise of the gradient is worth a sentence
LAST = 0.2  # the share of a run that is called its last part


def forecast_findings(forecast: xr.Dataset) -> list[Finding]:
    """What a forecast says that a decision may depend on, most urgent first.

    Args:
        forecast: what ``nld.forecast`` returned.

    Raises:
        ValueError: it is no forecast.
    """
    if "relaxation" not in forecast or "steps" not in forecast.attrs:
        raise InvalidInput("expected what nld.forecast returns, got another data set; give it that")
    found = []
    for name in forecast.block.values:
        row = forecast.sel(block=name)
        found += [finding for finding in (_settling(str(name), row), _rising(str(name), row)) if finding is not None]
    return sorted(found, key=lambda finding: finding.good)


def _settling(name: str, row: xr.Dataset) -> Finding | None:
    """Whether the norm comes to its equilibrium before the run ends."""
    ratio = float(np.sqrt((row.squared_norm / row.equilibrium_squared_norm).isel(step=-1).median("unit")))
    left = int(row.attrs["steps"]) - int(row.attrs["seen"])
    time = float(row.relaxation.median(["step", "unit"]))
    if not np.isfinite(time):
        text = f"{name}: without weight decay its norm has no equilibrium; at the end it will be "
        text += f"{_times(row.squared_norm)} what it is next."
        return Finding("equilibrium", name, False, text)
    if abs(ratio - 1) <= NEAR:
        return Finding("equilibrium", name, True, f"{name}: its norm will have settled when the run ends.")
    text = f"{name}: this run will end before its norm settles: at the end it will be {ratio:.2g} times its "
    text += f"equilibrium at the rate of then; to come e times nearer takes {time:,.0f} steps, and {left:,} are left."
    return Finding("equilibrium", name, False, text)


def _rising(name: str, row: xr.Dataset) -> Finding | None:
    """Whether the gradient will rise at the end of the run because the norm falls behind the schedule."""
    begin = (1 - LAST) * int(row.attrs["steps"])
    last = row.sel(step=row.step >= begin)
    if last.sizes["step"] < 2:
        return None
    ends = last.isel(step=[0, -1]).median("unit")
    rise = float(ends.gradient_norm[1] / ends.gradient_norm[0])
    shrink = float(np.sqrt(ends.squared_norm[0] / ends.squared_norm[1]))
    if rise < RISE or shrink < RISE:
        return None
    text = f"{name}: its gradient norm will rise {rise:.2g}-fold in the last fifth, for its weights shrink "
    text += (
        f"{shrink:.2g}-fold as the schedule falls: that is your schedule, not divergence (nld.correct_decay ends it)."
    )
    return Finding("rate", name, True, text)


def _times(squared: xr.DataArray) -> str:
    ends = np.sqrt(squared.isel(step=[0, -1]).median("unit").values)
    return f"{ends[1] / ends[0]:.2g} times"
