"""Whether one learning rate is best at all widths, with coupled and independent decay and with held norms.

Best rates, losses, angles per step, alignment, weight decay on a sphere, and who carries the size of a matrix.
"""

import xarray as xr

from nld.figures._data import width_runs as runs
from nld.figures._data.width_contrasts import MIDDLE, best_rate
from nld.figures._data.width_courses import EVIDENCE, KEPT_SEEDS, measure
from nld.figures._data.width_evidence import CLAIMS, evidence
from nld.figures._data.width_prose import numbers
from nld.figures._render.labels import label_panel, label_point, ticks_at
from nld.figures._render.style import BASELINE, COLOR, new_mosaic, predicted
from nld.inference import Verdict, rule

__all__ = ["CLAIMS", "EVIDENCE", "KEPT_SEEDS", "alt", "caption", "compute", "draw", "judge", "measure", "numbers"]

ROUNDING = ("sphere_same",)
SCHEME = {
    "coupled decay": (COLOR["unconstrained"], "s"),
    "independent decay": ("#009E73", "o"),
    "held norms": (COLOR["constrained"], "^"),
}
WIDTH = {32: ":", 64: "--", 128: "-"}  # line of a width, where all are of one scheme


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """Judging seeds, the angles that theory predicts, and held runs with decay and without; one size for all profiles.

    Args:
        seed: of the held runs; judging seeds are kept.
    """
    return xr.merge([runs.ruling(), runs.predictions(), runs.sphere(seed)], combine_attrs="no_conflicts")


def judge(data: xr.Dataset) -> list[Verdict]:
    """Each claim by the numbers that it states."""
    return rule(evidence(data))


def draw(data: xr.Dataset):
    """Best rates and losses; angles and alignment; the sphere and the multiplier."""
    figure, axes = new_mosaic([["a", "b"], ["c", "d"], ["e", "f"]], (6.4, 7.8))
    _draw_best_rates(data["judged_loss"], axes["a"])
    _draw_losses(data["judged_loss"].mean("judging_seed"), axes["b"])
    _draw_angles(data, axes["c"])
    _draw_alignment(data, axes["d"])
    _draw_sphere(data, axes["e"])
    _draw_multiplier(data, axes["f"])
    return figure


def _draw_best_rates(losses: xr.DataArray, axes) -> None:
    width, best = losses["width"].values, best_rate(losses)
    for name, (color, marker) in SCHEME.items():
        rows = best.sel(scheme=name).pad(width=(0, 1)).values.ravel()
        axes.plot([*width, float("nan")] * losses.sizes["judging_seed"], rows, color=color, alpha=0.3, linewidth=0.7)
        axes.plot(width, best.sel(scheme=name).median("judging_seed"), marker, color=color, linestyle="-", markersize=4)
    axes.set(xscale="log", yscale="log", xlabel="width $n$", ylabel="best rate at width 32, $\\eta$")
    ticks_at(axes.xaxis, width)
    axes.set_yticks([2.0**-8, 2.0**-9, 2.0**-10], ["2⁻⁸", "2⁻⁹", "2⁻¹⁰"])
    axes.minorticks_off()
    label_panel(axes, "coupled decay", 0.04, 0.9, color=SCHEME["coupled decay"][0])
    label_panel(axes, "held norms", 0.04, 0.8, color=SCHEME["held norms"][0])
    label_panel(axes, "independent decay", 0.5, 0.06, color=SCHEME["independent decay"][0])
    axes.set_title("(a) best rate by width")


def _draw_losses(mean: xr.DataArray, axes) -> None:
    rates = mean["rate"].values
    for name, (color, marker) in SCHEME.items():
        for width in mean["width"].values[[0, -1]]:
            # at the base width both decays are one
            if (name, width) != ("independent decay", 32):
                loss = mean.sel(scheme=name, width=width)
                axes.plot(rates, loss, color=color, marker=marker, markersize=3, linestyle=WIDTH[int(width)])
    axes.set(xscale="log", xlabel="rate at width 32, $\\eta$", ylabel="validation loss [ℓ]")
    label_panel(axes, "width 32", 0.06, 0.78)
    label_panel(axes, "width 128", 0.04, 0.04)
    axes.minorticks_off()
    axes.set_title("(b) loss over the rate")


def _draw_angles(data: xr.Dataset, axes) -> None:
    step = data["look"].values + 1
    for name, (color, marker) in SCHEME.items():
        for width in data["width"].values[[0, -1]]:
            if (name, width) != ("independent decay", 32):
                at = {"scheme": name, "width": width}
                angle = data["judged_angle"].isel(rate=0).sel(at).mean("judging_seed")
                axes.plot(step, angle, color=color, marker=marker, markersize=3, linestyle="none")
                axes.plot(step, data["angle_predicted"].sel(at), **predicted(linewidth=0.9))
    axes.set(xscale="log", yscale="log", xlabel="step", ylabel="angle per step [rad]")
    axes.minorticks_off()
    axes.set_title("(c) angles at widths 32 and 128")


