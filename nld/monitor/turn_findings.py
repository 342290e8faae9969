"""How far a run turned its weights away from where they began, and by how much more a larger learning rate would.

A direction that is drawn at random in many dimensions is at right angles to any other. The angles of single steps add
up to no less than the angle between start and end: a block whose sum is far below π/2 still points nearly where it
began.
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from nld.monitor.block_findings import LONG, length, relative_step
from nld.monitor.finding import Finding, followed, recent

RIGHT_ANGLE = np.pi / 2
MOST_BLOCKS = 0.75  # a share of the blocks: a few outliers, or gains that hardly move, are not to decide
LEAST, MOST = 2.0, 10.0  # factors: steps lengthen only roughly, and not without end, in proportion to the rate
SHORTEST = 100  # steps; of shorter runs warm-up and stability decide, not the turn


def turn(record: xr.Dataset) -> xr.DataArray:
    """Angles of all steps of a run added up, mean over units, in radians, (block,).

    A step that was not recorded counts as the nearest that was. NaN of translations, of which an angle means nothing,
    and of blocks that were not trained or began at zero.
    """
    steps = record.step.values.astype(float)
    edges = np.concatenate([steps[:1] - 0.5, (steps[1:] + steps[:-1]) / 2, steps[-1:] + 0.5])
    whole = (record.angular_step * xr.DataArray(np.diff(edges), dims="step")).sum("step", skipna=False)
    linear = xr.DataArray(followed(record), dims="block") & (record.kind != "translation")
    return whole.mean("unit").where(linear)


def typical_turn(record: xr.Dataset) -> float:
    """The angle below which three quarters of the blocks stay by ``turn``, in radians; NaN where there are none."""
    angles = turn(record).values
    angles = angles[angles > 0]
    return float(np.quantile(angles, MOST_BLOCKS)) if len(angles) else float("nan")


def rate_factor(record: xr.Dataset) -> float | None:
    """The factor of the learning rate at which ``typical_turn`` would be π/2, to two digits; None for no advice.

    Angles of steps are taken to be in proportion to the rate. There is no advice where that asks for less than
    ``LEAST``, of runs shorter than ``SHORTEST``, and where steps are long already.
    """
    factor, linear = RIGHT_ANGLE / typical_turn(record), record.isel(block=(record.kind != "translation").values)
    if length(record) < SHORTEST or not factor >= LEAST:
        return None
    if float(recent(relative_step(linear)).median("step").max()) > LONG:
        return None
    return min(float(f"{factor:.2g}"), MOST)


def of_turn(record: xr.Dataset) -> Iterator[Finding]:
    """Runs that end before their weights have turned away from their start."""
    factor = rate_factor(record)
    if factor is None:
        return
    angle = typical_turn(record)
    text = (
        f"In these {length(record):,} steps three quarters of the blocks turn by less than {angle:.2g} rad, all steps "
    )
    text += (
        "added up: they still point nearly where they began, for independent directions are π/2 apart. If the weights "
    )
    text += f"began at random and the run ends about here, raise the learning rate {factor:.2g}-fold."
    yield Finding("rate", "", False, text)
