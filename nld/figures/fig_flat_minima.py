"""The charge says where in its valley a network lies and how sharp it is there; steps that are too large lower it.

Charges of element-wise activations, their drift in steps, random starts and the edge of stability stand beside it.
"""

import numpy as np
import xarray as xr

from nld.figures._data import flat_minima_runs as runs
from nld.figures._data.flat_minima_evidence import CLAIMS, evidence
from nld.figures._data.flat_minima_prose import numbers
from nld.figures._render.labels import label_panel, label_point, ticks_at
from nld.figures._render.style import BASELINE, COLOR, new_mosaic, predicted
from nld.figures.evidence import judged
from nld.inference import Verdict, rule

__all__ = ["CLAIMS", "alt", "caption", "compute", "draw", "judge", "numbers"]

ROUNDING = ("flow_drift", "slide_residual", "law_left", "step_left")
SEEDS = 8  # at the edge, as many as are registered
SHADES = {"linear": COLOR["general_linear"], "tanh": COLOR["rotation"], "sigmoid": COLOR["rescale"]}
MARKERS = {"linear": "o", "tanh": "D", "sigmoid": "s"}


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """Small networks along the flow and in steps; one size for both profiles.

    Args:
        seed: of starts and targets; it shifts the block of judging seeds.
    """
    parts = (runs.slides, runs.random_products, runs.valleys, runs.drifts, runs.starts)
    data = xr.merge([xr.Dataset(part(seed)) for part in parts])
    ruling = judged("", runs.measure, seed=seed, live=SEEDS)
    return data.merge(ruling, combine_attrs="no_conflicts").assign_attrs(
        seed=seed, limit=2 / runs.SLIDE_RATE, settled=runs.SETTLED
    )


def judge(data: xr.Dataset) -> list[Verdict]:
    """Each claim by the numbers that it states, in small networks."""
    return rule(evidence(data))


def draw(data: xr.Dataset):
    """The slide down the valley above; valleys and drifts; random starts and the edge."""
    layout = [["slide", "slide"], ["valley", "drift"], ["start", "edge"]]
    figure, axes = new_mosaic(layout, (6.4, 7.4), height_ratios=[1.2, 1, 1])
    _draw_slide(data, axes["slide"])
    _draw_valleys(data, axes["valley"])
    _draw_drift(data, axes["drift"])
    _draw_starts(data, axes["start"])
    _draw_edge(data, axes["edge"])
    return figure


def _draw_slide(data, axes) -> None:
    color, limit = COLOR["gradient_descent"], data.attrs["limit"]
    line = np.linspace(-8.6, 8.6, 201)
    axes.plot(line, np.sqrt(line**2 + 4), **predicted())
    axes.axhline(limit, **BASELINE)
    charge, sharpness = data["slide_charge"].values, data["slide_sharpness"].values
    axes.plot(charge[0], sharpness[0], "o", mfc="none", color="#888888", markersize=7)
    axes.plot(charge[1], sharpness[1], "o", color=color, markersize=4.5)
    label_panel(axes, "open: gradient flow", 0.5, 0.9, ha="center", color="#888888")
    label_panel(axes, "filled: gradient descent from the same starts", 0.5, 0.82, ha="center", color=color)
    label_point(axes, "$2/\\eta$", (-8.6, limit), (2, 4), color="#888888")
    label_point(axes, "$\\sqrt{Q^2+4y^2}$", (7.0, np.sqrt(53.0)), (8, -12))
    axes.set(xlabel="charge $Q=u^2-v^2$ [w²]", ylabel="sharpness [ℓ/w²]", ylim=(1, 9.2))
    axes.set_title("(a) where training ends in the valley $uv=1$")


def _draw_valleys(data, axes) -> None:
    line = data["valley_line"].values
    for name in data["valley"].values:
        row = data.sel(valley=name)
        axes.plot(line, row["valley_curve"], **predicted())
        inside = (row["valley_charge"] > line[0]) & (row["valley_charge"] < line[-1])
        axes.plot(row["valley_charge"][inside], row["valley_sharpness"][inside], MARKERS[name], color=SHADES[name],
                  markersize=4)  # fmt: skip
    for name, place, shift in (("linear", 70, (-30, 0)), ("tanh", 78, (6, -6)), ("sigmoid", 84, (-8, 5))):
        label_point(axes, name, (line[place], data["valley_curve"].sel(valley=name).values[place]), shift,
                    color=SHADES[name])  # fmt: skip
    axes.set(xlabel="charge at the start $C$ [w²]", ylabel="sharpness at the end [ℓ/w²]", ylim=(0, None))
    axes.set_title("(b) three activations")


