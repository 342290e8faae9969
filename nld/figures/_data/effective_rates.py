"""Effective rates eta/((1 - beta) r²) of the runs of fig-experiments, and what is read from them."""

import numpy as np
import xarray as xr

from nld.figures._data.experiment_table import PANELS

SHOWN = (0.003, 0.03, 0.3)  # learning rates of panel A whose course is drawn, in w²/ℓ
OTHER_RATE = 0.3  # a second learning rate for the sweep of momentum, in w²/ℓ


def table(gathered: xr.Dataset, panel: str) -> xr.Dataset:
    """Effective rate (run, point), and loss half-way and final accuracy (run), of one sweep."""

    def column(name: str) -> np.ndarray:
        shared = gathered.attrs.get(name)
        return gathered[name].values if name in gathered.coords else np.full(gathered.sizes["run"], shared)

    squared = gathered["squared_norm"].transpose("run", "evaluation_step", "filter").values
    at = np.minimum(gathered["evaluation_step"].values, gathered.sizes["step"] - 1)
    rates = gathered["learning_rate_at_step"].transpose("run", "step").values[:, at, None]
    rate = np.median(rates / ((1 - column("momentum")[:, None, None]) * squared), axis=-1)
    half = int(np.searchsorted(gathered["evaluation_step"].values, gathered.sizes["step"] // 2))
    before = column("learning_rate") / (1 - column("momentum"))  # before any schedule lowers the rate
    return xr.Dataset(
        {
            "effective_rate": (("run", "point"), rate, {"units": "1/ℓ", "long_name": "median over the filters"}),
            "squared_norm": (("run", "point"), np.median(squared, axis=-1), {"units": "w²", "long_name": "median"}),
            "half_rate": ("run", np.median(before[:, None] / squared[:, half], axis=-1), {"units": "1/ℓ"}),
            "half_loss": ("run", gathered["test_loss"].values[:, half], {"units": "ℓ", "long_name": "test loss"}),
            "accuracy": ("run", gathered["test_accuracy"].values[:, -1], {"units": "1", "long_name": "at the end"}),
        },
        coords={
            "step": ("point", gathered["evaluation_step"].values),
            "panel": ("run", np.full(len(rate), panel, dtype=object)),
            "constrained": ("run", gathered["constrained"].values.astype(int)),
            "seed": ("run", column("seed")),
            **{field: ("run", column(field)) for field in ("learning_rate", "momentum", "weight_decay")},
        },
    )


def means(data: xr.Dataset, panel: str, quantity: str = "half_rate") -> tuple[np.ndarray, np.ndarray]:
    """The values that vary in a panel, and means over seeds: (mode, value)."""
    runs = data.isel(run=np.flatnonzero(data["panel"] == panel))
    field = PANELS[panel[0]].field
    values = np.unique(runs[field])
    picked = [
        [runs[quantity].values[(runs["constrained"] == mode) & (runs[field] == value)].mean() for value in values]
        for mode in (0, 1)
    ]
    return values, np.array(picked)


def slopes(data: xr.Dataset) -> np.ndarray:
    """Slope of log effective rate over log learning rate in panel A at 0.03 w²/ℓ and above: (mode)."""
    values, rates = means(data, "A")
    large = values >= 0.03
    return np.array([np.polyfit(np.log(values[large]), np.log(row[large]), 1)[0] for row in rates])


def spans(data: xr.Dataset) -> np.ndarray:
    """Largest over smallest half-way effective rate in A from 0.03 w²/ℓ and in B: (panel, mode)."""
    rates, momenta = means(data, "A"), means(data, "B")[1]
    large = rates[1][:, rates[0] >= 0.03]
    return np.array([(row.max(1) / row.min(1)) for row in (large, momenta)])


def guesses(data: xr.Dataset) -> np.ndarray:
    """Whether a run's loss half-way is more than three quarters of that of guessing: (run)."""
    return data["half_loss"].values > 0.75 * np.log(10)


def lost(data: xr.Dataset) -> xr.Dataset:
    """The free runs that guess half-way."""
    return data.isel(run=np.flatnonzero((data["constrained"].values == 0) & guesses(data)))
