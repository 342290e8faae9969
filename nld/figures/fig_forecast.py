"""Norms of a language model's heads, forecast from the first fifth of runs, and how far off the forecasts end."""

import numpy as np
import xarray as xr

from nld.figures._data.forecast_evidence import BOUNDS, CLAIMS, evidence
from nld.figures._data.forecast_prose import numbers
from nld.figures._data.forecast_prose import sentences as _sentences
from nld.figures._data.forecast_runs import AT_ONCE, EVIDENCE, KEPT_SEEDS, SEEN, compute, measure
from nld.figures._render.labels import label_panel
from nld.figures._render.style import BASELINE, COLOR, new_mosaic, predicted
from nld.inference import Verdict, rule

__all__ = [
    "AT_ONCE", "CLAIMS", "EVIDENCE", "KEPT_SEEDS", "alt", "caption", "compute", "draw", "judge", "measure", "numbers",
    "sentences",
]  # fmt: skip

STYLE = {"AdamW": ("adamw", "s"), "Muon": ("muon", "^"), "SGD": ("heavy_ball", "o")}
NAMES = {"AdamW": "AdamW", "Muon": "Muon", "SGD": "SGD, momentum"}
WORDS = {"norm": "norms", "angle": "angles", "gradient": "gradient norms"}


def judge(data: xr.Dataset) -> list[Verdict]:
    """Each claim by the judging seeds."""
    return rule(evidence(data))


def sentences(data: xr.Dataset) -> dict[str, str]:
    """Comparing sentences of the chapter, chosen by the data."""
    return _sentences(data, judge(data))


def draw(data: xr.Dataset):
    """Six courses with their forecasts above; errors of all seeds and shares inside the intervals below."""
    rules, schedules = data["rule"].values, data["schedule"].values
    layout = [[f"{r} {s}" for r in rules] for s in schedules] + [["norm", "angle", "gradient"], ["inside"] * 3]
    figure, axes = new_mosaic(layout, (6.4, 7.6), height_ratios=[1, 1, 1.1, 0.7])
    first = data.isel(judging_seed=0)
    for row, schedule in enumerate(schedules):
        for name in rules:
            _draw_course(axes[f"{name} {schedule}"], first.sel(rule=name, schedule=schedule), name, schedule, row)
    for letter, quantity in zip("abc", WORDS, strict=True):
        _draw_errors(axes[quantity], data.sel(quantity=quantity), quantity, letter)
    _draw_inside(axes["inside"], data)
    return figure


def _draw_course(axes, course: xr.Dataset, name: str, schedule: str, row: int) -> None:
    step, later = course["step"].values, course["later"].values
    axes.fill_between(later, course["forecast_low"], course["forecast_high"], color="#888888", alpha=0.3, linewidth=0)
    axes.plot(step, course["measured"], color=COLOR[STYLE[name][0]])
    axes.plot(later, course["constant"], **BASELINE)
    axes.plot(later, course["forecast"], **predicted())
    axes.axvline(SEEN, color="#888888", linewidth=0.6)
    axes.set(xlim=(0, step[-1]), xticks=[0, SEEN, step[-1] + 1])
    if row == 0:
        axes.set_title(NAMES[name])
    else:
        axes.set_xlabel("step $n$")
    if name == "AdamW":
        axes.set_ylabel(f"{schedule}: norm [w]")


