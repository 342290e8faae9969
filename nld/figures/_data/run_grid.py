"""A grid of runs, learning rate × momentum × weight decay, filter norms free and held, and how each of them ends."""

import numpy as np
import xarray as xr

from nld.experiment import Sweep, run_sweep
from nld.figures._data.experiment_table import CHANCE, origin, quick_sweep

GRID = {
    "learning_rate": (0.01, 0.1, 1.0),
    "momentum": (0.0, 0.9, 0.95),
    "weight_decay": (0.0, 5e-4, 5e-3),
}
DEFAULT = {"learning_rate": 1.0, "momentum": 0.9, "weight_decay": 5e-4}
GUESSING = float(-np.log(CHANCE["digits"]))
SEEDS = 3


def runs(seed: int) -> xr.Dataset:
    """One run a setting, mode and seed, at constant learning rate.

    Returns:
        test_loss, test_accuracy, squared_norm and effective_rate (medians over filters), each (constrained,
        learning_rate, momentum, weight_decay, seed, step), NaN after a run diverged; diverged (without step).
    """
    seeds = tuple(range(seed, seed + SEEDS))
    sweep = Sweep(name="grid", base=quick_sweep("A").base, vary={**GRID, "constrained": (False, True), "seed": seeds})
    gathered = run_sweep(sweep)
    fields = {
        name: ("run", [kind(getattr(each, name)) for each in sweep.experiments])
        for name, kind in {"constrained": int, **dict.fromkeys(GRID, float), "seed": int}.items()
    }
    gathered = gathered.drop_vars(["key", *fields], errors="ignore").assign_coords(fields)
    rate = gathered["learning_rate"] / (1 - gathered["momentum"]) / gathered["squared_norm"]
    table = xr.Dataset(
        {
            "test_loss": gathered["test_loss"],
            "test_accuracy": gathered["test_accuracy"],
            "squared_norm": gathered["squared_norm"].median("filter").assign_attrs(units="w²", long_name="median"),
            "effective_rate": rate.median("filter").assign_attrs(units="1/ℓ", long_name="median over the filters"),
            "diverged": gathered["diverged"].astype(int),
        }
    )
    grid = table.rename(evaluation_step="step").set_index(run=list(fields)).unstack("run").transpose(*fields, "step")
    return grid.assign_attrs(origin=origin(gathered))


def final_loss(data: xr.Dataset) -> xr.DataArray:
    """Test loss after the last step; a diverged run ends as one that guesses."""
    return data["test_loss"].isel(step=-1).where(data["diverged"] == 0, GUESSING)
