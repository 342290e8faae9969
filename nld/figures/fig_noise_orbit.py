"""SGD slides along a valley of equal networks to the point where its noise balances; gradient descent stays.

Charges by the exact law, two linear layers against the optimum of their orbit, ReLU units, and a norm with and without
decay.
"""

import numpy as np
import xarray as xr

from nld.figures._data import noise_orbit_runs as runs
from nld.figures._data.noise_orbit_evidence import CLAIMS, evidence
from nld.figures._data.noise_orbit_prose import numbers
from nld.figures._render.labels import label_panel, label_point, ticks_at
from nld.figures._render.style import BASELINE, COLOR, band, new_mosaic, predicted
from nld.figures.evidence import judged
from nld.inference import Verdict, rule

__all__ = ["CLAIMS", "alt", "caption", "compute", "draw", "judge", "numbers"]

SEEDS = 12  # that judge, all shown
SPENT = 10_000  # judging seeds from 10,000 were run at a rate at which one ReLU network diverged; these are new ones
ROUNDING = ("law_error", "telescoped", "curve_error", "source_left", "loss_moved", "norm_law_error", "norm_fall")
BLUE = COLOR["gradient_descent"]


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """Runs in a valley of two weights, and those of the judging seeds; one size for both profiles.

    Args:
        seed: of the runs in the valley; shifts the judging seeds.
    """
    ruling = judged("", runs.measure, seed=SPENT + seed, live=SEEDS)
    return ruling.assign(runs.valley(seed)).assign_attrs(seed=seed)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Identities to rounding, and over seeds what SGD and gradient descent do to noise, units and norms."""
    return rule(evidence(data))


def draw(data: xr.Dataset):
    """The valley and its charge; two linear layers; ReLU units and the norm of scale-invariant weights."""
    layout = [["valley", "charge"], ["balance", "values"], ["units", "norm"]]
    figure, axes = new_mosaic(layout, (6.4, 7.8), height_ratios=[1.25, 1, 1])
    _draw_valley(data, axes["valley"])
    _draw_charge(data, axes["charge"])
    _draw_balance(data, axes["balance"])
    _draw_values(data, axes["values"])
    _draw_units(data, axes["units"])
    _draw_norm(data, axes["norm"])
    return figure


def _draw_valley(data, axes) -> None:
    x = np.geomspace(0.3, 3, 100)
    for sign in (1, -1):
        axes.plot(sign * x, sign / x, **BASELINE)
        axes.plot(sign, sign, "o", color=predicted()["color"], mfc="none", markersize=9)
    paths = data["valley"].transpose("method", "run", "valley_step", "weight").values
    for sgd, descent in zip(paths[0], paths[2], strict=True):
        axes.plot(*sgd.T, color=BLUE, linewidth=0.6, alpha=0.6)
        axes.plot(*descent[-1], "s", color="#888888", markersize=5)
        axes.plot(*sgd[-1], "o", color=BLUE, markersize=5)
        axes.plot(*sgd[0], "x", color="#888888", markersize=4)
    label_panel(axes, "● ends of SGD", 0.02, 0.9, color=BLUE)
    label_panel(axes, "■ of gradient\n   descent", 0.02, 0.77, color="#888888")
    axes.set(xlim=(-2.9, 2.9), ylim=(-2.9, 2.9), xlabel="weight $u$ [w]", ylabel="weight $w$ [w]")
    axes.set_title("(a) along the valley $uw = 1$")


def _draw_charge(data, axes) -> None:
    step, charge = data["valley_step"].values, (data["valley"] ** 2).isel(run=0)
    charge = (charge.sel(weight="u") - charge.sel(weight="w")).values
    axes.plot(step, charge[2], **BASELINE)
    for row, (words, at, shift) in enumerate((("SGD", 100, (5, 5)), ("with decay", 130, (-52, -8)))):
        axes.plot(step, charge[row], color=BLUE, linewidth=3, alpha=0.5)
        axes.plot(step, data["charge_law"].values[row], **predicted())
        label_point(axes, words, (step[at], charge[row][at]), shift, color=BLUE)
    label_point(axes, "gradient descent", (step[90], charge[2][90]), (0, -12), color="#888888")
    axes.set(yscale="log", xlabel="steps", ylabel="charge $u^2 - w^2$ [w²]")
    axes.set_title("(b) its charge, step by step")


def _draw_balance(data, axes) -> None:
    time = data["pair_time"].values
    sgd, descent = data["imbalance"].mean("start").values, data["descent_imbalance"].mean("start").values
    band(axes, time, descent.T, "#888888", linestyle=":", linewidth=1.4)
    band(axes, time, sgd[0].T, BLUE, linewidth=1.6)
    axes.plot(time, np.median(sgd[1], axis=1), "o", color=BLUE, mfc="none", markersize=4)
    late = time >= 4
    axes.plot(time[late], np.median(sgd[0][-1]) * time[-1] / time[late], **predicted())
    label_panel(axes, "gradient descent", 0.62, 0.8, color="#888888")
    label_point(axes, "SGD", (time[5], np.median(sgd[0][5])), (-26, -10), color=BLUE)
    label_point(axes, "slope $-1$", (time[9], np.median(sgd[0][9])), (6, 8))
    axes.set(xscale="log", yscale="log", xlabel="steps times $\\eta^2$ [w⁴/ℓ²]", ylabel="imbalance of noise")
    ticks_at(axes.xaxis, [0.1, 1, 10])
    ticks_at(axes.yaxis, [0.1, 0.3, 1])
    axes.set_title("(c) the noise of two layers balances")


def _draw_values(data, axes) -> None:
    time, one = data["pair_time"].values, data.isel(judging_seed=0)
    for value in one["resting_values"].values:
        axes.axhline(value, **predicted())
    for start, width in ((0, 2.4), (1, 1.2)):
        values, descent = one["values"].isel(pair_rate=0, start=start), one["descent_values"].isel(start=start)
        axes.plot(time, values.values, color=BLUE, linewidth=width, alpha=0.7)
        axes.plot(time, descent.values, **BASELINE)
    label_panel(axes, "gradient descent", 0.4, 0.87, color="#888888")
    label_panel(axes, "SGD, thick and thin: two starts", 0.15, 0.67, color=BLUE)
    axes.set(xlabel="steps times $\\eta^2$ [w⁴/ℓ²]", ylabel="singular values of $U$ [w]", xlim=(0, time[-1]))
    axes.set_title("(d) from two starts to the optimum")


def _draw_units(data, axes) -> None:
    time = data["relu_time"].values
    descent, sgd = data["distance"].values[1], data["distance"].values[0]
    band(axes, time, descent.T, "#888888", linestyle=":", linewidth=1.4)
    band(axes, time, sgd.T, BLUE, linewidth=1.6)
    label_point(axes, "gradient descent", (time[8], np.median(descent[8])), (0, 5), color="#888888")
    label_point(axes, "SGD", (time[8], np.median(sgd[8])), (0, 10), color=BLUE)
    axes.set(xlabel="steps times $\\eta^2$ [w⁴/ℓ²]", ylabel="distance from the optimum", ylim=(0, None))
    axes.set_title("(e) ReLU units go there too")


def _draw_norm(data, axes) -> None:
    step, law = data["norm_step"].values / 1000, data["fourth_power_law"].values
    fourth = data["fourth_power"].transpose("norm_case", "judging_seed", "norm_step").values
    for case, color in enumerate((COLOR["scale"], BLUE, BLUE)):
        band(axes, step, fourth[case], color, linewidth=1.6)
        axes.plot(step, law[:, case], **predicted())
    label_panel(axes, "no decay", 0.62, 0.74, color=COLOR["scale"])
    label_panel(axes, "with decay", 0.55, 0.4, color=BLUE)
    axes.set(yscale="log", xlabel="thousand steps", ylabel="$\\|q\\|^4$ [w⁴]", ylim=(0.8, 150))
    axes.set_title("(f) a norm rests only with decay")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "Networks of one function differ in how noisy their gradients are, and SGD goes to the one where the noise of "
        "all layers balances; gradient descent stays where it meets the valley. **(a)** Two weights with the loss "
        "$(uwx-y)^2$ on noisy samples: minima (dotted), starts (crosses), ends of SGD (dots) and of gradient descent "
        "(squares), the optimum (rings). **(b)** The charge of one run against the product of its factors (dashed). "
        "**(c)** Imbalance of the noise of two linear layers, averaged over all steps so far, at two learning rates "
        f"(line and circles), falls at last in inverse proportion to their number. **(d)** The outer layer from two "
        f"starts, averaged, goes to the optimum of the orbit (dashed, within {told['resting-gap']} %), which needs no "
        "training to compute; gradient descent (dotted) does not. **(e)** Mean distance of ReLU units from the optimum "
        "of their orbits. **(f)** A normalized neuron against the law (dashed). Bands: range over "
        f"{told['seeds']} seeds, lines their medians."
    )


def alt(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "Six panels. Top left, in the plane of two weights paths of SGD run along the two branches of a hyperbola to "
        f"the points of equal weights, where the logarithms of the two differ by at most {told['tilt-sgd']}; those of "
        f"gradient descent end {told['tilt-descent']} or more apart. Top right, on a logarithmic axis the "
        "charge of SGD falls along dashed lines, faster with decay, and that of gradient descent is level. Middle "
        f"left, imbalance falls from {told['early']} to {told['late']} while that of gradient descent stays at "
        f"{told['descent']}. Middle right, four singular values from two starts join and run along dashed lines. "
        f"Bottom left, distances fall from {told['distance-start']} to {told['distance-late']}, under gradient descent "
        f"to {told['distance-descent']}. Bottom right, fourth powers of a norm grow to {told['grown']} w⁴ without "
        f"decay, and with it reach {told['rested']} w⁴ from below and above."
    )
