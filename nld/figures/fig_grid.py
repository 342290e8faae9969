"""Learning rate × momentum × weight decay, filter norms free and held: the runs that the page's explorable shows."""

import numpy as np
import xarray as xr

from nld.figures._data import run_grid
from nld.figures._data.experiment_table import MODES, PANELS
from nld.figures._data.run_grid import DEFAULT, GRID, GUESSING, final_loss
from nld.figures._render.labels import label_panel, ticks_at
from nld.figures._render.style import BASELINE, COLOR, new_figure

EXPLORATORY = "a map of settings to explore; the contrasts of fig-experiments rule"
MARKER = "ovs"  # one a momentum


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """One run a setting, mode and seed, at constant learning rate, quick in all profiles; panel A's are among them."""
    return run_grid.runs(seed)


def trained(data: xr.Dataset) -> tuple[int, int, int]:
    """At how many settings free and held runs end below half the loss of guessing, by median, and of how many."""
    good = (final_loss(data).median("seed") < GUESSING / 2).sum([*GRID]).values
    return int(good[0]), int(good[1]), int(np.prod([data.sizes[name] for name in GRID]))


def spread(data: xr.Dataset) -> tuple[float, int, int]:
    """Median over settings of the highest over the lowest final loss of the seeds; settings that are split, of all.

    A setting is split if seeds end on both sides of half the loss of guessing: its median says little.
    """
    loss = final_loss(data)
    below = (loss < GUESSING / 2).sum("seed").values
    ratio = loss.max("seed") / loss.min("seed")
    return float(ratio.median()), int(((below > 0) & (below < data.sizes["seed"])).sum()), below.size


def apart(data: xr.Dataset, learning_rate: float) -> float:
    """Largest relative difference of the final losses of free and held runs at one learning rate."""
    loss = data["test_loss"].isel(step=-1).sel(learning_rate=learning_rate)
    return float(abs(loss.sel(constrained=0) / loss.sel(constrained=1) - 1).max())


def in_words(data: xr.Dataset) -> dict[str, str]:
    """Sentences that compare the runs of the first seed, chosen by the data."""
    first = data.isel(seed=0)
    end = final_loss(first)
    held = end.sel(constrained=1, weight_decay=DEFAULT["weight_decay"])
    pair = [float(held.sel(learning_rate=eta, momentum=beta)) for eta, beta in ((1.0, 0.0), (0.1, 0.9))]
    alike = max(pair) < 1.5 * min(pair)
    far = float(end.sel(learning_rate=1.0, momentum=0.95, weight_decay=0.0, constrained=0))
    return {
        "held-pair": (
            "Here the held pair ends nearly alike."
            if alike
            else "For held norms, then, η/(1 − β) is not the whole story."
        ),
        "overshoot": (
            f"the run stays at a loss of {far:.2g} ℓ: nothing is left to bring it back"
            if far > GUESSING / 2
            else f"the run ends at a loss of {far:.2g} ℓ all the same"
        ),
    }


def draw(data: xr.Dataset):
    """One panel a weight decay: final test loss against what sets the effective rate at the start."""
    figure, axes = new_figure(1, len(data["weight_decay"]), size=(6.4, 2.9), sharey=True)
    loss = final_loss(data)
    for panel, decay in zip(axes, data["weight_decay"].values, strict=True):
        panel.axhline(GUESSING, **BASELINE)
        for mode, name in enumerate(MODES):
            for marker, momentum in zip(MARKER, data["momentum"].values, strict=True):
                line = loss.sel(constrained=mode, weight_decay=decay, momentum=momentum)
                at = line["learning_rate"] / (1 - momentum)
                panel.plot(
                    at, line.median("seed"), color=COLOR[name], marker=marker, markersize=4,
                    linewidth=1, markerfacecolor=COLOR[name] if mode else "none", alpha=0.85,
                )  # fmt: skip
                panel.vlines(at, line.min("seed"), line.max("seed"), color=COLOR[name], linewidth=0.8, alpha=0.85)
        panel.set(xscale="log", yscale="log", xlabel="$\\eta/(1-\\beta)$ [w²/ℓ]", ylim=(0.05, 16))
        panel.set_title(f"$k$ = {decay:g} ℓ/w²")
        ticks_at(panel.yaxis, [0.1, 0.2, 0.5, 1, 2, 5])
    axes[0].set_ylabel("test loss at the end [ℓ]")
    axes[0].text(0.012, GUESSING * 1.1, "guessing", fontsize=8, color=BASELINE["color"])
    for mode, name in enumerate(MODES):
        label_panel(axes[1], name, 0.04, 0.9 - 0.08 * mode, color=COLOR[name])
    for row, (marker, momentum) in enumerate(zip(MARKER, data["momentum"].values, strict=True)):
        at = {"transform": axes[2].transAxes, "color": BASELINE["color"]}
        axes[2].plot(0.07, 0.925 - 0.08 * row, marker=marker, markersize=4, markerfacecolor="none", **at)
        axes[2].text(0.12, 0.9 - 0.08 * row, f"$\\beta$ = {momentum:g}", fontsize=8, **at)
    return figure


def caption(data: xr.Dataset) -> str:
    free, held, settings = trained(data)
    which = "more settings than" if free > held else "as many settings as" if free == held else "fewer settings than"
    marks = ", ".join(
        f"{shape} $\\beta = {momentum:g}$"
        for shape, momentum in zip(("circles", "triangles", "squares"), data["momentum"].values, strict=True)
    )
    return (
        f"Free norms train at {which} held ones: {free} of {settings} end below half the loss of guessing, against "
        f"{held}. Test loss after {int(data['step'][-1])} steps at constant learning rate on a grid of $\\eta$, "
        f"$\\beta$ and $k$, medians and ranges (bars) of {data.sizes['seed']} seeds, against $\\eta/(1-\\beta)$, to "
        f"which the effective rate at the start is proportional; {marks}; open marks unconstrained, full marks "
        f"constrained. The dotted line is the loss of guessing. *quick:* {data.attrs['origin']}."
    )


def alt(data: xr.Dataset) -> str:
    free, held, settings = trained(data)
    loss, rates = final_loss(data).median("seed"), data["learning_rate"].values
    middle = loss.sel(weight_decay=DEFAULT["weight_decay"], momentum=DEFAULT["momentum"]).values
    listed = ["; ".join(f"{value:.2g} at {rate:g}" for value, rate in zip(row, rates, strict=True)) for row in middle]
    return (
        f"{len(data['weight_decay'])} panels, one a {PANELS['C'].words}: final test loss against learning rate over "
        f"one minus momentum. {free} free and {held} held runs of {settings} end below half the loss of guessing. At "
        f"momentum {DEFAULT['momentum']:g} and weight decay {DEFAULT['weight_decay']:g} the free run's loss is "
        f"{listed[0]}, the held run's {listed[1]}."
    )
