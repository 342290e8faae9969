"""Learning rate, momentum and weight decay, with filter norms free and held. Paper: the experiment figure, A-1 to C-2.

Unconstrained is plain SGD; constrained scales every filter back to its initial norm after each step. The sweeps are
the specs of `nld.experiment.runs.specs`: `quick` runs digits here, `paper` reads gathered results.
"""

import numpy as np
import xarray as xr

from nld.experiment import run_sweep
from nld.figures._data import experiment_contrasts as contrasts
from nld.figures._data.experiment_table import (
    CHANCE,
    PANELS,
    advantage,
    commands,
    decisive,
    gathered,
    joined,
    origin,
    quick_sweep,
    results,
    scales,
    selected,
    table,
)
from nld.figures._render.style import COLOR, new_figure
from nld.figures._render.text import at_most, number
from nld.figures.evidence import judged
from nld.inference import Verdict, rule
from nld.inference.verdict import NEGLIGIBLE, OPEN, OPPOSITE, PASSES

EVIDENCE, KEPT_SEEDS = "results/evidence/fig-experiments.nc", 128
MODES = contrasts.MODES
ROWS = "**Top:** final test accuracy, means; **bottom:** test loss at two values."
MISSING = "No run of the paper profile is gathered yet. On a machine with a GPU: {}."


def compute(profile: str, *, seed: int = 0, learning_rate: float = 1.0, label_noise: float = 0.0) -> xr.Dataset:
    """All runs along ``run``, with their panel and scale: those of `quick` computed or taken from the store, those of
    `paper` read where they are gathered; beside them the judging seeds of `quick`, at the settings that rule. `seed` is
    the first of several, `learning_rate` that of B and C; both, and `label_noise`, belong to `quick`."""
    tables, origins = [], {}
    if profile == "quick":
        for panel in PANELS:
            runs = run_sweep(quick_sweep(panel, seed, learning_rate, label_noise))
            tables.append(table(runs, panel, "quick"))
            origins["quick"] = origin(runs)
    of_paper, words = gathered("paper")
    if of_paper:
        origins["paper"] = words
    tables += of_paper
    attributes = {"profile": profile, "label_noise": label_noise} | {f"{k}_origin": v for k, v in origins.items()}
    data = joined(tables).assign_attrs(attributes)
    if profile != "quick":
        return data
    registered = (learning_rate, label_noise) == (1.0, 0.0)
    chosen = contrasts.registered_values() if registered else selected(data, "quick")
    ruling = judged(
        EVIDENCE, lambda seeds: measure(seeds, chosen, learning_rate, label_noise), seed=seed, registered=registered
    )
    return data.merge(ruling, combine_attrs="no_conflicts")


def measure(seeds, chosen: dict | None = None, learning_rate: float = 1.0, label_noise: float = 0.0) -> xr.Dataset:
    """The judged settings with the given seeds; by default the registered ones."""
    chosen = chosen or contrasts.registered_values()
    return contrasts.run(seeds, chosen, learning_rate=learning_rate, label_noise=label_noise)


def judge(data: xr.Dataset) -> list[Verdict]:
    """The paper's findings A, B and C, at the scale of the judging seeds and at that of gathered runs.

    None on a scale that the data lack.
    """
    found = contrasts.evidence(data) if "judged_accuracy" in data else []
    if "paper" in scales(data):
        held = {str(panel) for panel in data["panel"].values[data["scale"].values == "paper"]}
        if held == set(PANELS):
            rows = contrasts.from_table(data, "paper", selected(data, "paper"))
            found += contrasts.evidence(rows, "@paper")
    return rule(found)


