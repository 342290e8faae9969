"""Judging seeds of the figure on widths: what the byte model does at each width, and a matrix behind a multiplier."""

import numpy as np
import xarray as xr

from nld.experiment.studies import learnable_multiplier, width_transfer
from nld.experiment.studies.width_transfer import BASE, SCHEMES

EVIDENCE = "results/evidence/fig-widths.nc"
KEPT_SEEDS = 16
WIDTHS = (32, 64, 128)
RATES = tuple(2.0**-exponent for exponent in (6, 7.25, 8.5, 9.75, 11))  # at the base width
STEPS = 1200
LOOKS = (0, 1, 2, 4, 8, 16, 32, 64, *range(100, STEPS, 100))
WANTED = (0.25, 0.5, 1.0, 2.0, 4.0)  # sizes of the map that a matrix is to learn


def measure(seeds) -> xr.Dataset:
    """What rules: losses, angles, norms and alignments by scheme, width and rate; and norms with a multiplier."""
    rows = [_transfer(seed) for seed in seeds]
    transfer = xr.concat(rows, "judging_seed").assign_coords(judging_seed=list(seeds))
    learned = [learnable_multiplier.learn(WANTED, seeds, multiplied=multiplied) for multiplied in (False, True)]
    table = xr.concat(learned, "multiplied").transpose("judging_seed", "multiplied", "wanted")
    return transfer.merge(
        table.rename({name: f"judged_{name}" for name in table.data_vars}).assign_coords(
            judging_seed=list(seeds), multiplied=["without", "with"], wanted=list(WANTED)
        )
    )


def _transfer(seed: int) -> xr.Dataset:
    """One seed, (scheme, width, ...), means over the hidden matrices; at the base width both decays are one."""
    schemes: list[list[xr.Dataset]] = []
    for scheme in SCHEMES:
        same = scheme == "independent decay"
        courses = [
            schemes[0][0] if same and width == BASE
            else width_transfer.course(scheme, width, RATES, LOOKS, steps=STEPS, seed=seed)
            for width in WIDTHS
        ]  # fmt: skip
        schemes.append(courses)
    data = xr.concat([xr.concat(courses, "width") for courses in schemes], "scheme")
    looked = np.exp(np.log(data[["angle", "squared_norm", "alignment"]]).mean("matrix"))
    data = data[["validation_loss"]].merge(looked).rename(validation_loss="loss")
    named = data.rename({name: f"judged_{name}" for name in data.data_vars})
    return named.assign_coords(scheme=list(SCHEMES), width=list(WIDTHS)).astype(np.float32)