def _draw_alignment(data: xr.Dataset, axes) -> None:
    shown = data["judged_alignment"].isel(rate=MIDDLE).sel(scheme="independent decay").mean("judging_seed")
    color, marker = SCHEME["independent decay"]
    for width, line in WIDTH.items():
        alignment = shown.sel(width=width).values
        axes.plot(data["look"].values + 1, alignment, color=color, marker=marker, markersize=2.5, linestyle=line)
        label_point(axes, f"{width}", (9, alignment[4]), (0, 5), color=color, ha="center")
    axes.axhline(1, **BASELINE)
    axes.set(xscale="log", xlabel="step", ylabel="alignment", ylim=(0, 1.15 * float(shown.max())))
    axes.minorticks_off()
    axes.set_title("(d) alignment by width")


def _draw_sphere(data: xr.Dataset, axes) -> None:
    rate = data["sphere_rate"].values
    for name, color, marker in (("AdamW", COLOR["adamw"], "o"), ("heavy ball", COLOR["heavy_ball"], "s")):
        apart = data["sphere_apart"].sel(sphere_rule=name).values
        axes.plot(rate, apart, marker, color=color, markersize=3.5)
        axes.plot(rate, apart[-1] * (rate / rate[-1]) ** 2, **predicted())
    label_panel(axes, "heavy ball", 0.06, 0.86, color=COLOR["heavy_ball"])
    label_panel(axes, "AdamW", 0.5, 0.18, color=COLOR["adamw"])
    axes.set(xscale="log", yscale="log", xlabel="rate $\\eta$", ylabel="turned by decay [rad]")
    axes.minorticks_off()
    axes.set_title("(e) decay on a sphere: $\\eta^2$")


def _draw_multiplier(data: xr.Dataset, axes) -> None:
    wanted, norm = data["wanted"].values, data["judged_norm"].mean("judging_seed")
    axes.plot(wanted, norm.sel(multiplied="without"), "s-", color=COLOR["unconstrained"], markersize=3.5)
    axes.plot(wanted, norm.sel(multiplied="with"), "o-", color=COLOR["constrained"], markersize=3.5)
    axes.axhline(float(data["norm_predicted"]), **predicted())
    label_panel(axes, "without", 0.42, 0.78, color=COLOR["unconstrained"])
    label_panel(axes, "with multiplier", 0.4, 0.14, color=COLOR["constrained"])
    axes.set(xscale="log", yscale="log", xlabel="wanted size", ylabel="norm of the matrix [w]")
    axes.set_xticks([0.25, 1, 4], ["1/4", "1", "4"])
    axes.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
    axes.minorticks_off()
    axes.set_title("(f) who carries the size")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        f"{told['message']}. A byte model with three normalized matrices and a head; the two matrices whose fan-in is "
        "the width learn with AdamW at a rate that falls as one over the width and a decay that is the same at all "
        "widths (coupled) or grows with the width (independent), or with held norms. **(a)** The best rate, vertex of "
        f"a parabola through the losses of five; a line for each of {told['seeds']} judging seeds, marks at medians. "
        "**(b)** Those losses, means over seeds, at the smallest width (dotted) and the largest. **(c)** Angle per "
        "step of these runs at the largest rate, colours and marks as in (a); dashed, predicted from the start for "
        "white gradients. **(d)** By how much more a matrix moves its outputs than its relative update says, for three "
        "widths. **(e)** Angle between held runs with decay and without after 20 steps; dashed, the square of the "
        "rate. **(f)** Norm of a matrix that learns a map of a wanted size, with a learnable multiplier and without; "
        "dashed, the norm at which noise and decay balance."
    )


def alt(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        f"Six panels. (a) On logarithmic axes over the widths {told['widths']}, best rates move per doubling by "
        f"{told['moves-coupled']} octaves with coupled decay, {told['moves-independent']} with independent decay and "
        f"{told['moves-held']} with held norms. (b) Five curves of loss over the rate are bowls, those of width 128 "
        f"lower. (c) Angles per step on dashed curves; late on the plateau {told['angles-coupled']} mrad at the three "
        f"widths with coupled decay, {told['angles-independent']} with independent decay, which begins as low, and "
        f"{told['angles-held']} with held norms. (d) Alignment is {told['alignment-early']} for the three widths in "
        f"the first steps and {told['alignment-late']} at the end. (e) Two rows of dots on dashed lines of slope 2. "
        f"(f) Over wanted sizes from 1/4 to 4, norms stay at {told['norms-with']} w with a multiplier and go over "
        f"{told['norms-without']} w without."
    )