def sentences(data: xr.Dataset) -> dict[str, str]:
    """Sentences of the chapter that compare, each chosen by the data; empty ones where they hold no quick runs."""
    names = ("largest-momentum", "decay-control", "half-way", "tuned-held")
    if "judged_accuracy" not in data:
        return dict.fromkeys(names, "")
    found = {finding.part: finding for verdict in judge(data) for finding in verdict.findings}
    *_, last = (part for part in found if part.startswith("from "))
    step = {
        PASSES: "it does.", OPPOSITE: "it falls instead.", NEGLIGIBLE: "it hardly changes.",
        OPEN: "these seeds cannot tell.",
    }[found[last].outcome]  # fmt: skip
    control = {
        PASSES: "It does.", OPPOSITE: "It gains less: at this scale the gain is not to be credited to the freedom of "
        "the norm.", NEGLIGIBLE: "The two gain alike.", OPEN: "These seeds cannot tell.",
    }[found["more than with held norms"].outcome]  # fmt: skip
    loss = results(data, "C", "test_loss", "quick", point=None).sel(constrained=1, value=selected(data, "quick")["C"])
    middle = float(loss.isel(point=loss.sizes["point"] // 2).mean("seed"))
    guess = float(-np.log(CHANCE["digits"]))
    where = "near that of guessing" if middle > 0.9 * guess else "below that of guessing"
    rates = results(data, "A", "test_accuracy", "quick").mean("seed").max("value")
    free, held = (100 * float(rates.sel(constrained=mode)) for mode in (0, 1))
    peak = "no less accurate than" if held >= free else f"within {at_most(free - held)} points of"
    return dict(zip(names, (
        f"from {last.removeprefix('from ')} {step}",
        control,
        f"Half-way through panel C-2, before the schedule lowers the rate, the held run with decay has a test loss of "
        f"{middle:.2g} ℓ, {where}, {guess:.1f} ℓ.",
        f"the held run of panel A is {peak} the best free one.",
    ), strict=True))  # fmt: skip


def draw(data: xr.Dataset):
    """For each scale a row of accuracies over a row of loss curves; one column a panel."""
    found = scales(data)
    if not found:
        figure, axes = new_figure(size=(6.4, 1.2))
        axes.text(0.5, 0.5, "paper profile: not run yet (see the caption)", ha="center", va="center")
        axes.set_axis_off()
        return figure
    figure, axes = new_figure(2 * len(found), 3, size=(6.4, 4.4 * len(found)), squeeze=False)
    for row, scale in enumerate(found):
        for column, panel in enumerate(PANELS):
            above, below = axes[2 * row : 2 * row + 2, column]
            if not ((data["panel"] == panel) & (data["scale"] == scale)).any():
                above.set_axis_off()
                below.set_axis_off()
                continue
            draw_accuracy(data, panel, scale, above)
            _draw_losses(data, panel, scale, below)
            above.set_title(f"{panel}-1" + (f" ({scale})" if len(found) > 1 else ""))
        axes[2 * row, 0].set_ylabel("final test accuracy")
        axes[2 * row + 1, 0].set_ylabel("test loss [ℓ]")
    name_modes(axes[0, 0])
    return figure


def name_modes(axes) -> None:
    """The two marks with their names, in the lower left."""
    for mode, name in enumerate(MODES):
        axes.text(0.03, 0.14 - 0.1 * mode, f"{'●■'[mode]} {name}", color=COLOR[name], fontsize=8,
                  transform=axes.transAxes)  # fmt: skip


def draw_accuracy(data: xr.Dataset, panel: str, scale: str, axes) -> None:
    """Final accuracies of one panel: means and ranges over seeds, with crosses where a run diverged."""
    ends = results(data, panel, "test_accuracy", scale)
    diverged = results(data, panel, "diverged", scale, point=None).values.astype(bool)
    places = np.arange(ends.sizes["value"])
    for mode, name in enumerate(MODES):
        samples, color = ends.sel(constrained=mode).values, COLOR[name]
        axes.fill_between(places, samples.min(1), samples.max(1), color=color, alpha=0.25, linewidth=0)
        axes.plot(places, samples.mean(1), color=color, marker="os"[mode], markersize=3.5, linewidth=1.2)
        bad = np.argwhere(diverged[mode])
        axes.plot(bad[:, 0], samples[bad[:, 0], bad[:, 1]], "x", color=color, markersize=7, zorder=4)
    ticks = [f"{value:g}" for value in ends["value"].values]
    axes.set_xticks(places, ticks, rotation=60 if len("".join(ticks)) > 16 else 0)
    axes.set(xlabel=PANELS[panel].label)


def _draw_losses(data: xr.Dataset, panel: str, scale: str, axes) -> None:
    curves = results(data, panel, "test_loss", scale, point=None)
    steps = results(data, panel, "step", scale, point=None).values[0, 0, 0]
    chosen = (float(curves["value"][0]), decisive(data, panel, scale))
    for value, line in zip(chosen, (":", "-"), strict=True):
        for mode, name in enumerate(MODES):
            samples = curves.sel(constrained=mode, value=value).values
            axes.plot(steps, samples.mean(0), color=COLOR[name], linestyle=line, linewidth=1.4)
            if line == "-":
                axes.fill_between(steps, samples.min(0), samples.max(0), color=COLOR[name], alpha=0.2, linewidth=0)
            for seed in samples[~np.isfinite(samples[:, -1])]:  # where a diverged run was last seen
                last = np.flatnonzero(np.isfinite(seed))[-1]
                axes.plot(steps[last], seed[last], "x", color=COLOR[name], markersize=7)
    symbol = PANELS[panel].label.split("$")[1]
    axes.set_title(f"{panel}-2: ${symbol} = {chosen[0]:g}$ (dots), ${chosen[1]:g}$", fontsize=8)
    low, high = np.nanmin(curves.sel(value=list(chosen))), np.nanmax(curves.sel(value=list(chosen)))
    axes.set(xlabel="step $n$", xlim=(0, steps[-1]))
    if high < 4 * low:
        return
    axes.set(yscale="log", ylim=(0.85 * low, 1.15 * min(high, 20)))
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if 0.85 * low <= tick <= 1.15 * high]
    axes.minorticks_off()
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])


