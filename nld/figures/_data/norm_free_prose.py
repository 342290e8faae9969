"""Sentences of the chapter on dynamic tanh that compare, each chosen by the data of fig-dyt."""

import xarray as xr

from nld.figures._data.norm_free_data import OUTLIERS, gain
from nld.figures._render.text import at_most, number
from nld.figures.fig_dyt import SQUASHED


def sentences(data: xr.Dataset) -> dict[str, str]:
    """Clauses and sentences about the shapes and about the lockstep of alphas and writers."""
    return shapes(data) | lockstep(data)


def shapes(data: xr.Dataset) -> dict[str, str]:
    """How far the maps of the layers bend, before and after training, and on tokens with outliers."""
    shown = [name for name in data["layer"].values if name != OUTLIERS]
    extremes = data["extremes"].median("seed")
    trained = extremes.sel(state="trained", layer=shown)
    explained = data["explained"].median("seed").sel(layer=OUTLIERS)
    line, tanh, root = (float(explained.sel(curve=name)) for name in ("line", "tanh", "inverse root"))
    before = float(extremes.sel(state="untrained", layer=shown).min()) < SQUASHED
    either = abs(tanh - root) < 0.05 < min(tanh, root) - line
    return {
        "extremes": f"{float(trained.min()):.2f} to {float(trained.max()):.2f}",
        "outliers": f"{float(extremes.sel(state='trained', layer=OUTLIERS)):.2f}",
        "before": "It can then be there before anything is learned." if before else "It is then something learned.",
        "deepest": f"layer {int(trained.argmin('layer')) + 1} of {len(shown)}",
        "which-s": (
            "Outliers make the S, and there it does not matter which S one writes."
            if either
            else "There it matters which curve one writes."
        ),
        "gain": at_most(gain(data).sel(layer=shown).max()),
    }


def lockstep(data: xr.Dataset) -> dict[str, str]:
    """Whether writers and alphas of DyT grow together at large steps, and the writers' way at small ones."""
    writers, alphas = data["squared_norm"].sel(rule="DyT").isel(point=[0, -1]).values.T
    together = (alphas[1] > alphas[0]) == (writers[1] > writers[0])
    moved = data["writers_change"].sel(rule="DyT").values
    return {
        "lockstep": (
            f"the lockstep is {'loose but there to see' if together else 'gone'}: the sum of squared alphas goes from "
            f"{alphas[0]:.2f} to {alphas[1]:.0f} w² and the squared norm of the writers from {writers[0]:.0f} to "
            f"{writers[1]:.0f} w²"
        ),
        "writers-moved": f"{number(moved[0], '.2g')} w² at the largest learning rate and "
        f"{number(moved[-1], '.2g')} w² at the smallest",
    }
