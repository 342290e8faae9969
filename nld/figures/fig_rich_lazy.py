"""Which of two layers starts larger decides whether learning is rich or lazy, and a ReLU turns the answer around.

ReLU and linear students, a grid of scale and imbalance, and a linear neuron on its closed form.
"""

import xarray as xr
from matplotlib import colors

from nld.figures._data import rich_runs as runs
from nld.figures._data.rich_evidence import CLAIMS, evidence
from nld.figures._data.rich_prose import numbers
from nld.figures._data.rich_runs import EVIDENCE, measure
from nld.figures._render.labels import label_panel, label_point
from nld.figures._render.style import BASELINE, new_mosaic, predicted
from nld.figures._render.text import number
from nld.inference import Verdict, rule

__all__ = ["CLAIMS", "EVIDENCE", "alt", "caption", "compute", "draw", "judge", "measure", "numbers"]

ROUNDING = ("grid_residual", "twin_gap", "student_twin_gap", "optimality", "misfit")
SHOWN = {-4.0: ("#D55E00", "s"), 0.0: ("#009E73", "o"), 4.0: ("#0072B2", "^")}  # colour and marker of an imbalance
ON_BRIGHT = "#232323"  # not the colour of text: dark pages brighten that, and the cells stay as they are
STUDENT = {"ReLU": ("#CC79A7", "o"), "linear": ("#E69F00", "D")}


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """A linear neuron, its rates and ends, and grids of students; one size for both profiles.

    Args:
        seed: of inputs, directions and teachers; judging seeds begin at 10,000 + seed.
    """
    parts = (runs.neurons, runs.layer_rates, runs.interpolators, runs.students)
    data = xr.merge([xr.Dataset(part(seed)) for part in parts]).assign_attrs(judged_time=runs.JUDGED_TIME)
    return data.merge(runs.ruling(seed), combine_attrs="no_conflicts")


def judge(data: xr.Dataset) -> list[Verdict]:
    """Each claim by the numbers that it states."""
    return rule(evidence(data))


def draw(data: xr.Dataset):
    """Students by imbalance; two maps over scale and imbalance; a neuron in time, in its plane, and by imbalance."""
    figure, axes = new_mosaic([["order", "kernel"], ["loss", "time"], ["plane", "delta"]], (6.4, 8.0))
    _draw_order(data, axes["order"])
    _draw_map(data, axes["kernel"], "grid_distance", "(b) ReLU: kernel distance")
    _draw_map(data, axes["loss"], "grid_loss", "(c) ReLU: test loss [ℓ]")
    _draw_time(data, axes["time"])
    _draw_plane(data, axes["plane"])
    _draw_imbalances(data, axes["delta"])
    return figure


def _draw_order(data, axes) -> None:
    x = data["judged_imbalance"].values
    for lesson, (color, marker) in STUDENT.items():
        distance = data["judged_kernel_distance"].sel(lesson=lesson)
        # One path for all seeds, broken between them: a path of its own for each makes the page heavy.
        rows = distance.transpose("judging_seed", ...).pad(judged_imbalance=(0, 1)).values.ravel()
        axes.plot([*x, float("nan")] * distance.sizes["judging_seed"], rows, color=color, alpha=0.4, linewidth=0.7)
        axes.plot(x, distance.median("judging_seed"), marker, color=color, markersize=4)
        middle = float(distance.median("judging_seed")[1])
        label_point(axes, lesson, (0, middle), (0, 9) if lesson == "ReLU" else (-12, -19), color=color, ha="center")
    axes.set(
        yscale="log", xlabel="imbalance $\\delta$ [w²]", ylabel="kernel distance $S$", xticks=x, xlim=(-1.15, 1.15)
    )
    axes.minorticks_off()  # on six decades they weigh more than the curves
    axes.set_title("(a) a ReLU turns the order")


def _draw_map(data, axes, name: str, title: str) -> None:
    values = data[name].mean("seed").values
    log = name == "grid_loss"
    norm = colors.LogNorm(values.min(), values.max()) if log else colors.Normalize(0, values.max())
    cells = [range(size) for size in reversed(values.shape)]
    axes.pcolormesh(*cells, values, cmap="cividis_r" if log else "cividis", norm=norm, edgecolors="face")
    for (row, column), value in zip(_cells(values), values.ravel(), strict=True):
        bright = (norm(value) < 0.5) if log else (norm(value) > 0.5)
        text = f"{value:.0e}".replace("e-0", "e−") if log else f"{value:.2f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=ON_BRIGHT if bright else "white")
    axes.set_xticks(range(data.sizes["imbalance"]), [number(v, "g") for v in data["imbalance"].values])
    labels = zip(data["scale"].values, data["grid_time"].values, strict=True)
    axes.set_yticks(range(data.sizes["scale"]), [f"{scale:g}\n$T$={time:.0f}" for scale, time in labels])
    axes.set(xlabel="imbalance $\\delta$ [w²]", ylabel="scale $\\tau$ [w]")
    axes.tick_params(length=0)
    axes.set_title(title)


def _cells(values):
    return [(row, column) for row in range(values.shape[0]) for column in range(values.shape[1])]


