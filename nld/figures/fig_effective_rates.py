"""Why free norms help: effective rates of the runs of fig-experiments, with norms free and held.

The direction of a filter moves at the effective rate eta/((1 - beta) r²), r² being its squared norm.
"""

import numpy as np
import xarray as xr

from nld.experiment import run_sweep
from nld.figures._data.effective_rates import OTHER_RATE, SHOWN, guesses, lost, means, slopes, spans, table
from nld.figures._data.experiment_table import MODES, PANELS, quick_sweep
from nld.figures._render.experiment_panels import name_modes
from nld.figures._render.labels import even_ticks
from nld.figures._render.style import BASELINE, COLOR, new_mosaic
from nld.figures._render.text import number

EXPLORATORY = "it looks into the runs of fig-experiments, whose judging seeds rule on the findings"


def compute(profile: str, *, seed: int = 0, learning_rate: float = 1.0) -> xr.Dataset:
    """The sweeps of fig-experiments, quick in all profiles, and that of B once more at another learning rate.

    Each run is looked at half-way, before any schedule lowers its rate. The store has most of them.
    """
    tables = [table(run_sweep(quick_sweep(panel, seed, learning_rate)), panel) for panel in PANELS]
    tables.append(table(run_sweep(quick_sweep("B", seed, OTHER_RATE)), "B, other rate"))
    return xr.concat(tables, "run", combine_attrs="drop").assign_attrs(learning_rate=learning_rate, seed=seed)


def sentences(data: xr.Dataset) -> dict[str, str]:
    """Sentences and clauses that compare effective rates, chosen by the data."""
    rate, loss, held = data["half_rate"].values, data["half_loss"].values, data["constrained"].values == 1
    best = [float(rate[mode][loss[mode].argmin()]) for mode in (~held, held)]
    fast = guesses(data)[rate > 10]
    same = max(best) < 10 * min(best)
    reason = (
        "So free norms are not better because they are free. They are better because they end up where the rate is "
        "right."
        if same
        else "The two best rates are far apart: the rate alone does not explain the losses."
    )
    return {
        "best-rates": f"The smallest loss is at a rate of {best[0]:.2g} 1/ℓ with free norms and of {best[1]:.2g} 1/ℓ "
        f"with held ones, and {fast.sum()} of the {len(fast)} runs at rates above ten guess. {reason}",
        "exceptions": exceptions(data),
        "course": course(data, SHOWN[-1]),
        "recovers": recovers(data),
        "decay-moves": decay_moves(data),
    }


def exceptions(data: xr.Dataset) -> str:
    """On the free runs that guess, and whether their rates are to blame."""
    gone = lost(data)
    if not gone.sizes["run"]:
        return "No free run guesses."
    least, most = float(gone["momentum"].min()), float(gone["half_rate"].max())
    said = f"Of the free runs {gone.sizes['run']} guess, at momenta from {least:g} and rates of up to {most:.2g} 1/ℓ"
    if most > 10:
        return f"{said}."
    return f"The exceptions teach as well. {said}: they were lost in their first steps, before their norms had grown."


def course(data: xr.Dataset, learning_rate: float, step: int = 30) -> str:
    """From which effective rate to which a free run of panel A goes in its first steps, means over seeds."""
    runs = data.isel(run=np.flatnonzero((data["panel"] == "A") & (data["constrained"] == 0)))
    runs = runs.isel(run=np.flatnonzero(np.isclose(runs["learning_rate"], learning_rate)))
    rate, at = runs["effective_rate"].mean("run").values, int(np.searchsorted(runs["step"].values, step))
    return f"from {rate[0]:.2g} 1/ℓ to {rate[at]:.2g} 1/ℓ within {int(runs['step'][at])} steps"


def recovers(data: xr.Dataset, momentum: float = 0.9) -> str:
    """The free run's lead at one momentum at both learning rates, and whether the held run comes back at the other."""
    leads = []
    for panel in ("B", "B, other rate"):
        momenta, accuracy = means(data, panel, "accuracy")
        leads.append(100 * float((accuracy[0] - accuracy[1])[list(momenta).index(momentum)]))
    said = f"{number(leads[1], '+.1f')} percentage points, against {number(leads[0], '+.1f')}"
    if abs(leads[1]) < 0.5 * leads[0]:
        return (
            f"{said}: the step decay lowers the rate of the held run too, and it can recover in time. An advantage "
            "that grows with momentum needs a learning rate at which the held run does not come back."
        )
    return f"{said}: the held run does not come back at this rate either."


def decay_moves(data: xr.Dataset) -> str:
    """What weight decay does to the rate of the free runs."""
    rate = means(data, "C")[1][0]
    verb = "lifts" if (np.diff(rate) > 0).all() else "does not steadily lift"
    return f"{verb} the rate of the free run, from {rate[0]:.2g} to {rate[-1]:.2g} 1/ℓ"