def _draw_errors(axes, data: xr.Dataset, quantity: str, letter: str) -> None:
    rng = np.random.default_rng(0)
    for place, name in enumerate(data["rule"].values):
        color, marker = COLOR[STYLE[name][0]], STYLE[name][1]
        for shift, part, face in ((-0.17, "constant_error", "none"), (0.17, "error", color)):
            values = 100 * data[part].sel(rule=name).values.ravel()
            x = place + shift + rng.uniform(-0.06, 0.06, len(values))
            axes.plot(x, values, marker, color=color, markerfacecolor=face, markersize=3.5, linestyle="none")
            axes.plot([place + shift - 0.12, place + shift + 0.12], [values.mean()] * 2, color=color, linewidth=2)
        if quantity != "gradient":
            axes.plot([place - 0.4, place + 0.4], [BOUNDS[name]] * 2, **predicted())
    axes.set_xticks(range(data.sizes["rule"]), list(data["rule"].values))
    axes.set(ylim=(0, None), xlim=(-0.5, 2.5))
    axes.set_title(f"({letter}) {WORDS[quantity]}")
    if letter == "a":
        axes.set_ylabel("error at the end [%]")


def _draw_inside(axes, data: xr.Dataset) -> None:
    rng = np.random.default_rng(0)
    shares = 100 * data["inside"].mean("schedule")
    for row, quantity in enumerate(WORDS):
        for place, name in enumerate(data["rule"].values):
            values = shares.sel(quantity=quantity, rule=name).values
            color, marker = COLOR[STYLE[name][0]], STYLE[name][1]
            y = row + 0.22 * (place - 1) + rng.uniform(-0.05, 0.05, len(values))
            axes.plot(values, y, marker, color=color, markersize=3.5)
    axes.axvline(90, **predicted())
    axes.axvspan(80, 97, color="#888888", alpha=0.2, linewidth=0)
    axes.set_yticks(range(3), [WORDS[quantity] for quantity in WORDS])
    axes.set(ylim=(2.6, -0.6), xlabel="final values inside their intervals of 90 % [%]")
    axes.set_title("(d) coverage, run by run")
    label_panel(axes, "asked for", 0.2, 0.3, color="#888888")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "From the first fifth of a run the rest of its norms can be computed. **Top:** the norm of one head's queries "
        "in a language model, under three learning rules (columns) and two schedules (rows); after the vertical line "
        "forecast (dashed) with its interval of 90 % (band), and with the source kept constant (dotted). **(a–c)** "
        f"Error at the end of {told['seeds']} runs a setting that were not looked at before, median over all blocks: "
        "open, with a constant source; filled, with one that drifts; bars are means, dashes what was asked for. Norms "
        f"are off by {told['norm-adamw']}, {told['norm-muon']} and {told['norm-sgd']} %, angles by "
        f"{told['angle-adamw']}, {told['angle-muon']} and {told['angle-sgd']} %. **(d)** Shares of final values inside "
        "their intervals; a point is two runs, the means of the two schedules."
    )


def alt(data: xr.Dataset) -> str:
    told = numbers(data)
    ends = data.isel(judging_seed=0, step=-1, later=-1)
    courses = "; ".join(
        f"{name} {schedule} {float(ends['measured'].sel(rule=name, schedule=schedule)):.2f} measured and "
        f"{float(ends['forecast'].sel(rule=name, schedule=schedule)):.2f} forecast"
        for schedule in data["schedule"].values
        for name in data["rule"].values
    )
    return (
        f"Six panels with a norm over the steps and its forecast after the first fifth; at the end: {courses}. Below, "
        "three panels with errors in per cent for AdamW, Muon and SGD: norms "
        f"{told['norm-adamw']}, {told['norm-muon']}, {told['norm-sgd']}, against {told['constant-norm-adamw']}, "
        f"{told['constant-norm-muon']}, {told['constant-norm-sgd']} with a constant source; angles "
        f"{told['angle-adamw']}, {told['angle-muon']}, {told['angle-sgd']}, against {told['constant-angle-adamw']}, "
        f"{told['constant-angle-muon']}, {told['constant-angle-sgd']}; gradient norms {told['gradient-adamw']}, "
        f"{told['gradient-muon']}, {told['gradient-sgd']}. At the bottom, of the final values {told['inside-norm']} % "
        f"of norms, {told['inside-angle']} % of angles and {told['inside-gradient']} % of gradient norms lie inside "
        "their intervals."
    )