def _draw_time(data, axes) -> None:
    for delta, (color, marker) in SHOWN.items():
        dots = data["distance"].sel(delta=delta)[::2]
        axes.plot(data["neuron_time"][::2], dots, marker, color=color, markersize=4)
        axes.plot(data["shown_time"], data["distance_predicted"].sel(delta=delta), **predicted())
    for time in data["at"].values:
        axes.axvline(time, **BASELINE)
    places = {-4.0: (14.5, 0.75, "right"), 0.0: (0.8, 0.14, "right"), 4.0: (2.5, 0.04, "center")}
    for delta, (x, y, ha) in places.items():
        label_point(axes, f"$\\delta$ = {number(delta, 'g')}", (x, y), (-2, 0), color=SHOWN[delta][0], ha=ha)
    axes.set(xscale="log", xlabel="time $T$ [w²/ℓ]", ylabel="kernel distance $S$", xlim=(0.09, 23), ylim=(-0.04, 1))
    axes.minorticks_off()
    axes.set_title("(d) linear neuron: richness takes time")


def _draw_plane(data, axes) -> None:
    for delta, (color, marker) in SHOWN.items():
        path, exact = data["beta"].sel(delta=delta).values, data["beta_predicted"].sel(delta=delta).values
        axes.plot(*path[::2].T, marker, color=color, markersize=4)
        axes.plot(*exact.T, **predicted())
    axes.plot(*runs.FIRST, "o", color="#222222", markersize=6, fillstyle="none")
    axes.plot(*runs.TARGET, "*", color="#222222", markersize=10)
    places = {-4.0: (-0.5, -0.1, "center"), 0.0: (-0.36, 0.4, "left"), 4.0: (-0.62, 0.42, "right")}
    for delta, (x, y, ha) in places.items():
        label_point(axes, f"$\\delta$ = {number(delta, 'g')}", (x, y), color=SHOWN[delta][0], ha=ha)
    axes.set(xlabel="$\\beta_1$ [w²]", ylabel="$\\beta_2$ [w²]", xlim=(-1.1, 0.2), ylim=(-0.16, 1.1))
    axes.set_title("(e) the way of the function")


def _draw_imbalances(data, axes) -> None:
    x, curve = data["delta"].values, data["curve_delta"].values
    for i, (color, marker) in enumerate((("#56B4E9", "o"), ("#CC79A7", "s"))):
        axes.plot(x, data["start_distance"].values[i], marker, color=color, markersize=5)
        axes.plot(x, data["rates_distance"].values[i], marker, color=color, markersize=10, fillstyle="none")
        axes.plot(curve, data["curve_distance"].values[i], **predicted())
    axes.plot(curve, data["final_distance"], **BASELINE)
    label_point(axes, "$T$ = 20", (-2, float(data["start_distance"][1, 1])), (9, 3), color="#CC79A7")
    label_point(axes, "$T$ = 5", (-4, float(data["start_distance"][0, 0])), (24, -3), color="#56B4E9")
    label_panel(
        axes, "filled: imbalanced start\nopen: balanced start,\nunequal rates", 0.97, 0.95, ha="right", va="top"
    )
    axes.set(xlabel="imbalance $\\delta$ [w²]", ylabel="kernel distance $S$", ylim=(-0.04, 1))
    axes.set_title("(f) rates of layers do the same")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "Of two layers with one product, large output weights make learning rich where there is a ReLU, and lazy where "
        "there is none. **(a)** How far the kernel of students with 20 hidden units has turned after "
        f"$T = {told['judged-time']}$ w²/ℓ of gradient descent, at scale 0.3 w, over the imbalance $\\delta$ of each "
        f"unit, outgoing minus incoming squared weights; a line for each of {told['seeds']} judging seeds, marks at "
        "their medians. **(b, c)** "
        "The same and the test loss over scale and imbalance, at a time $T$ that goes as one over the squared scale "
        "(means over two seeds). **(d)** A linear neuron that learns another direction, from one function at three "
        f"imbalances: dots, gradient descent at {runs.RATE:g} w²/ℓ; dashed, the closed form. **(e)** Its function on "
        "the way from the circle to the star. **(f)** Kernel distance at the two dotted times of (d) over the "
        "imbalance. Balanced starts with unequal rates of the layers (open) give what imbalanced ones with equal rates "
        "do (filled); dotted, the limit of endless time."
    )


def alt(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "Six panels. (a) On a logarithmic axis over the imbalances −1, 0 and 1 w², lines of ReLU students rise from "
        f"mean kernel distances of {told['relu-distance-low']} to {told['relu-distance-high']}; lines of linear "
        f"students fall steeply, with means of {told['linear-distances']}. (b) A map of kernel distances: at the "
        f"smallest scale {told['grid-distance-small']} at imbalances of −1, −0.5 and 1 w², at the largest at most "
        f"{told['grid-distance-large']}. (c) A map of test losses, which fall towards large imbalances and small "
        f"scales: {told['grid-loss-small']} ℓ at the same three places. (d) Kernel distance over logarithmic time, "
        f"dots on dashed curves: for imbalances of −4, 0 and 4 w² {told['early']} at time 5 and {told['late']} at time "
        "20. (e) Three paths in a plane from (−1, 0) to (0, 1): of 4 w² straight, of 0 a slight S below it, of −4 w² "
        "along the axis to near zero and then in an arc up. (f) Kernel distance over the imbalance at times 5 and 20: "
        "open and filled symbols coincide on dashed curves, which agree above 0 and part below."
    )
