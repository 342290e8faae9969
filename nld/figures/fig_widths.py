"""At which widths one learning rate is best: coupled decay moves it, since it lets the angle per step fall.

Angles, losses, alignment, weight decay on a sphere, and who carries the size of a matrix.
"""

import xarray as xr

from nld.figures._data import width_runs as runs
from nld.figures._data.width_contrasts import MIDDLE, best_rate
from nld.figures._data.width_courses import EVIDENCE, KEPT_SEEDS, measure
from nld.figures._data.width_evidence import CLAIMS, evidence
from nld.figures._data.width_prose import numbers
from nld.figures._render.labels import label_panel
from nld.figures._render.style import BASELINE, COLOR, new_mosaic, predicted
from nld.inference import Verdict, rule

__all__ = ["CLAIMS", "EVIDENCE", "KEPT_SEEDS", "alt", "caption", "compute", "draw", "judge", "measure", "numbers"]

ROUNDING = ("sphere_same",)
WIDTH = {32: ("#56B4E9", "o"), 64: ("#0072B2", "s"), 128: ("#D55E00", "^")}
TITLES = (
    ("(a) coupled decay", "(b) independent decay", "(c) held norms"),
    ("(d) coupled", "(e) independent", "(f) held"),
)


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
    """Angles above, losses below them, by scheme; then alignment, the sphere and the multiplier."""
    figure, axes = new_mosaic(["abc", "def", "ghi"], (6.4, 7.2))
    for place, (angle, loss) in enumerate(zip("abc", "def", strict=True)):
        _draw_angles(data.isel(scheme=place), axes[angle])
        _draw_losses(data["judged_loss"].isel(scheme=place), axes[loss])
        axes[angle].set_title(TITLES[0][place])
        axes[loss].set_title(TITLES[1][place])
        for name in (angle, loss):
            if place:
                axes[name].sharey(axes["a" if name == angle else "d"])
                axes[name].tick_params(labelleft=False)
    axes["a"].set_ylabel("angle per step [rad]")
    axes["d"].set_ylabel("validation loss [ℓ]")
    _draw_alignment(data, axes["g"])
    _draw_sphere(data, axes["h"])
    _draw_multiplier(data, axes["i"])
    return figure


def _draw_angles(data: xr.Dataset, axes) -> None:
    step = data["look"].values + 1
    for width, (color, marker) in WIDTH.items():
        angle = data["judged_angle"].isel(rate=0).sel(width=width).mean("judging_seed")
        axes.plot(step, angle, color=color, marker=marker, markersize=2.5, linewidth=1)
        axes.plot(step, data["angle_predicted"].sel(width=width), **predicted(linewidth=0.8))
    axes.set(xscale="log", yscale="log", xlabel="step", ylim=(2e-3, 0.2))
    axes.minorticks_off()


def _draw_losses(losses: xr.DataArray, axes) -> None:
    rates, mean = losses["rate"].values, losses.mean("judging_seed")
    for width, (color, marker) in WIDTH.items():
        axes.plot(rates, mean.sel(width=width), color=color, marker=marker, markersize=3, linewidth=1)
        vertex = 2.0 ** float(best_rate(losses.sel(width=width)).mean())
        axes.axvline(vertex, color=color, linewidth=0.8, linestyle=(0, (2, 1)), ymax=0.12)
    axes.set(xscale="log", xlabel="rate $\\eta$ at width 32")
    axes.minorticks_off()


def _draw_alignment(data: xr.Dataset, axes) -> None:
    shown = data["judged_alignment"].isel(rate=MIDDLE).sel(scheme="independent decay").mean("judging_seed")
    for width, (color, marker) in WIDTH.items():
        axes.plot(data["look"].values + 1, shown.sel(width=width), color=color, marker=marker, markersize=2.5)
    axes.axhline(1, **BASELINE)
    axes.set(xscale="log", yscale="log", xlabel="step", ylabel="alignment")
    axes.set_yticks([1, 2, 4], ["1", "2", "4"])
    axes.minorticks_off()
    axes.set_title("(g) outputs move more")


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
    axes.set_title("(h) on a sphere: $\\eta^2$")


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
    axes.set_title("(i) who carries the size")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "One learning rate serves all widths where the angle per step does not know the width. A byte model with three "
        "normalized matrices and a head; the two matrices whose fan-in is the width learn with AdamW at a rate that "
        "falls as one over the width and **(a)** one weight decay or **(b)** one that grows with the width, or **(c)** "
        f"with held norms. Their angle per step at the rate 2⁻⁶, means over {told['seeds']} judging seeds; dashed, "
        "predicted from the start, for white gradients. **(d–f)** Validation loss over the rate at width 32; ticks "
        "below are vertices of parabolas. **(g)** By how much more than its relative update says a matrix moves its "
        "outputs. **(h)** Angle between held runs with decay and without, after 20 steps; dashed, the square of the "
        "rate. **(i)** Norm of a matrix that learns a map of a wanted size, with a learnable multiplier and without; "
        "dashed, the norm at which noise and decay balance."
    )


def alt(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        f"Nine panels, the first seven with one line for each of the widths {told['widths']}. (a) Angles per step "
        f"stay apart, {told['angles-coupled']} mrad late on the plateau. (b) They begin apart and meet, at "
        f"{told['angles-independent']} mrad. (c) They are one curve, {told['angles-held']} mrad. Measured lines lie "
        "near dashed ones. (d–f) Losses over the learning rate are bowls, lower for larger widths, and their vertices "
        f"move per doubling of the width by {told['moves-coupled']}, {told['moves-independent']} and "
        f"{told['moves-held']} octaves. (g) Alignment begins at {told['alignment-early']} and "
        f"falls to {told['alignment-late']}. (h) Two lines of dots on dashed lines of slope 2. (i) Over wanted sizes "
        f"from 1/4 to 4 norms stay at {told['norms-with']} w with a multiplier and go over {told['norms-without']} w "
        f"without."
    )
