"""Learning rate × momentum × weight decay, filter norms free and held: the runs that the page's explorable shows."""

import numpy as np
import xarray as xr

from nld.figures._data import run_grid
from nld.figures._data.experiment_table import MODES, PANELS
from nld.figures._data.run_grid import DEFAULT, GRID, GUESSING, final_loss
from nld.figures._render.experiment_panels import MARKS
from nld.figures._render.labels import label_panel, label_point, ticks_at
from nld.figures._render.style import BASELINE, COLOR, new_figure

EXPLORATORY = "a map of settings to explore; the contrasts of fig-experiments rule"


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
    """One panel a weight decay: final test losses of free and held runs in pairs, a row a setting."""
    figure, axes = new_figure(1, len(data["weight_decay"]), size=(6.4, 3.4), sharex=True, sharey=True)
    loss = final_loss(data).stack(setting=("learning_rate", "momentum"))
    rate = loss["learning_rate"] / (1 - loss["momentum"])
    loss = loss.isel(setting=np.lexsort((loss["momentum"].values, rate.values)))
    rows = np.arange(loss.sizes["setting"])
    for panel, decay in zip(axes, data["weight_decay"].values, strict=True):
        pair = loss.sel(weight_decay=decay)
        middle = pair.median("seed")
        panel.axvline(GUESSING, **BASELINE)
        ends = middle.transpose("constrained", "setting").values
        panel.hlines(rows, ends.min(0), ends.max(0), color=BASELINE["color"], linewidth=0.8, alpha=0.6)
        for mode, name in enumerate(MODES):
            run = pair.sel(constrained=mode)
            beside = rows + (0.14, -0.14)[mode]  # bars that do not cover each other
            panel.hlines(beside, run.min("seed"), run.max("seed"), color=COLOR[name], linewidth=1, alpha=0.7)
            panel.plot(ends[mode], rows, MARKS[name][0], color=COLOR[name], markersize=5)
        panel.set(xscale="log", xlim=(0.07, 4), ylim=(-0.7, len(rows) - 0.3))
        panel.set_title(f"$k$ = {decay:g} ℓ/w²")
        ticks_at(panel.xaxis, [0.1, 0.2, 0.5, 1, 2])
    names = zip(loss["learning_rate"].values, loss["momentum"].values, strict=True)
    axes[0].set_yticks(rows, [f"$\\eta$ = {eta:g}, $\\beta$ = {momentum:g}" for eta, momentum in names])
    axes[0].set_ylabel("larger $\\eta/(1-\\beta)$ $\\rightarrow$")
    axes[1].set_xlabel("test loss at the end [ℓ]")
    label_point(axes[0], "guessing", (GUESSING, 2), (-3, 0), ha="right", va="center", color=BASELINE["color"])
    for place, (name, (_, sign)) in enumerate(MARKS.items()):
        label_panel(axes[1], f"{sign} {name}", 0.84, 0.33 - 0.07 * place, color=COLOR[name], ha="right")
    return figure


def caption(data: xr.Dataset) -> str:
    free, held, settings = trained(data)
    which = "more settings than" if free > held else "as many settings as" if free == held else "fewer settings than"
    return (
        f"Free norms train at {which} held ones: {free} of {settings} end below half the loss of guessing, against "
        f"{held}. Test loss after {int(data['step'][-1])} steps at constant learning rate on a grid of $\\eta$, "
        f"$\\beta$ and $k$, medians and ranges (bars) of {data.sizes['seed']} seeds: circles unconstrained, squares "
        "constrained. Rows are in the order of $\\eta/(1-\\beta)$, to which the effective rate at the start is "
        f"proportional. The dotted line is the loss of guessing. *quick:* {data.attrs['origin']}."
    )


def alt(data: xr.Dataset) -> str:
    free, held, settings = trained(data)
    loss, rates = final_loss(data).median("seed"), data["learning_rate"].values
    middle = loss.sel(weight_decay=DEFAULT["weight_decay"], momentum=DEFAULT["momentum"]).values
    listed = ["; ".join(f"{value:.2g} at {rate:g}" for value, rate in zip(row, rates, strict=True)) for row in middle]
    return (
        f"{len(data['weight_decay'])} panels, one a {PANELS['C'].words}: pairs of final test losses, free and held, in "
        f"rows of learning rate and momentum. {free} free and {held} held runs of {settings} end below half the loss "
        f"of guessing. At momentum {DEFAULT['momentum']:g} and weight decay {DEFAULT['weight_decay']:g} the free run's "
        f"loss is {listed[0]}, the held run's {listed[1]}."
    )
