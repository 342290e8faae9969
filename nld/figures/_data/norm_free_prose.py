"""Sentences of the chapter on dynamic tanh that compare, each chosen by the data of fig-dyt."""

import numpy as np
import xarray as xr

from nld.figures._data.norm_free_data import FACTOR, OUTLIERS, PARITY, SQUASHED, gain, residual
from nld.figures._render.text import at_most, number, power_above
from nld.inference.e_test import confidence_sequence


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


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers and sentences for prose about the figure."""
    accuracy = 100 * data["judged_accuracy"].mean("judging_seed")
    over_half = data["judged_accuracy"].sel(trained_norm="DyT") - data["judged_accuracy"].sel(trained_norm="tanh(x/2)")
    more, error = 100 * float(over_half.mean()), 100 * float(over_half.std(ddof=1) / np.sqrt(over_half.size))
    return {
        **{
            f"accuracy-{norm}": f"{float(accuracy.sel(trained_norm=norm)):.1f} %"
            for norm in ("LayerNorm", "DyT", "none")
        },
        "gain-half": f"{number(more, '.1f')} ± {error:.1f}",
        "nothing": without_any(data),
        "seeds": f"{data.sizes['judging_seed']}",
        "shape": shape_in_words(data),
        "invariance": power_above(data["invariance"].sel(transformed="both sides").max()),
        "factor": f"{FACTOR:g}",
        "residual": power_above(residual(data).max()),
    }


def without_any(data: xr.Dataset) -> str:
    """A sentence on the network that has nothing in the place of its norms: what parity is worth beside it."""
    gap = 100 * (
        data["judged_accuracy"].sel(trained_norm="none") - data["judged_accuracy"].sel(trained_norm="LayerNorm")
    )
    low, high = confidence_sequence(gap.values)
    behind = f"{number(gap.mean(), '.1f')} points [{number(low, '.1f')}, {number(high, '.1f')}]"
    if low > -PARITY:
        return f"The network with nothing in their place differs by {behind}: it passes too, so passing says little."
    if high < -PARITY:
        return f"The network with nothing in their place differs by {behind}: here normalization is needed."
    return (
        f"The network with nothing in their place differs by {behind}, which leaves open whether norms are needed here."
    )


def shape_in_words(data: xr.Dataset) -> str:
    """Whether the last layer's map, in the networks that are drawn, is an S."""
    last = float(data["extremes"].sel(state="trained").median("seed").drop_sel(layer=OUTLIERS)[-1])
    if last >= SQUASHED:
        return f"That is hardly an S in the last layer, which we would call one below {SQUASHED:g}."
    return f"That is an S in the last layer, if a mild one: we call it one below {SQUASHED:g}."
