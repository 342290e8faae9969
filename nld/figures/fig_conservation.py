"""What gradient flow conserves, gradient descent conserves to first order, and Adam does not. Paper: Eq 13."""

import numpy as np
import xarray as xr

from nld.experiment import conservation
from nld.figures.style import COLOR, band, new_figure, predicted
from nld.figures.text import power

RUNS = {  # largest learning rate and the sum of all learning rates, which is the training time
    "gradient descent": (0.2, 8.0),
    "Adam": (0.004, 0.16),
}
HALVINGS = 5
SEEDS = 3


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """Drifts of four kinds of charges by optimizer, seed and learning rate; one network serves both profiles."""
    kinds = ["translation", "scale", "rescale", "general_linear"]
    rates = np.array([[largest / 2**i for i in range(HALVINGS)] for largest, _ in RUNS.values()])
    found = np.array(
        [
            [
                [list(conservation.drifts(name, rate, round(end / rate), s).values()) for rate in row]
                for s in range(seed, seed + SEEDS)
            ]
            for (name, (_, end)), row in zip(RUNS.items(), rates, strict=True)
        ]
    )
    return xr.Dataset(
        {
            "drift": (("optimizer", "seed", "rate", "symmetry"), found, {"units": "1", "long_name": "drift of charge"}),
            "learning_rate": (("optimizer", "rate"), rates, {"units": "w²/l for gradient descent, w for Adam"}),
        },
        coords={"optimizer": list(RUNS), "symmetry": kinds, "seed": np.arange(seed, seed + SEEDS)},
        attrs={"images": conservation.IMAGES},
    )


def slopes(data: xr.Dataset) -> np.ndarray:
    """Least-squares slopes of the logarithm of the median drift over that of the rate, shape (optimizer, symmetry)."""
    drift = np.median(data["drift"].values, axis=1)
    return np.array(
        [
            np.polyfit(np.log(rate), np.log(np.maximum(values, 1e-300)), 1)[0]
            for rate, values in zip(data["learning_rate"].values, drift, strict=True)
        ]
    )


def draw(data: xr.Dataset):
    """Drift over the learning rate, one panel an optimizer."""
    figure, panels = new_figure(1, 2, size=(6.4, 3.4), sharey=True)
    order = slopes(data)
    for index, (axes, name) in enumerate(zip(panels, data["optimizer"].values, strict=True)):
        rate, drift = data["learning_rate"].values[index], data["drift"].values[index]
        for column, kind in enumerate(data["symmetry"].values):
            band(axes, rate, drift[:, :, column], COLOR[kind], marker="o", markersize=3.5)
        if index == 0:
            guide = drift[:, :, 1].min() * 0.25
            axes.plot(rate, guide * rate / rate[-1], **predicted())
        axes.set(xscale="log", yscale="log", xlabel="learning rate $\\eta$ [w²/l]" if index == 0 else "learning rate $\\eta$ [w]")
        axes.set_title(f"({'ab'[index]}) {name}")
        print(order[index])
    panels[0].set_ylabel("drift of the charge [1]")
    return figure


def caption(data: xr.Dataset) -> str:
    """MyST caption with the numbers of the data."""
    return "TODO"


def alt(data: xr.Dataset) -> str:
    """What the figure shows, for those who cannot see it."""
    return "TODO"
