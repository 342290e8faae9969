"""Learning rate, momentum and weight decay, with filter norms free and held. Paper: the experiment figure, A-1 to C-2.

Unconstrained is plain SGD; constrained scales every filter back to its initial norm after each step. The sweeps are
the specs of `nld.experiment.runs.specs`: `quick` runs digits here, `paper` reads gathered results.
"""

import numpy as np
import xarray as xr

from nld.experiment import run_sweep
from nld.figures._data import experiment_contrasts as contrasts
from nld.figures._data import experiment_table as sweeps
from nld.figures._data import experiments_prose
from nld.figures._render.experiment_panels import draw_accuracy, name_modes
from nld.figures._render.labels import label_point, ticks_at
from nld.figures._render.style import BASELINE, COLOR, new_figure
from nld.figures.evidence import judged
from nld.inference import Verdict, rule

EVIDENCE, KEPT_SEEDS = "results/evidence/fig-experiments.nc", 128
ROWS = "**Top:** final test accuracy, means; **bottom:** test loss at two values."
MISSING = "No run of the paper profile is gathered yet; {doc}`reproducibility` says how it is run."


def compute(profile: str, *, seed: int = 0, learning_rate: float = 1.0, label_noise: float = 0.0) -> xr.Dataset:
    """All runs along ``run``, with their panel and scale: those of `quick` computed or taken from the store, those of
    `paper` read where they are gathered; beside them the judging seeds of `quick`, at the settings that rule. `seed` is
    the first of several, `learning_rate` that of B and C; both, and `label_noise`, belong to `quick`."""
    tables, origins = [], {}
    if profile == "quick":
        for panel in sweeps.PANELS:
            runs = run_sweep(sweeps.quick_sweep(panel, seed, learning_rate, label_noise))
            tables.append(sweeps.table(runs, panel, "quick"))
            origins["quick"] = sweeps.origin(runs)
    of_paper, words = sweeps.gathered("paper")
    if of_paper:
        origins["paper"] = words
    tables += of_paper
    attributes = {"profile": profile, "label_noise": label_noise} | {f"{k}_origin": v for k, v in origins.items()}
    data = sweeps.joined(tables).assign_attrs(attributes)
    if profile != "quick":
        return data
    registered = (learning_rate, label_noise) == (1.0, 0.0)
    chosen = contrasts.registered_values() if registered else sweeps.selected(data, "quick")
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
    if "paper" in sweeps.scales(data):
        held = {str(panel) for panel in data["panel"].values[data["scale"].values == "paper"]}
        if held == set(sweeps.PANELS):
            rows = contrasts.from_table(data, "paper", sweeps.selected(data, "paper"))
            found += contrasts.evidence(rows, "@paper")
    return rule(found)


def sentences(data: xr.Dataset) -> dict[str, str]:
    """Sentences of the chapter that compare, each chosen by the data; empty ones where they hold no quick runs."""
    return experiments_prose.sentences(data, judge(data))


def draw(data: xr.Dataset):
    """For each scale a row of accuracies over a row of loss curves; one column a panel."""
    found = sweeps.scales(data)
    if not found:
        figure, axes = new_figure(size=(6.4, 1.2))
        axes.text(0.5, 0.5, "paper profile: not run yet (see the caption)", ha="center", va="center")
        axes.set_axis_off()
        return figure
    figure, axes = new_figure(2 * len(found), 3, size=(6.4, 4.4 * len(found)), squeeze=False, sharey="row")
    for row, scale in enumerate(found):
        chance = float(data["chance"].values[data["scale"].values == scale][0])
        for column, panel in enumerate(sweeps.PANELS):
            above, below = axes[2 * row : 2 * row + 2, column]
            if not ((data["panel"] == panel) & (data["scale"] == scale)).any():
                above.set_axis_off()
                below.set_axis_off()
                continue
            draw_accuracy(above, *sweeps.final_accuracies(data, panel, scale))
            above.axhline(chance, **BASELINE)
            above.set(xlabel=sweeps.PANELS[panel].label, ylim=(-0.06, 1.03), yticks=[0, 0.25, 0.5, 0.75, 1])
            _draw_losses(data, panel, scale, below)
            below.axhline(-np.log(chance), **BASELINE)
            above.set_title(f"{panel}-1" + (f" ({scale})" if len(found) > 1 else ""))
        axes[2 * row, 0].set_ylabel("final test accuracy [1]")
        axes[2 * row + 1, 0].set_ylabel("test loss [ℓ]")
        label_point(axes[2 * row, 0], "guessing", (0, chance), (0, -12), va="bottom", color=BASELINE["color"])
    name_modes(axes[0, 0], top=0.38)
    return figure


def _draw_losses(data: xr.Dataset, panel: str, scale: str, axes) -> None:
    curves = sweeps.results(data, panel, "test_loss", scale, point=None)
    steps = sweeps.results(data, panel, "step", scale, point=None).values[0, 0, 0]
    chosen = (float(curves["value"][0]), sweeps.decisive(data, panel, scale))
    for value, line in zip(chosen, (":", "-"), strict=True):
        for mode, name in enumerate(sweeps.MODES):
            samples = curves.sel(constrained=mode, value=value).values
            axes.plot(steps, samples.mean(0), color=COLOR[name], linestyle=line, linewidth=1.4)
            if line == "-":
                axes.fill_between(steps, samples.min(0), samples.max(0), color=COLOR[name], alpha=0.2, linewidth=0)
            for seed in samples[~np.isfinite(samples[:, -1])]:  # where a diverged run was last seen
                last = np.flatnonzero(np.isfinite(seed))[-1]
                axes.plot(steps[last], seed[last], "x", color=COLOR[name], markersize=7)
    symbol = sweeps.PANELS[panel].label.split("$")[1]
    axes.set_title(f"{panel}-2: dotted ${symbol} = {chosen[0]:g}$,\nsolid ${symbol} = {chosen[1]:g}$", fontsize=8)
    axes.set(xlabel="step $n$", xlim=(0, steps[-1]), yscale="log")
    losses = data["test_loss"].values[data["scale"].values == scale]
    low, high = 0.85 * np.nanmin(losses), 1.3 * min(np.nanmax(losses), 20)
    axes.set_ylim(low, high)
    ticks_at(axes.yaxis, [tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if low <= tick <= high])


def caption(data: xr.Dataset) -> str:
    found = sweeps.scales(data)
    if not found:
        return f"Unconstrained and constrained training at the paper's scale: not yet run. {MISSING}"
    origins = [f"*{name}:* {data.attrs[f'{name}_origin']}." for name in found]
    shown = experiments_prose.panels(data, found[0])
    guessing = "Grey dots: guessing."
    rest = " ".join([shown, ROWS, guessing, *origins, *([] if "paper" in found else [MISSING])])
    return (
        "Learning rate, momentum and weight decay with the norms of filters free (unconstrained) and held at "
        f"their initial values (constrained). {rest}"
    )


def alt(data: xr.Dataset) -> str:
    found = sweeps.scales(data)
    if not found:
        return "An empty figure: the runs of the paper profile are not gathered yet."
    return "Three columns of accuracy above test loss. " + experiments_prose.accuracies(data, found[0])
