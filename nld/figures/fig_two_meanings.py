"""Symmetries of data, of outputs and of physics beside those of parameters: one exact result or clear effect a work."""

import numpy as np
import xarray as xr

from nld.figures._data import two_meanings_runs as runs
from nld.figures._data.two_meanings_evidence import CLAIMS, evidence, numbers
from nld.figures._render.labels import label_panel, label_point, ticks_at
from nld.figures._render.style import BASELINE, COLOR, new_mosaic, predicted
from nld.inference import Verdict, rule

__all__ = ["CLAIMS", "alt", "caption", "compute", "draw", "judge", "numbers"]

ROUNDING = ("left_out_gap", "constant_gap", "constant_charge", "output_spread", "energy_error")
FLOOR = 1e-17  # what a logarithmic axis shows of zero
RULE_COLORS = ("gradient_descent", "heavy_ball", "adam")


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """Six small systems with symmetries; one size for both profiles.

    Args:
        seed: of starts, events and networks; the networks with cues take the seeds from 10,000 + seed on.
    """
    parts = (runs.moved_events, runs.orbits, runs.constants, runs.cues, runs.hexagon, runs.entropies)
    return xr.merge([xr.Dataset(part(seed)) for part in parts]).assign_attrs(seed=seed)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Each claim by the numbers that it states, in small systems."""
    return rule(evidence(data))


def draw(data: xr.Dataset):
    """Moved data, orbits; constants, cues; symmetric outputs, entropy."""
    layout = [["moved", "orbits"], ["constants", "cues"], ["hexagon", "entropy"]]
    figure, axes = new_mosaic(layout, (6.4, 7.4))
    _draw_moved(data, axes["moved"])
    _draw_orbits(data, axes["orbits"])
    _draw_constants(data, axes["constants"])
    _draw_cues(data, axes["cues"])
    _draw_hexagon(data, axes["hexagon"])
    _draw_entropy(data, axes["entropy"])
    return figure


def _draw_moved(data, axes) -> None:
    step, error = data["step"].values, data["path_error"]
    for name, color, dash in zip(data["rule"].values, RULE_COLORS, ("-", (0, (6, 1.5)), "-"), strict=True):
        curve = np.maximum(error.sel(rule=name).values, FLOOR)
        axes.semilogy(step, curve, color=COLOR[color], linestyle=dash)
        place = (step[len(step) // 3], curve[len(step) // 3])
        label_point(axes, name, place, {"gradient descent": (6, -14), "heavy ball": (-30, 14)}.get(name, (0, -14)),
                    color=COLOR[color])  # fmt: skip
    axes.set(xlabel="step", ylabel="from the rotated run, relative", xlim=(0, step[-1]))
    axes.set_title("(a) later events, rotated training")


def _draw_orbits(data, axes) -> None:
    points = data["points"].values
    for separation, marker in zip(data["separation"].values, "osD^", strict=True):
        row = data.sel(separation=separation)
        axes.semilogy(points, row["left_out_predicted"], **predicted())
        axes.semilogy(points, row["left_out"], marker, color=COLOR["rotation"], markersize=4.5)
    for separation, shift in ((data["separation"].values[0], (-6, 7)), (data["separation"].values[-1], (-40, -14))):
        near = data["left_out"].sel(separation=separation).isel(points=2)
        label_point(axes, f"distance {separation:g}", (points[2], float(near)), shift, color=COLOR["rotation"])
    axes.set(xlabel="points on each orbit", ylabel="error at a left-out point")
    axes.set_title("(b) an orbit must be dense")


def _draw_constants(data, axes) -> None:
    step, bias = data["constant_step"].values, data["bias"]
    axes.plot(step, bias.sel(network="plain bias"), **BASELINE)
    axes.plot(step, bias.sel(network="constants"), color=COLOR["translation"], linewidth=3, alpha=0.8)
    axes.plot(step, bias.sel(network="larger rate"), **predicted())
    end = float(bias.sel(network="constants")[-1])
    label_point(axes, f"{runs.CONSTANTS} constant inputs;\nrate times {1 + runs.CONSTANTS * runs.VALUE**2:g} dashed",
                (step[len(step) // 3], 0.45 * end), (10, -26 if end > 0 else 10),
                color=COLOR["translation"])  # fmt: skip
    label_point(axes, "plain bias", (step[len(step) // 2], 0), (0, 4 if end > 0 else -12), color="#666666")
    axes.set(xlabel="step", ylabel="change of a bias [w]", xlim=(0, step[-1]))
    axes.set_title("(c) constant inputs are a rate")


def _draw_cues(data, axes) -> None:
    for cue, color, marker in (("none", COLOR["original"], "o"), ("random", COLOR["transformed"], "s")):
        for place, network in enumerate(data["cue_network"].values):
            values = data["accuracy"].sel(cue_network=network, cue=cue).values
            jitter = place + np.linspace(-0.18, 0.18, len(values))
            axes.plot(jitter, values, marker, color=color, markersize=3.5, alpha=0.8, linestyle="")
    label_panel(axes, "no cue", 0.3, 0.92, color=COLOR["original"])
    label_panel(axes, "cue of a random class", 0.03, 0.2, color=COLOR["transformed"])
    axes.set_xticks(range(3), ["cued", "fine-tuned", "never cued"])
    axes.set(ylabel="test accuracy", ylim=(0, 1.05), xlim=(-0.5, 2.5))
    axes.set_title("(d) fine-tuning keeps the cue")


def _draw_hexagon(data, axes) -> None:
    maps, sizes = data["map"].values, data["symmetries"].values
    for row, name in enumerate(maps):
        for column, size in enumerate(sizes):
            count = int(data["respected"].sel(map=name, symmetries=size))
            axes.scatter(column, row, s=420 * (count == 12), color=COLOR["rotation"], alpha=0.35, linewidth=0)
            axes.text(column, row, str(count), ha="center", va="center", fontsize=9)
    axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    axes.set_yticks(range(len(maps)), [name.replace(" ", "\n") for name in maps])
    axes.set(xlim=(-0.6, len(sizes) - 0.4), ylim=(len(maps) - 0.4, -0.6), xlabel="symmetries of the input")
    axes.tick_params(length=0)
    axes.set_title("(e) of 12 symmetries, respected")


def _draw_entropy(data, axes) -> None:
    speed, entropy = data["speed"].values, data["entropy"].values
    axes.loglog(speed, entropy[-1] * speed / speed[-1], **predicted())
    axes.loglog(speed, entropy, "o", color=COLOR["scale"], markersize=5)
    label_point(axes, "slope 1", (speed[2], entropy[2]), (8, -12))
    ticks_at(axes.xaxis, speed)
    axes.set(xlabel="speed of driving", ylabel="entropy made")
    axes.set_title("(f) slow driving makes none")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "A symmetry of the data carries one training run into another, not one network into another of equal loss. "
        f"**(a)** All events {runs.LATER:g} steps of time later, from a start with rotated phases: distance from the "
        f"rotated run, over the distance trained. **(b)** Kernel regression on two rings of points: error at a point "
        "that was left out, by points a ring and distance of the rings, against the ratio of eigenvalues (dashed, "
        f"within {told['gap']}). **(c)** Change of a bias by gradient descent on digits. **(d)** Accuracy of networks "
        f"that learned with cues, were then fine-tuned without, or never saw a cue, {told['seeds']} seeds each. "
        "**(e)** For how many of a hexagon's twelve symmetries a map's output moves with its input, up to the "
        "symmetries that the input has. **(f)** Entropy that friction makes while a spring is stiffened."
    )


def alt(data: xr.Dataset) -> str:
    told, respected = numbers(data), data["respected"]
    rows = "; ".join(
        f"{name}: {', '.join(str(int(x)) for x in respected.sel(map=name))}" for name in data["map"].values
    )
    sizes = ", ".join(str(int(x)) for x in data["symmetries"].values)
    return (
        f"Six panels. Top left, logarithmic: gradient descent and heavy ball stay within {told['carried']} of the "
        f"rotated run, Adam ends {told['adam']} % away. Top right: errors from {told['errors']} fall steeply with "
        f"{runs.POINTS[0]} to {runs.POINTS[-1]} points, on dashed curves. Middle left: a bias with constant inputs and "
        f"one with a larger rate on one curve, {told['bias-ratio']} times the plain one's change. Middle right: "
        f"accuracies without cue of {told['cued-none']} and {told['tuned-none']} for cued and fine-tuned networks, "
        f"with random cues of {told['tuned-random']} for the fine-tuned and {told['plain-random']} for those never "
        f"cued. Bottom left, by the input's symmetries {sizes}, {rows}. Bottom right, log-log: entropies of "
        f"{told['entropies']} along a line of slope 1."
    )
