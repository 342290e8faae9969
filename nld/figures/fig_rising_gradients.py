"""Gradients rise as the rate falls, since weight decay shrinks what the loss does not see; corrected decay does not.

A language model under AdamW and a digits network under SGD with momentum, with forecasts made before the rate falls.
"""

import numpy as np
import xarray as xr

from nld.figures._data import rising_courses
from nld.figures._data.rising_evidence import CLAIMS, evidence
from nld.figures._data.rising_prose import loss_gain, numbers, rise, rise_by_norm
from nld.figures._data.rising_runs import CORRECTED, EVIDENCE, SEEN, STEPS, measure, ruling
from nld.figures._render.labels import label_panel, label_point
from nld.figures._render.style import BASELINE, COLOR, new_mosaic, predicted
from nld.inference import Verdict, rule

__all__ = ["AT_ONCE", "CLAIMS", "EVIDENCE", "alt", "caption", "compute", "draw", "judge", "measure", "numbers"]

AT_ONCE, KEPT_SEEDS = 2, 10  # seeds between two writes of kept evidence, and in all: each takes a minute
STYLE = {  # colour, marker and name of what is corrected
    "nothing": (COLOR["unconstrained"], "o", "none"),
    "scale-symmetric": (COLOR["scale"], "s", "scale-\nsymmetric"),
    "others": (COLOR["rescale"], "^", "others"),
    "all": (COLOR["rotation"], "D", "all"),
}
TITLES = {"language": "language model, AdamW", "digits": "digits, SGD with momentum"}


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """Courses of one seed with forecasts, and rises of the judging seeds; one size for both profiles.

    Args:
        seed: of weights and batches; judging seeds begin at 10,000 + seed.
    """
    return rising_courses.drawn(seed).merge(ruling(seed), combine_attrs="no_conflicts")


def judge(data: xr.Dataset) -> list[Verdict]:
    """Each claim by the rises, ratios and losses that it states."""
    return rule(evidence(data))


def draw(data: xr.Dataset):
    """Gradients of the language model above; its norms and the digits' gradients; rises by correction, and losses."""
    layout = [["language", "language"], ["norm", "digits"], ["rises", "rises"], ["loss", "loss"]]
    figure, axes = new_mosaic(layout, (6.4, 9.0), height_ratios=[1.15, 1, 1, 0.8])
    _draw_course(data, axes["language"], "language", "gradient")
    _draw_course(data, axes["norm"], "language", "weight")
    _draw_course(data, axes["digits"], "digits", "gradient")
    _draw_names(data, axes)
    _draw_rises(data, axes["rises"])
    _draw_losses(data, axes["loss"])
    return figure


def _draw_course(data: xr.Dataset, axes, network: str, norm: str) -> None:
    step, ahead = data["bin"].values, data["bin_ahead"].values
    for corrected in data["drawn_corrected"].values:
        color = STYLE[str(corrected)][0]
        course = data[f"{network}_course"].sel(drawn_corrected=corrected, norm=norm).values
        axes.plot(step, course, color=color)
    foreseen = data[f"{network}_ahead"].sel(norm=norm)
    low, high = (foreseen.sel(end=end).values for end in ("low", "high"))
    axes.fill_between(ahead, low, high, color="#888888", alpha=0.2, linewidth=0)
    axes.plot(ahead, foreseen.sel(end="forecast").values, **predicted())
    if norm == "weight":
        axes.plot(ahead, data[f"{network}_still"].values, **BASELINE)
    axes.axvline(SEEN["stable"] * STEPS, **BASELINE)
    units = {"gradient": "gradient norm [ℓ/w]", "weight": "weight norm [w]"}
    axes.set(xlabel="step $n$", ylabel=units[norm], xlim=(0, STEPS), ylim=(0, None))


