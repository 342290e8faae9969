"""Which weights AdamP projects, what a warm-up does to angles, and why standardized neurons turn alike."""

import numpy as np
import xarray as xr

from nld.figures._data.turning_prose import numbers
from nld.figures._data.turning_runs import EVIDENCE, WARM_UP, WARMED_STEPS, compute, measure
from nld.figures._render.labels import label_panel, label_point
from nld.figures._render.style import BASELINE, COLOR, new_mosaic, predicted
from nld.inference import Evidence, Verdict, rule
from nld.paper import Claim

__all__ = ["CLAIMS", "EVIDENCE", "alt", "caption", "compute", "draw", "judge", "measure", "numbers"]

PLACE, KOSSON = ((), "fig-turning", "book/rotational-equilibrium"), "kosson2024rotational"
CLAIMS = (
    Claim("cosine-tells-scale-invariance", "A cosine between weight and gradient below a threshold tells weights of "
          "which the loss does not see the norm from all others.", *PLACE, "heo2021adamp"),
    Claim("rotation-replaces-warm-up", "Controlling the rotation reduces the need for a warm-up of the learning rate.",
          *PLACE, KOSSON),
    Claim("standardization-balances-neurons", "Weight standardization makes the neurons of a layer turn alike, where a "
          "normalization across the layer does not.", *PLACE, KOSSON),
)  # fmt: skip


def judge(data: xr.Dataset) -> list[Verdict]:
    """Shares of projected steps, logarithms of losses, and spreads of angles, over the judging seeds."""
    told = numbers(data)
    loss = np.log(data["judged_loss"].values)
    free, prescribed = loss[:, 0] - loss[:, 1], loss[:, 2] - loss[:, 3]
    spread = data["judged_spread"]
    across, standardized = (spread.sel(judged_kind=kind).values for kind in ("across the layer", "standardized"))
    return rule([
        Evidence(
            "cosine-tells-scale-invariance",
            f"Filters are projected in {told['filters']} of the steps, weights without normalization in "
            f"{told['others']}; directions drawn at random would be in {told['chance']}.",
            {"no others": 0.01 - data["judged_others"].values},
            {"filters": bool((data["judged_filters"] == 1).all())},
        ),
        Evidence(
            "rotation-replaces-warm-up",
            f"A warm-up divides AdamW's loss by {told['gain-free']}, that with prescribed angles by "
            f"{told['gain-prescribed']} (geometric means).",
            {"AdamW gains": free, "it gains more": free - prescribed},
        ),
        Evidence(
            "standardization-balances-neurons",
            f"Standard deviation of the logarithm of angles: {told['spread-standardized']} with standardized weights, "
            f"{told['spread-across']} without.",
            {"standardized below 0.05": 0.05 - standardized, "across the layer above 0.1": across - 0.1},
        ),
    ])  # fmt: skip


def draw(data: xr.Dataset):
    """The criterion's cosines above; angles of AdamW with and without warm-up, and of neurons, below."""
    figure, axes = new_mosaic([["cosine", "cosine"], ["angle", "neurons"]], (6.4, 5.4), height_ratios=[1, 1.2])
    _draw_cosines(data, axes["cosine"])
    _draw_angles(data, axes["angle"])
    _draw_neurons(data, axes["neurons"])
    return figure


def _draw_cosines(data: xr.Dataset, axes) -> None:
    threshold, step = data.attrs["threshold"], data["step"].values
    for name, color, y in (("filters", COLOR["scale"], 0.14), ("read-out", COLOR["original"], 0.86)):
        values = data["cosine"].sel(weights=name).values
        axes.plot(step, values, color=color, linewidth=1)
        below = values < threshold
        if name == "read-out":
            axes.plot(step[below], values[below], "o", color=color, markersize=5)
        label_panel(axes, name, 0.78, y, color=color)
    axes.axhline(threshold, **BASELINE)
    label_point(axes, "projected below", (step[0], threshold), (2, -11), color=BASELINE["color"])
    axes.set(yscale="log", ylim=(1e-8, 1e3), xlabel="step $n$", ylabel="$|\\cos(q, g)|\\,\\sqrt{C}$")
    axes.set_title("(a) the cosine that decides what is projected")


def _draw_angles(data: xr.Dataset, axes) -> None:
    step = data["warm_step"].values
    styles = (("AdamW", COLOR["adamw"], "-"), ("AdamW, warm-up", COLOR["original"], "-."),
              ("prescribed", COLOR["heavy_ball"], "-"))  # fmt: skip
    for (name, color, style), y in zip(styles, (0.9, 0.8, 0.14), strict=True):
        axes.plot(step, data["angle"].sel(treatment=name).values, color=color, linestyle=style)
        label_panel(axes, name, 0.4 if y > 0.5 else 0.06, y, color=color)
    axes.plot(step, data["angle_law"].values, **predicted())
    axes.set(yscale="log", ylim=(2e-4, 2), xlabel="step $n$", ylabel="angle of a step [rad]")
    axes.set_title("(b) a warm-up limits angles")


def _draw_neurons(data: xr.Dataset, axes) -> None:
    angle, law = (1e3 * data[name] for name in ("neuron_angle", "neuron_law"))
    for kind, color, marker in (("across the layer", COLOR["adam"], "o"), ("standardized", COLOR["heavy_ball"], "s")):
        axes.plot(law.sel(kind=kind).values, angle.sel(kind=kind).values, marker, color=color, markersize=3)
    ends = [float(min(law.min(), angle.min())), float(max(law.max(), angle.max()))]
    axes.plot(ends, ends, **predicted())
    label_panel(axes, "normalized across\nthe layer", 0.06, 0.82, color=COLOR["adam"])
    label_panel(axes, "standardized", 0.5, 0.1, color=COLOR["heavy_ball"])
    axes.set(xlabel="$\\sqrt{2\\eta(k + k_\\parallel)/(1+\\beta)}$ [mrad]", ylabel="angle of a step [mrad]")
    axes.set_title("(c) neurons of a layer")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "A cosine finds the weights whose norm the loss does not see; a warm-up limits the angles of their first "
        "steps, and those of one layer turn alike. **(a)** What AdamP compares with its threshold (dotted), for the "
        "filters and for the read-out of a convolutional network. The filters stay below it; the read-out falls below "
        f"it by chance, in {told['read-out']} of the steps (dots). **(b)** Root mean square angle of the filters' "
        f"steps under AdamW at a large learning rate, with and without a warm-up of {WARM_UP} of {WARMED_STEPS} steps, "
        "and with the angle of equilibrium prescribed (dashed). **(c)** Angle of each neuron of two layers, against "
        "the law in which the gradient's radial part $k_\\parallel$ adds to weight decay. Standardized neurons have "
        f"no such part. Measured over predicted spreads by {told['residual']}."
    )


def alt(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        f"Top, on a logarithmic axis: a line of filters that stays below {told['largest-cosine']}, and a line of the "
        f"read-out around {told['usual-cosine']} that dips below a dotted line at 0.1 in {told['read-out']} of the "
        f"steps. Bottom left: the angle of AdamW begins at {told['first-angle']} rad and falls to a dashed curve; "
        f"with a warm-up it stays below {told['warm-angle']} rad; the prescribed one lies on the curve. Bottom right: "
        f"points along a dashed diagonal, from {told['slowest']} to {told['fastest']} mrad for neurons of a "
        f"normalized layer, and a cluster of standardized ones at {told['unit']} mrad."
    )