def _draw_drift(data, axes) -> None:
    rate = data["rate"].values
    for name in ("linear", "tanh", "sigmoid"):
        row = data.sel(activation=name)
        axes.plot(rate, row["drift_predicted"], **predicted())
        shown = row["drift"].values < 1
        axes.plot(rate[shown], row["drift"].values[shown], MARKERS[name], color=SHADES[name], markersize=4.5)
    for name, at, shift in (("linear", 2, (-32, 4)), ("tanh", 1, (6, -8)), ("sigmoid", 4, (8, -7))):
        label_point(axes, name, (rate[at], data["drift"].sel(activation=name).values[at]), shift, color=SHADES[name])
    axes.set(xscale="log", yscale="log", ylim=(7e-4, None))
    axes.set(xlabel="learning rate $\\eta$ [w²/ℓ]", ylabel="drift of a charge [w²]")
    ticks_at(axes.xaxis, rate)
    axes.set_title("(c) steps move the charge")


def _draw_starts(data, axes) -> None:
    shades = (COLOR["general_linear"], COLOR["unconstrained"])
    for row, units, color in zip(range(2), data["start_units"].values, shades, strict=True):
        values, (mean, deviation) = data["start_quantile"].values[row], data["start_law"].values[row]
        axes.hist(values, bins=18, density=True, color=color, alpha=0.55)
        line = np.linspace(mean - 4 * deviation, mean + 4 * deviation, 101)
        density = np.exp(-(((line - mean) / deviation) ** 2) / 2) / deviation / np.sqrt(2 * np.pi)
        axes.plot(line, density, **predicted())
        label_point(axes, f"{units} units", (mean + deviation, density.max() * 0.62), (5, 0), color=color)
    axes.set(xlabel="charge a hidden unit at the start [w²]", ylabel="density [1/w²]")
    axes.set_title("(d) random starts")


def _draw_edge(data, axes) -> None:
    step, color = data["edge_step"].values, COLOR["gradient_descent"]
    axes.plot(step, data["edge_charge"].transpose("edge_step", ...), color=color, linewidth=0.7, alpha=0.4)
    run = data.isel(
        judging_seed=int(data["entered"].values.argmax())
    )  # the last one to settle, which has moved least till then
    entered, charge = int(run["entered"]), run["edge_charge"].values
    begin = int(np.searchsorted(step, entered + int(data.attrs["settled"])))
    drift = np.cumsum(runs.EDGE_EVERY * run["foreseen"].values[begin:-1])
    axes.plot(step, charge, color=color, linewidth=2.6, alpha=0.9)
    axes.plot(step[begin:], charge[begin] + np.concatenate([[0], drift]), **predicted())
    axes.axvline(entered, **BASELINE)
    label_point(axes, "$\\eta\\lambda=2$", (entered, -6), (-3, 0), color="#888888", ha="right")
    axes.set(xlabel="step", ylabel="charge $\\|W_2\\|^2-\\|W_1\\|^2$ [w²]")
    axes.set_title("(e) two layers at the edge")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "The charge says how sharp the minimum is at which training ends, and steps that are too large lower it. "
        "**(a)** Sharpness against charge at the end, for runs of two factors towards $uv = 1$. Gradient flow keeps "
        "the charge and ends on the curve above its start. Gradient descent cannot end above $2/\\eta$ = "
        f"{told['limit']} ℓ/w² (dotted) and lost charge until it was below. **(b)** One hidden unit: sharpness after "
        "gradient flow, and what the charge at the start foretells (dashed), within a relative error of "
        f"{told['valley-off']}. **(c)** Largest drift of the charge of fifty units by the time {runs.END:g} w²/ℓ. The "
        "dashed lines are foreseen from gradient flow alone; at the smallest rate they are off by at most "
        f"{told['forecast-off']} %. **(d)** Charges of random starts of linear networks, over the number of units, and "
        f"normal curves of the closed form: a deviation of {told['start-narrow']} w² with fifty units, of "
        f"{told['start-narrower']} w² with four hundred. **(e)** {told['edge-runs']} pairs of linear layers at the "
        "edge of stability, which the thick line reached last (dotted). Dashed: the drift that the valley foretells, "
        f"from {runs.SETTLED:,} steps later; in all runs it is within {told['central-worst']} %."
    )


def alt(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "Five panels. Top: open circles of gradient flow lie on a hyperbola, from "
        f"{told['slide-start-sharpness']} at a charge of −{told['slide-charge-start']} down to 2 at 0 and up again at "
        f"{told['slide-charge-start']}; {told['slides-above']} of {told['slides']} lie above a dotted line at "
        f"{told['limit']}, while all filled dots of gradient descent lie on the curve at {told['slide-highest']} or "
        "less. Middle left, dots lie on three dashed curves: for linear units a hyperbola, for tanh units one that "
        "rises on the right only, for sigmoid units one that falls slowly. Middle right, on logarithmic axes, drifts "
        f"rise with the learning rate with slopes of {told['slopes']}, near dashed lines. Bottom left, two "
        f"histograms under dashed bell curves around {told['start-mean']}, the one of four hundred units narrower. "
        f"Bottom right, charges that begin between {told['edge-before']} fall in stairs, then smoothly, and end "
        f"between {told['edge-after']} after {runs.EDGE_STEPS} steps, one of them along a dashed line."
    )