def caption(data: xr.Dataset) -> str:
    """MyST caption with the numbers of the data."""
    found = scales(data)
    missing = MISSING.format(commands("paper"))
    if not found:
        return f"Unconstrained and constrained training at the paper's scale: not yet run. {missing}"
    origins = [f"*{name}:* {data.attrs[f'{name}_origin']}." for name in found]
    rest = " ".join([panels(data, found[0]), ROWS, *origins, *([] if "paper" in found else [missing])])
    return (
        "Learning rate, momentum and weight decay with the norms of filters free (unconstrained) and held at "
        f"their initial values (constrained). {rest}"
    )


def panels(data: xr.Dataset, scale: str) -> str:
    """What the panels of one scale show, for a caption."""
    a, b, c = (decisive(data, panel, scale) for panel in PANELS)
    gained = {panel: 100 * advantage(data, panel, "test_accuracy", scale).mean("seed") for panel in ("A", "B")}
    first = {panel: (number(lead[0], ".1f"), f"{float(lead['value'][0]):g}") for panel, lead in gained.items()}
    then = {panel: number(gained[panel].sel(value=value), ".1f") for panel, value in (("A", a), ("B", b))}
    free = results(data, "C", "test_accuracy", scale).sel(constrained=0).mean("seed")
    count = results(data, "A", "test_loss", scale).sizes["seed"]
    return (
        f"**A:** constant learning rates; the free run is {first['A'][0]} percentage points more accurate at "
        f"$\\eta = {first['A'][1]}$ and {then['A']} at $\\eta = {a:g}$. **B:** momentum under a step decay; "
        f"{first['B'][0]} points at $\\beta = {first['B'][1]}$ and {then['B']} at $\\beta = {b:g}$. **C:** weight "
        "decay; the free run's accuracy goes from "
        f"{100 * float(free.isel(value=0)):.1f} % without to {100 * float(free.sel(value=c)):.1f} % at $k = {c:g}$. "
        f"Bands are the range over {count} seeds; a cross is a diverged run."
    )


def alt(data: xr.Dataset) -> str:
    """What the figure shows, for those who cannot see it."""
    found = scales(data)
    if not found:
        return "An empty figure: the runs of the paper profile are not gathered yet."
    return "Three columns of accuracy above test loss. " + accuracies(data, found[0])


def accuracies(data: xr.Dataset, scale: str) -> str:
    """Mean final accuracies of one scale in words."""
    parts = []
    for panel, (_, _, _, words) in PANELS.items():
        ends = results(data, panel, "test_accuracy", scale).mean("seed")
        ranges = [f"{100 * float(ends.sel(constrained=m, value=v)):.2g}" for v in ends["value"].values for m in (0, 1)]
        pairs = ", ".join(f"{one} and {two}" for one, two in zip(ranges[::2], ranges[1::2], strict=True))
        parts.append(f"{panel}, over {words}, unconstrained and constrained accuracy in percent: {pairs}.")
    return " ".join(parts)
