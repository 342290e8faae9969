"""Which norms may be held: what a rule says of classes of tensors beforehand, and what holding each of them does.

The norm of a head is the temperature of the softmax: to hold it costs more than to hold any other.
"""

import numpy as np
import xarray as xr
from matplotlib.ticker import NullLocator

from nld.advice.scale_classes import Scale
from nld.figures._data.held_evidence import CLAIMS, evidence
from nld.figures._data.held_prose import numbers
from nld.figures._data.held_rule import rule as rule_of
from nld.figures._data.held_runs import EVIDENCE, MARGIN, measure
from nld.figures._data.held_scores import EFFECTS, RULES, hit_rate
from nld.figures._render.labels import label_panel, ticks_at
from nld.figures._render.style import BASELINE, new_mosaic, predicted
from nld.figures.evidence import judged
from nld.inference import Verdict, rule

__all__ = ["CLAIMS", "EVIDENCE", "alt", "caption", "compute", "draw", "judge", "measure", "numbers"]

KEPT_SEEDS, AT_ONCE = 10, 1  # with which all claims were decided, of at most 16; a seed takes four minutes of a core
SCALES = {  # of the finder: colour, marker
    Scale.OWN: ("#D55E00", "o"),
    Scale.SHARED: ("#E69F00", "s"),
    Scale.COMPENSATED: ("#CC79A7", "^"),
    Scale.NONE: ("#0072B2", "D"),
}
LIMITS = (-0.5, 3.0)  # ℓ
HELD, GAINED, ALONE = ("#D55E00", "o"), ("#009E73", "s"), ("#56B4E9", "^")


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """The rule, read from starts, and the judging runs; one size for both profiles.

    Args:
        seed: judging seeds begin at 10,000 + seed.
    """
    return judged(EVIDENCE, measure, seed=seed, live=1).assign(rule_of())


def judge(data: xr.Dataset) -> list[Verdict]:
    """Each claim by the numbers that it states."""
    return rule(evidence(data))


def draw(data: xr.Dataset):
    """All classes by what was said; hit rates and growth; carriers with gains; architectures with many classes held."""
    layout = [["classes", "classes"], ["rates", "growth"], ["carriers", "architectures"]]
    figure, axes = new_mosaic(layout, (6.4, 9.4), height_ratios=[1.1, 0.9, 1.5])
    _draw_classes(data, axes["classes"])
    _draw_rates(data, axes["rates"])
    _draw_growth(data, axes["growth"])
    _draw_carriers(data, axes["carriers"])
    _draw_architectures(data, axes["architectures"])
    return figure


def _draw_classes(data, axes) -> None:
    said, change = data["predicted_effect"].values, data["judged_change"].values.mean(0)
    axes.axhspan(-MARGIN, MARGIN, color="#888888", alpha=0.2, linewidth=0)
    for place, effect in enumerate((-1, 0, 1)):
        inside = np.flatnonzero(said == effect)
        x = place + np.linspace(-0.42, 0.42, len(inside))
        for number, (color, marker) in enumerate(SCALES.values()):
            these = data["scale_class"].values[inside] == number
            axes.plot(x[these], change[inside][these], marker, color=color, markersize=4, alpha=0.9)
    for number, (scale, (color, _)) in enumerate(SCALES.items()):
        label_panel(axes, str(scale), 0.34, 0.97 - 0.09 * number, color=color, va="top")
    axes.set_xticks(range(3), [f"said {EFFECTS[effect]}" for effect in (-1, 0, 1)])
    _loss_axis(axes.yaxis, axes)
    axes.set(ylabel="change of the loss [ℓ]", xlim=(-0.6, 2.6))
    axes.tick_params(axis="x", length=0)
    axes.set_title("(a) every class, held")


def _loss_axis(axis, axes) -> None:
    """Linear within the margin, logarithmic beyond it."""
    scale = axes.set_yscale if axis is axes.yaxis else axes.set_xscale
    scale("symlog", linthresh=MARGIN, linscale=0.5)
    axis.set_ticks([-1, -0.1, 0, 0.1, 1], ["−1", "−0.1", "0", "0.1", "1"])
    axis.set_minor_locator(NullLocator())
    (axes.set_ylim if axis is axes.yaxis else axes.set_xlim)(*LIMITS)


def _draw_rates(data, axes) -> None:
    names = ("the rule", "own scale\nor not", "all\nharmless")
    for row, (name, color) in enumerate(zip(RULES, ("#009E73", "#D55E00", "#888888"), strict=True)):
        rate, low, high = (100 * value for value in hit_rate(data, name))
        axes.plot([low, high], [row, row], color=color, linewidth=2)
        axes.plot(rate, row, "o", color=color, markersize=7)
    axes.set_yticks(range(3), names)
    axes.set(xlim=(0, 100), ylim=(2.5, -0.5), xlabel="classes predicted rightly [%]")
    axes.set_title("(b) hit rates")