def draw(data: xr.Dataset):
    """Half-way rates of A, B and C above; below, their course in A, and losses against rates of all runs."""
    figure, axes = new_mosaic([["A", "B", "C"], ["course", "loss", "loss"]], (6.4, 4.8), height_ratios=[1, 1.15])
    for panel, (_, _, label, _) in PANELS.items():
        values, rates = means(data, panel)
        places = np.arange(len(values))
        for mode, name in enumerate(MODES):
            axes[panel].plot(places, rates[mode], color=COLOR[name], marker="os"[mode], markersize=3.5, linewidth=1.2)
        even_ticks(axes[panel], values)
        axes[panel].set(xlabel=label, yscale="log", ylim=(0.02, 130))
        axes[panel].set_title(panel)
    axes["A"].set_ylabel("effective rate\n$\\eta/((1-\\beta)r^2)$ [1/ℓ]")
    name_modes(axes["B"], 0.04, 0.11)
    _draw_course(data, axes["course"])
    for mode, name in enumerate(MODES):
        runs = data.isel(run=np.flatnonzero(data["constrained"] == mode))
        axes["loss"].plot(
            runs["half_rate"], runs["half_loss"], "os"[mode], color=COLOR[name], markersize=3.5, alpha=0.6
        )
    axes["loss"].axhline(np.log(10), **BASELINE)
    axes["loss"].text(0.022, np.log(10) * 1.06, "guessing", fontsize=8, color=BASELINE["color"])
    axes["loss"].set(
        xscale="log", yscale="log", xlabel="effective rate half-way [1/ℓ]", ylabel="test loss half-way [ℓ]"
    )
    axes["loss"].set_yticks([0.1, 0.2, 0.5, 1, 2], ["0.1", "0.2", "0.5", "1", "2"])
    axes["loss"].set_title("all runs")
    return figure


def _draw_course(data: xr.Dataset, axes) -> None:
    runs = data.isel(run=np.flatnonzero(data["panel"] == "A"))
    step = data["step"].values
    for rate, line in zip(SHOWN, (":", "--", "-"), strict=True):
        for mode, name in enumerate(MODES):
            chosen = np.isclose(runs["learning_rate"], rate) & (runs["constrained"].values == mode)
            axes.plot(step, runs["effective_rate"].values[chosen].mean(0), color=COLOR[name], linestyle=line)
    axes.set(xlabel="step $n$", ylabel="effective rate [1/ℓ]", yscale="log", xlim=(0, step[-1]), ylim=(0.02, 130))
    axes.set_title("A: $\\eta = $" + ", ".join(f"{rate:g}" for rate in SHOWN), fontsize=8)


def caption(data: xr.Dataset) -> str:
    (free_rates, held_rates), (free_momenta, held_momenta) = spans(data)
    slope, decayed, gone = slopes(data), means(data, "C")[1][0], lost(data).sizes["run"]
    decay = "raises" if (np.diff(decayed) > 0).all() else "changes"
    fate = "they were lost in their first steps, before their norms had grown" if gone else "none was lost"
    return (
        "Free norms set their own learning rate. **Top:** effective rate $\\eta/((1-\\beta)r^2)$ half-way through "
        "training, before any schedule lowers it, in the sweeps of {numref}`fig-experiments`; medians over filters, "
        f"means over seeds. From $\\eta = 0.03$ w²/ℓ on the held norms' rate spans a factor {held_rates:.0f} (slope "
        f"{slope[1]:.2f} in logarithms), the free norms' a factor {free_rates:.1f} (slope {number(slope[0], '.2f')}); "
        f"over momenta it is {held_momenta:.0f} against {free_momenta:.1f}. Weight decay {decay} the free norms' rate, "
        f"from {decayed[0]:.2g} to {decayed[-1]:.2g} per ℓ. **Bottom left:** its course for $\\eta = $ {SHOWN[0]:g} "
        f"(dots), {SHOWN[1]:g} (dashes) and {SHOWN[2]:g} w²/ℓ (solid). **Bottom right:** test loss half-way against "
        f"the effective rate, one mark a run, with momentum also swept at $\\eta = {OTHER_RATE:g}$ w²/ℓ; the dotted "
        f"line is the loss of guessing. Of the free runs, {gone} lie near it or above: {fate}."
    )


def alt(data: xr.Dataset) -> str:
    (free_rates, held_rates), (free_momenta, held_momenta) = spans(data)
    rate, loss = data["half_rate"].values, data["half_loss"].values
    free = data.isel(run=np.flatnonzero((data["panel"] == "A") & (data["constrained"] == 0)))["effective_rate"].values
    spread = np.log(free).std(0)
    bend = "bend towards each other" if spread[-1] < spread[0] else "do not approach each other"
    best, above = rate[loss.argmin()], guesses(data)[rate > 10]
    return (
        "Five panels on logarithmic axes. With norms held the effective rate rises in proportion to the learning rate, "
        f"by a factor {held_rates:.0f}, and with momentum, by {held_momenta:.0f}; with norms free it changes by "
        f"{free_rates:.1f} and {free_momenta:.1f}. Over the steps the free norms' curves {bend} "
        "while the held ones stay flat. The smallest test loss is at a rate of "
        f"{best:.2g}; of the {len(above)} runs with rates above ten {above.sum()} guess."
    )