def _draw_names(data: xr.Dataset, axes) -> None:
    """Titles, ranges and labels of the three courses."""
    top, norm, digits = axes["language"], axes["norm"], axes["digits"]
    courses = data["language_course"].sel(norm="gradient")
    late = courses.isel(bin=round(0.8 * data.sizes["bin"])).values
    for value, words, corrected, shift in zip(
        late, ("decay as it is", "decay corrected"), CORRECTED[:2], ((-6, 20), (20, -26)), strict=True
    ):
        label_point(top, words, (0.8 * STEPS, value), shift, color=STYLE[corrected][0], ha="center")
    band = float(data["language_ahead"].sel(norm="gradient", end="high")[-1])
    label_point(top, "forecast", (STEPS, band), (-4, -20), ha="right")
    label_point(top, "the rate falls", (SEEN["stable"] * STEPS, 0), (-4, 5), ha="right", color="#888888")
    top.set_title(f"(a) {TITLES['language']}")
    settled = data["language_course"].sel(norm="weight").isel(bin=round(SEEN["stable"] * data.sizes["bin"]))
    norm.set(ylim=(0, 1.8 * float(settled.max())))
    label_panel(norm, "equilibrium", 0.98, 0.05, ha="right", color="#888888")
    norm.set_title("(b) its scale-symmetric weights")
    digits.set_title(f"(c) {TITLES['digits']}")


def _draw_rises(data: xr.Dataset, axes) -> None:
    for column, network in enumerate(("language", "digits")):
        for row, corrected in enumerate(CORRECTED):
            color, marker, _ = STYLE[corrected]
            x = 5 * column + row
            whole, norm = (np.exp(each(data, network, corrected)) for each in (rise, rise_by_norm))
            spread = x + np.linspace(-0.12, 0.12, len(whole))
            axes.plot(spread - 0.15, whole, marker, color=color, markersize=4)
            axes.plot(spread + 0.2, norm, marker, color=color, markersize=4, fillstyle="none")
        foreseen = data[f"{network}_forecast"].sel(schedule="stable").values
        axes.plot([5 * column - 0.35, 5 * column + 0.35], 2 * [np.exp(np.log(foreseen).mean())], **predicted())
        label_panel(axes, TITLES[network], (5 * column + 2) / 9, 1.0, ha="center", va="top")
    axes.axhline(1, **BASELINE)
    axes.set_xticks([*range(4), *range(5, 9)], 2 * [words for _, _, words in STYLE.values()])
    axes.set_ylim(None, 1.1 * axes.get_ylim()[1])
    axes.set(xlim=(-0.6, 8.6), ylabel="end over before")
    axes.tick_params(axis="x", length=0)
    axes.set_title("(d) rise of the gradient, by what decay is corrected")


def _draw_losses(data: xr.Dataset, axes) -> None:
    for row, corrected in enumerate(CORRECTED[1:]):
        color, marker, _ = STYLE[corrected]
        gain = 1000 * loss_gain(data, corrected)
        axes.plot(gain, row + np.linspace(-0.15, 0.15, len(gain)), marker, color=color, markersize=4)
        axes.plot([gain.mean()] * 2, [row - 0.3, row + 0.3], color=color)
    axes.axvline(0, **BASELINE)
    axes.set_yticks(range(3), ["scale-symmetric", "others", "all"])
    axes.set(ylim=(2.5, -0.5), xlabel="loss without correction minus loss with it [mℓ]")
    axes.set_title("(e) gain of the language model, by what decay is corrected")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "Gradients rise as the learning rate falls, and weight decay that falls along takes the part of the rise that "
        "comes from shrinking norms. **(a)** Gradient norm of all weights whose norm the loss does not see, in a "
        "byte-level language model; after the grey line the rate goes to zero. Dashed: forecast from the steps "
        "before, with its interval of 90 %. **(b)** The norm of these weights with its forecast; "
        "dotted, the norm at which the rate of the moment would hold them. **(c)** The same as (a) for a digits "
        f"network. **(d)** Gradient at the end over that before the rate falls, filled, for {told['seeds']} judging "
        "seeds; open, what the norms alone would make of it; dashed, the mean forecast. **(e)** Validation loss of "
        "the language model without correction minus that with it; lines are means."
    )


def alt(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        f"Five panels. Top: over {STEPS} steps the gradient norm of a language model is level before the rate falls "
        "and then rises, along a dashed forecast with a grey band; a second curve, with corrected decay, rises less. "
        "Second row left: the weight norm shrinks along a dashed line, above a dotted one that goes to zero; with "
        "the correction it does not shrink. Right: the same gradients for digits. Third row: rises by where decay is "
        f"corrected (nowhere, on scale-symmetric blocks, on all others, everywhere), language model "
        f"{told['language-nothing']}, {told['language-scale']}, {told['language-others']} and {told['language-all']} "
        "times, digits "
        f"{told['digits-nothing']}, {told['digits-scale']}, {told['digits-others']} and {told['digits-all']} times. "
        f"Bottom: gains in loss of {told['gain-scale']}, {told['gain-others']} and {told['gain-all']} ℓ."
    )