def _draw_growth(data, axes) -> None:
    said, found = data["predicted_growth"].values, data["judged_growth"].values.mean(0)
    for number, (color, marker) in enumerate(SCALES.values()):
        these = data["scale_class"].values == number
        axes.plot(said[these], found[these], marker, color=color, markersize=3.5, alpha=0.8)
    ends = np.array([1.0, said.max()])
    axes.plot(ends, ends, **predicted())
    axes.set(xscale="log", yscale="log", xlabel="predicted growth $G$", ylabel="measured growth")
    for axis in (axes.xaxis, axes.yaxis):
        ticks_at(axis, (1, 2, 4))
    axes.set_title("(c) norms that are free")


def _draw_carriers(data, axes) -> None:
    names = [str(name).partition(": ")[0] for name in data["carrier"].values]
    held = data["judged_change"].sel(unit=data["carrier"].values).values.mean(0)
    rows = np.arange(len(names))
    axes.axvspan(-MARGIN, MARGIN, color="#888888", alpha=0.2, linewidth=0)
    gained, alone = data["judged_gained_change"].values.mean(0), data["judged_gain_alone"].values.mean(0)
    for values, (color, marker) in ((held, HELD), (gained, GAINED), (alone, ALONE)):
        axes.plot(values, rows, marker, color=color, markersize=4)
    _rows(axes, names)
    axes.set_title("(d) carriers, with a factor")
    label_panel(axes, "held", 0.98, 0.02, color=HELD[0], ha="right")
    label_panel(axes, "with factor", 0.02, 0.08, color=GAINED[0])
    label_panel(axes, "factor alone", 0.02, 0.02, color=ALONE[0])


def _draw_architectures(data, axes) -> None:
    names = [str(name) for name in data["architecture"].values]
    rows = np.arange(len(names))
    axes.axvspan(-MARGIN, MARGIN, color="#888888", alpha=0.2, linewidth=0)
    chosen, everything = (data[f"judged_{name}_change"].values.mean(0) for name in ("chosen", "all"))
    axes.plot(everything, rows, "s", color="#CC79A7", markersize=5)
    axes.plot(chosen, rows, "o", color="#009E73", markersize=3.5)
    axes.axvline(0, **BASELINE)
    _rows(axes, names)
    axes.set_title("(e) many classes at once")
    label_panel(axes, "all that may be", 0.02, 0.02, color="#009E73")
    label_panel(axes, "all", 0.98, 0.02, color="#CC79A7", ha="right")


def _rows(axes, names) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=6)
    _loss_axis(axes.xaxis, axes)
    axes.tick_params(axis="x", labelsize=6)
    axes.set(ylim=(len(names) + 1.6, -0.6), xlabel="change of the loss [ℓ]")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "A rule read off the start says which norms may be held. **(a)** Change of the final validation loss when the "
        f"norms of one class of tensors are held at their start, for {told['units']} classes of "
        f"{told['architectures']} networks (means over {told['seeds']}), in the column of what the rule "
        "said; colour and marker, what the symmetry of the loss says of the class's scale. Grey, the margin of "
        f"{told['margin']} ℓ within which a change is harmless. **(b)** Share of classes of which the rule is right, "
        "and of two simpler ones, with intervals by bootstrap over architectures. **(c)** Growth of norms that are "
        "not held, measured and predicted (dashed: equal). **(d)** Classes that carry the temperature: held, held with "
        "a trained factor, and the factor alone. **(e)** All classes held that the rule allows, and all matrices."
    )


def alt(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        f"Five panels. (a) Dots in three columns on an axis that is logarithmic beyond {told['margin']} ℓ: of "
        f"{told['said-helpful']} classes said helpful {told['right-helpful']} lie below the grey band, of "
        f"{told['said-harmless']} said harmless {told['right-harmless']} inside it, of {told['said-harmful']} said "
        f"harmful {told['right-harmful']} above it. (b) Three dots with intervals: the rule {told['rule']} "
        f"({told['rule-interval']}), own scale or not {told['own']} ({told['own-interval']}), all harmless "
        f"{told['none']} ({told['none-interval']}). (c) Measured over predicted growth of norms, about a dashed "
        f"diagonal. (d) A row for each of {told['carriers']} carriers: {told['carrier-harmed']} are harmful when held, "
        f"{told['carrier-left']} with a trained factor. (e) A row for each network: held as the rule allows, the loss "
        f"of language models changes by {told['chosen']} ℓ in the median; with all matrices held, networks change by "
        f"{told['all']} ℓ in the median."
    )
