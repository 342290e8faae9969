"""A symmetry at every depth gives a charge at every depth; biases of attention with a law, as pure gauge, without one.

The density of a linear neural ODE and its order, what decay picks, and the charges and shifts of a head of attention.
"""

import numpy as np
import xarray as xr

from nld.figures._data import gauge_runs as runs
from nld.figures._data.gauge_evidence import CLAIMS, evidence, numbers
from nld.figures._render.labels import label_panel, label_point, ticks_at
from nld.figures._render.style import BASELINE, COLOR, new_mosaic, predicted
from nld.inference import Verdict, rule

__all__ = ["CLAIMS", "alt", "caption", "compute", "draw", "judge", "numbers"]

ROUNDING = (
    "layer_drift", "map_error", "charge_drift_end", "key_gradient", "shifted_outputs", "rounding_moved",
)  # fmt: skip
FLOOR = 1e-18  # what a logarithmic axis shows of zero


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """A linear neural ODE in residual layers and a head of attention; one size for both profiles.

    Args:
        seed: of weights, targets and inputs.
    """
    parts = (
        runs.densities, runs.invariance, runs.attention_charges, runs.shifts, runs.laws, runs.decays, runs.rounding,
    )  # fmt: skip
    return xr.merge([xr.Dataset(part(seed)) for part in parts]).assign_attrs(seed=seed)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Each claim by the numbers that it states, in small networks."""
    return rule(evidence(data))


def draw(data: xr.Dataset):
    """Weight and charge density over the depth; its order and the gauge under decay; attention's charges and shifts."""
    layout = [["weight", "density"], ["order", "decay"], ["charges", "shift"]]
    figure, axes = new_mosaic(layout, (6.4, 7.0))
    _draw_depths(data, axes["weight"], axes["density"])
    _draw_order(data, axes["order"])
    _draw_decay(data, axes["decay"])
    _draw_charges(data, axes["charges"])
    _draw_shifts(data, axes["shift"])
    return figure


def _draw_depths(data, left, right) -> None:
    color, depth = COLOR["general_linear"], data["layer_depth"].values
    for when, style in (("before", BASELINE), ("after", {"color": COLOR["gradient_descent"]})):
        curve = data["weight"].sel(when=when).values
        left.plot(depth, curve, **style)
        label_point(left, when, (depth[-1], curve[-1]), (-36, -13), color=style["color"])
    right.plot(data["depth"], data["density"].sel(when="after"), color=color, linewidth=3, alpha=0.8)
    right.plot(data["depth"], data["density"].sel(when="before"), **predicted())
    label_panel(right, "after; before dashed", 0.97, 0.9, ha="right", color=color)
    left.set(xlabel="depth $t$", ylabel="weight $W_{11}(t)$ [w]", xlim=(0, 1))
    right.set(xlabel="depth $t$", ylabel="charge density $Q_{11}(t)$ [w]", xlim=(0, 1))
    left.set_title("(a) training moves the weights")
    right.set_title("(b) and at no depth the charge")


def _draw_order(data, axes) -> None:
    layers, color = data["layers"].values, COLOR["general_linear"]
    for name, power, words in (("density_drift", 1, "density"), ("corrected_drift", 2, "with its correction")):
        drift = data[name].values
        axes.loglog(layers, drift[0] * (layers[0] / layers) ** power, **predicted())
        axes.loglog(layers, drift, "o", color=color, markersize=5)
        label_point(axes, words, (layers[1], drift[1]), (8, 3), color=color)
    exact, pink = data["layer_drift"].values, COLOR["rescale"]
    axes.loglog(layers, exact, "s", color=pink, markersize=5)
    label_point(axes, "charges of the layers", (layers[0], exact[0]), (0, 7), color=pink)
    ticks_at(axes.xaxis, layers)
    axes.set(xlabel="layers $L$", ylabel="relative change")
    axes.set_title("(c) it is a density to first order")


