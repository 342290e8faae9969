"""Weight decay balances layers; what is left switches off continuously with one hidden layer and at once with more.

Charges of other metrics, thresholds of singular values and the times at which they rise stand beside it.
"""

import xarray as xr

from nld.figures._data import balancing_runs as runs
from nld.figures._data.balancing_evidence import CLAIMS, KEPT, evidence
from nld.figures._data.balancing_prose import numbers
from nld.figures._render.labels import label_point
from nld.figures._render.style import COLOR, new_mosaic, predicted
from nld.figures._render.text import number
from nld.inference import Verdict, rule

__all__ = ["CLAIMS", "alt", "caption", "compute", "draw", "judge", "numbers"]

ROUNDING = (
    "sweep_imbalance", "charge_drift", "step_residual", "fix_rise", "fix_imbalance", "fix_output",
)  # fmt: skip
MARKERS = "osD"


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """Sweeps of the decay, charges, thresholds and times of small networks; one size for both profiles.

    Args:
        seed: of weights, targets and inputs.
    """
    parts = (
        runs.transitions, runs.decaying_charges, runs.power_charges, runs.fixes, runs.thresholds, runs.rises,
    )  # fmt: skip
    return xr.merge([xr.Dataset(part(seed)) for part in parts]).assign_attrs(seed=seed)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Each claim by the numbers that it states, in small networks."""
    return rule(evidence(data))


def draw(data: xr.Dataset):
    """Sweeps above; charges in time and by metric; singular values over the decay and in time."""
    layout = [["sweep", "sweep"], ["charge", "table"], ["left", "rise"]]
    figure, axes = new_mosaic(layout, (6.4, 7.2), height_ratios=[1.2, 1, 1])
    _draw_sweeps(data, axes["sweep"])
    _draw_charges(data, axes["charge"])
    _draw_table(data, axes["table"])
    _draw_singular_values(data, axes["left"], axes["rise"])
    return figure


def _draw_sweeps(data, axes) -> None:
    ratio, color = data["ratio"].values, COLOR["gradient_descent"]
    for depth, marker in zip(data["depth"].values, MARKERS, strict=True):
        upper = data["upper_minimum"].sel(depth=depth).values
        on = upper > 0
        axes.plot(ratio[on], upper[on], **predicted())
        for direction, face, size in (("up", color, 5), ("down", "none", 4 if marker == "D" else 8)):
            norm = data["norm"].sel(depth=depth, direction=direction)
            axes.plot(ratio, norm, marker, color=color, markersize=size, mfc=face)
        end = ratio[on][-1]
        words = ("one hidden layer", "two", "three")[int(depth) - 1]
        place = (end, upper[on][-1]) if depth > 1 else (ratio[6], upper[6])
        label_point(axes, words, place, (7, 3), color=color)
    axes.axvline(1, color="#888888", linestyle=":", linewidth=1.4)
    label_point(axes, "raised: filled\nlowered: open", (0.3, 0), (2, 12), color=color)
    axes.set(xlabel="weight decay over the critical one $\\gamma/\\gamma_c$", ylabel="norm of the product [$w^{D+1}$]")
    axes.set_title("(a) what a trained network keeps under weight decay")


def _draw_charges(data, axes) -> None:
    t = data["time"].values
    axes.plot(t, data["charge"].values[-1], color=COLOR["general_linear"], linewidth=3, alpha=0.8)
    axes.plot(t, data["charge_predicted"], **predicted())
    label_point(axes, "$e^{-4\\gamma t}$", (t[len(t) // 2], data["charge_predicted"].values[len(t) // 2]), (6, 6))
    axes.set(yscale="log", xlabel="time $t$ [w²/ℓ]", ylabel="charge, relative")
    axes.set_title("(b) decay balances the layers")


def _draw_table(data, axes) -> None:
    drift = data["charge_drift"].values
    for row in range(len(drift)):
        for column in range(len(drift)):
            value = drift[column, row]
            kept = value < KEPT
            axes.scatter(column, row, s=900 if kept else 0, color=COLOR["rescale"], alpha=0.35, linewidth=0)
            axes.text(column, row, "kept" if kept else f"{value:.2f}", ha="center", va="center")
    names = [f"$p = {p:g}$" for p in data["power"].values]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), [f"$\\sum\\pm|w|^{{{p:g}}}$" for p in data["power"].values])
    axes.set(xlim=(-0.6, len(names) - 0.4), ylim=(len(names) - 0.4, -0.6), xlabel="flow in the metric $|w|^{p-2}$")
    axes.tick_params(length=0)
    axes.set_title("(c) the metric's charge")


def _draw_singular_values(data, left, rise) -> None:
    blue = COLOR["gradient_descent"]
    for axes, x, name in ((left, data["decay"].values, "left"), (rise, data["rise_time"].values, "risen")):
        style = (
            {"marker": "o", "linestyle": "", "markersize": 2.8} if name == "left" else {"linewidth": 2.6, "alpha": 0.7}
        )
        axes.plot(x, data[name].values, color=blue, **style)
        axes.plot(x, data[f"{name}_predicted"].values, **predicted())
        axes.set(ylabel="singular values [w²]", xlim=(0, x[-1]))
    for m, half in zip(data["rising"].values, data["half_rise"].values, strict=True):
        label_point(rise, f"{m:g}", (half, m / 2), (5, -3), color=blue)
    left.set(xlabel="weight decay $\\gamma$ [ℓ/w²]")
    left.set_title("(d) what decay leaves")
    rise.set(xlabel="time $t$ [w²/ℓ]")
    rise.set_title("(e) one after the other")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "With one hidden layer weight decay switches a network off little by little, with more of them at once, and "
        "lowering the decay does not switch it on again. **(a)** Norm of the product of linear layers, trained at each "
        "decay from where the last one ended, against the closed form (dashed, to the end of the minimum, at "
        f"{told['spinodal']} times the critical decay for two and three hidden layers). **(b)** Reason: the charges of "
        "two hidden layers fall as $e^{-4\\gamma t}$, and balanced layers make the penalty a function of the product. "
        "**(c)** Largest drift of the sum of $|w|^p$, incoming minus outgoing weights of a ReLU unit, under flows in "
        f"the metric $|w|^{{p-2}}$: each keeps its own ({told['kept']}). **(d)** Singular values of two layers over "
        f"the decay, and the target's lowered by it (dashed, within {told['threshold-gap']} w²). **(e)** Without "
        f"decay, from small balanced weights, they rise one by one; half-way is reached at most {told['late']} % from "
        "the time of the logistic function (dashed)."
    )


def alt(data: xr.Dataset) -> str:
    told, drift = numbers(data), data["charge_drift"].values
    rows = "; ".join(
        f"of {p:g}: " + ", ".join("kept" if x < KEPT else number(x, ".2f") for x in drift[:, i])
        for i, p in enumerate(data["power"].values)
    )
    return (
        "Five panels. Top: norms against the decay over its critical value lie on dashed curves; for one hidden layer "
        f"they fall to 0 at 1, for two and three the raised ones are last above 0 at {told['last-on']}, with norms of "
        f"{told['last-norm']}, and the lowered ones stay at 0. Middle left, on a logarithmic axis, a charge falls "
        f"{told['charge-falls']}-fold along a straight dashed line. Middle right, a table of drifts under flows of p "
        f"1, 1.5 and 2, of the charge {rows}. Bottom left, six singular values fall to 0 along dashed lines of one "
        f"slope. Bottom right, four rise in S-shaped curves, half-way at {told['halves']}."
    )
