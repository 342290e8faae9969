"""Learning rate, momentum and weight decay, with filter norms free and held. Paper: the experiment figure, A-1 to C-2.

Unconstrained is plain SGD; constrained scales every filter back to its initial norm after each step. The sweeps are
the specs of `nld.experiment.specs`: `quick` runs digits here, `paper` reads gathered results.
"""

import numpy as np
import xarray as xr

from nld.experiment import run_sweep
from nld.figures.experiment_table import (
    PANELS,
    advantage,
    commands,
    decisive,
    gathered,
    joined,
    larger,
    origin,
    quick_sweep,
    results,
    scales,
    table,
)
from nld.figures.style import COLOR, new_figure
from nld.figures.text import number
from nld.verdict import CORRECTED, REFUTED, REPRODUCED, Verdict

# At the largest rates a run amplifies the last bits: single seeds may go another way on another processor.
TOLERANCE = {"test_accuracy": 1.0, "test_loss": 1.0, "train_loss": 1.0, "norm_growth": 0.5, "diverged": 1.0}
MODES = ("unconstrained", "constrained")
ROWS = "**Top:** final test accuracy, means; **bottom:** test loss at two values."
MISSING = "No run of the paper profile is gathered yet. On a machine with a GPU: {}."


def compute(profile: str, *, seed: int = 0, learning_rate: float = 1.0, label_noise: float = 0.0) -> xr.Dataset:
    """All runs along ``run``, with their panel and scale: those of `quick` computed or taken from the store, those of
    `paper` read where they are gathered. `seed` is the first of several, `learning_rate` that of B and C; both, and
    `label_noise`, belong to `quick`."""
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
    return joined(tables).assign_attrs(attributes)


def judge(data: xr.Dataset) -> list[Verdict]:
    """The paper's findings A, B and C at the profile's scale; none on a panel that the data lack.

    Differences count if a t-test over the seeds finds them positive, one-sided at 5 %. A: at the smallest learning rate
    the modes agree to 2 % in accuracy and 10 % in loss, and at some larger one the unconstrained is better. B: its
    advantage at momentum 0.9 is positive and larger than at the smallest momentum. C: at the weight decay with the
    smallest test loss, accuracy and loss are better than without. B and C hold with a correction if only one of the two
    agrees.
    """
    scale = data.attrs["profile"]
    held = {str(panel) for panel in data["panel"].values[data["scale"].values == scale]} if scales(data) else set()
    rules = {"A": _judge_rates, "B": _judge_momentum, "C": _judge_decay}
    return [rules[panel](data, scale) for panel in PANELS if panel in held]


def _judge_rates(data: xr.Dataset, scale: str) -> Verdict:
    gained = advantage(data, "A", "test_accuracy", scale)
    loss = results(data, "A", "test_loss", scale)
    lowest = loss.isel(value=0)
    parting = float(np.abs((lowest.sel(constrained=0) / lowest.sel(constrained=1)).values - 1).max())
    apart = float(np.abs(gained.isel(value=0)).max())
    best = decisive(data, "A", scale)
    top = gained.sel(value=best).values
    holds = apart <= 0.02 and parting <= 0.1 and larger(top)
    numbers = (
        f"At learning rate {float(gained['value'][0]):g} the two differ by at most {100 * apart:.1f} % in accuracy and "
        f"{100 * parting:.1f} % in test loss; at {best:g} the unconstrained run is "
        f"{_spread(100 * top)} percentage points more accurate."
    )
    return Verdict("finite-learning-rate", REPRODUCED if holds else REFUTED, numbers)


def _judge_momentum(data: xr.Dataset, scale: str) -> Verdict:
    grown, numbers = [], []
    for quantity, sign, unit, factor in (("test_accuracy", 1, "percentage points", 100), ("test_loss", -1, "l", 1)):
        gained = sign * factor * advantage(data, "B", quantity, scale)
        low, high = gained.isel(value=0).values, gained.sel(value=0.9).values
        grown.append(larger(high) and larger(high - low))
        numbers.append(
            f"{_spread(low)} {unit} at momentum {float(gained['value'][0]):g} and {_spread(high)} {unit} at 0.9"
        )
    label = REPRODUCED if all(grown) else CORRECTED if any(grown) else REFUTED
    only = f" Only the {'accuracy' if grown[0] else 'loss'} shows it." if label == CORRECTED else ""
    text = f"Advantage of the free norm in accuracy: {numbers[0]}; in test loss: {numbers[1]}.{only}"
    return Verdict("momentum-advantage", label, text)


def _judge_decay(data: xr.Dataset, scale: str) -> Verdict:
    best = decisive(data, "C", scale)
    better, numbers = [], []
    for mode in (0, 1):
        for quantity, sign, unit, factor in (("test_accuracy", 1, "percentage points", 100), ("test_loss", -1, "l", 1)):
            ends = results(data, "C", quantity, scale).sel(constrained=mode)
            gained = sign * factor * (ends.sel(value=best) - ends.isel(value=0)).values
            better.append(larger(gained))
            numbers.append(f"{_spread(gained)} {unit}")
    label = REPRODUCED if all(better[:2]) else CORRECTED if any(better[:2]) else REFUTED
    only = f" Only the {'accuracy' if better[0] else 'loss'} improves." if label == CORRECTED else ""
    text = (
        f"Weight decay {best:g} against none improves accuracy by {numbers[0]} and test loss by {numbers[1]}; with the "
        f"norms held, by {numbers[2]} and {numbers[3]}.{only}"
    )
    return Verdict("weight-decay-helps", label, text)


def _spread(samples: np.ndarray) -> str:
    """Mean and standard deviation over seeds."""
    return f"{samples.mean():.2g} ± {samples.std(ddof=1):.1g}"


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
        axes[2 * row + 1, 0].set_ylabel("test loss [l]")
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