def _draw_decay(data, axes) -> None:
    time, residual = data["decay_time"].values, data["gauge_residual"].values
    axes.semilogy(time, residual[0], **BASELINE)
    axes.semilogy(time, residual[1], color=COLOR["gradient_descent"])
    middle = len(time) // 2
    label_point(axes, "no decay", (time[middle], residual[0, middle]), (0, -12), color="#666666")
    label_point(axes, f"decay {data['decay'].values[1]:g} ℓ/w²", (time[middle], residual[1, middle]), (4, 6),
                color=COLOR["gradient_descent"])  # fmt: skip
    axes.set(xlabel="time [w²/ℓ]", ylabel="gauge condition [w]", xlim=(0, time[-1]))
    axes.set_title("(d) decay fixes the gauge")


def _draw_charges(data, axes) -> None:
    time = data["time"].values
    colors = (COLOR["general_linear"], COLOR["gradient_descent"])
    for pair, color, dash in zip(data["pair"].values, colors, ("-", (0, (6, 1.5))), strict=True):
        for biases in data["biases"].values:
            axes.semilogy(time, data["charge_drift"].sel(pair=pair, biases=biases), color=color, linestyle=dash)
    label_panel(axes, "without biases", 0.33, 0.9)
    label_point(axes, "with biases", (time[len(time) // 3], float(data["charge_drift_end"][-1].max())), (0, 8))
    label_panel(axes, "query, key: solid", 0.97, 0.52, ha="right", color=colors[0])
    label_panel(axes, "value, output: dashed", 0.97, 0.42, ha="right", color=colors[1])
    top = 50 * float(data["charge_drift"].max())
    axes.set(xlabel="time [w²/ℓ]", ylabel="change of charge [w²]", xlim=(0, time[-1]), ylim=(None, top))
    axes.set_title("(e) attention: biases count")


def _draw_shifts(data, axes) -> None:
    step, losses = data["step"].values, data["shifted_loss"]
    for name, color in (("value", COLOR["rescale"]), ("key", COLOR["translation"])):
        gap = np.abs(losses.sel(shifted=name) - losses.sel(shifted="none")).values
        axes.semilogy(step, np.maximum(gap, FLOOR), color=color, linewidth=1.4)
        third = len(step) // 3
        label_point(axes, f"{name} bias shifted", (step[third], max(gap[third:].max(), FLOOR)), (0, 8), color=color)
    axes.set(xlabel="step", ylabel="difference of losses [ℓ]", xlim=(0, step[-1]), ylim=(FLOOR / 2, 50))
    axes.set_title("(f) two shifts with equal outputs")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "A symmetry that may act differently at every depth gives a conserved charge at every depth. **(a)** A weight "
        f"of {runs.SHOWN} residual layers before and after gradient flow (loss {told['losses']} ℓ). **(b)** The charge "
        "density, before (dashed) and after it. **(c)** Change of the density by the "
        f"number of layers: {told['drifts']} %, of order {told['slope']} in their thickness, and {told['corrected']} "
        f"with the correction that theory gives (dashed: orders one and two); the layers' own charges stay within "
        f"{told['layer-drift']}. **(d)** Largest entry of the gauge condition while training with and without weight "
        "decay. **(e)** Charges of a head of attention along gradient flow: query and key, value and output, with and "
        "without their biases. **(f)** Losses of gradient descent from starts with equal outputs, minus those from the "
        f"first start: a shifted key bias changes nothing, a shifted value bias up to {told['value-apart']} ℓ."
    )


def alt(data: xr.Dataset) -> str:
    told = numbers(data)
    first, *_, last = told["drifts"].split(", ")
    return (
        "Six panels. Top left, over depths 0 to 1: a weight before and after training, two different curves; all "
        f"weights moved by {told['moved']} %. Top right: the charge density before and after, on one curve. Middle "
        f"left, log-log: the change of the density falls from {first} to {last} % between {runs.LAYERS[0]} and "
        f"{runs.LAYERS[-1]} layers along a dashed line, with a correction along one twice as steep. Middle right: the "
        f"gauge condition falls by a factor of {told['fixed']} under decay and ends at {told['free']} w without it. "
        f"Bottom left: charges with biases change by at most {told['kept']} w², without by {told['lost']} w². Bottom "
        f"right: losses differ by at most {told['key-apart']} ℓ after a shift of the key bias, by up to "
        f"{told['value-apart']} ℓ after one of the value bias."
    )
