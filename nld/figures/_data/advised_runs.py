"""What fig-advised-rate measures: runs that follow the report's advice on the learning rate until it gives none."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nld.experiment.studies.advised_rates import Setting, follow

EVIDENCE = "results/evidence/fig-advised-rate.nc"
EFFECT = 0.1  # ℓ; smallest that advice is to be worth, and most that silence may cost
SETTINGS = {
    "rotary, AdamW 1e-3": Setting("rotary", "AdamW", 1e-3),
    "rotary, AdamW 3e-4": Setting("rotary", "AdamW", 3e-4),
    "GPT-2, AdamW 3e-4": Setting("GPT-2", "AdamW", 3e-4),
    "digits, AdamW 1e-3": Setting("digits", "AdamW", 1e-3),
    "digits, SGD 3e-3": Setting("digits", "SGD", 3e-3),
}
SCALES = {"language": ("rotary", "GPT-2"), "digits": ("digits",)}
RUNS = ("script", "once", "last", "again")  # as it came, advised once, of the last report, and the first change again


def measure(seeds: Sequence[int]) -> xr.Dataset:
    """Test losses, cumulative factors of the learning rate and turns of each chain of runs."""
    rows = [[chain(setting, seed, "test") for setting in SETTINGS.values()] for seed in seeds]
    loss, factor, turn, followed, silent = (np.array([[each[k] for each in row] for row in rows]) for k in range(5))
    dims = ("judging_seed", "setting")
    return xr.Dataset(
        {
            "judged_loss": ((*dims, "run"), loss, {"units": "ℓ", "long_name": "test loss"}),
            "judged_factor": ((*dims, "run"), factor, {"units": "1", "long_name": "rate over that of the script"}),
            "judged_turn": ((*dims, "watched"), turn, {"units": "rad", "long_name": "three quarters turn by less"}),
            "judged_followed": (dims, followed, {"units": "1", "long_name": "how often advice was followed"}),
            "judged_silent": (dims, silent, {"units": "1", "long_name": "whether the last report advises nothing"}),
        },
        coords={"judging_seed": list(seeds), "setting": list(SETTINGS), "run": list(RUNS), "watched": list(RUNS[:3])},
    )


def chain(setting: Setting, seed: int, part: str) -> tuple[list[float], list[float], list[float], int, float]:
    """Of ``RUNS``: losses and factors; of the watched ones turns; how often advice was followed, and whether it ended.

    Where a report advises nothing, the runs after it are that run.
    """
    runs, again = follow(setting, seed, part)
    factors = np.cumprod([1.0, *(run.factor for run in runs)])
    shown = [0, min(1, len(runs) - 1), len(runs) - 1]
    return (
        [*(runs[k].loss for k in shown), again.loss],
        [*(float(factors[k]) for k in shown), float(factors[shown[-1]] * runs[0].factor)],
        [runs[k].turn for k in shown],
        len(runs) - 1,
        float(runs[-1].factor == 1),
    )
