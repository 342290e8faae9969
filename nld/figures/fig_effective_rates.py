"""Why free norms help: effective rates of the runs of fig-experiments, with norms free and held.

The direction of a filter moves at the effective rate eta/((1 - beta) r²), r² being its squared norm.
"""

import numpy as np
import xarray as xr

from nld.experiment import run_sweep
from nld.figures._data.experiment_table import PANELS, quick_sweep
from nld.figures._render.style import COLOR, new_figure, predicted
from nld.figures._render.text import number

EXPLORATORY = "it looks into the runs of fig-experiments, whose judging seeds rule on the findings"
MODES = ("unconstrained", "constrained")
SHOWN = (0.003, 0.03, 0.3)  # learning rates whose course is drawn
OTHER_RATE = 0.3  # a second learning rate for the sweep of momentum, in w²/ℓ


def compute(profile: str, *, seed: int = 0, learning_rate: float = 1.0) -> xr.Dataset:
    """The sweeps of fig-experiments, quick in all profiles, and that of B once more at another learning rate.

    Each run is looked at half-way, before any schedule lowers its rate. The store has most of them.
    """
    tables = [_table(run_sweep(quick_sweep(panel, seed, learning_rate)), panel) for panel in PANELS]
    tables.append(_table(run_sweep(quick_sweep("B", seed, OTHER_RATE)), "B, other rate"))
    return xr.concat(tables, "run", combine_attrs="drop").assign_attrs(learning_rate=learning_rate, seed=seed)


def _table(gathered: xr.Dataset, panel: str) -> xr.Dataset:
    """Effective rate (run, point), and loss half-way and final accuracy (run), of one sweep."""

    def column(name: str) -> np.ndarray:
        shared = gathered.attrs.get(name)
        return gathered[name].values if name in gathered.coords else np.full(gathered.sizes["run"], shared)

    squared = gathered["squared_norm"].transpose("run", "evaluation_step", "filter").values
    at = np.minimum(gathered["evaluation_step"].values, gathered.sizes["step"] - 1)
    rates = gathered["learning_rate_at_step"].transpose("run", "step").values[:, at, None]
    rate = np.median(rates / ((1 - column("momentum")[:, None, None]) * squared), axis=-1)
    half = int(np.searchsorted(gathered["evaluation_step"].values, gathered.sizes["step"] // 2))
    return xr.Dataset(
        {
            "effective_rate": (("run", "point"), rate, {"units": "1/ℓ", "long_name": "median over the filters"}),
            "squared_norm": (("run", "point"), np.median(squared, axis=-1), {"units": "w²", "long_name": "median"}),
            "half_rate": ("run", np.median(_half(column, squared[:, half]), axis=-1), {"units": "1/ℓ"}),
            "half_loss": ("run", gathered["test_loss"].values[:, half], {"units": "ℓ", "long_name": "test loss"}),
            "accuracy": ("run", gathered["test_accuracy"].values[:, -1], {"units": "1", "long_name": "at the end"}),
        },
        coords={
            "step": ("point", gathered["evaluation_step"].values),
            "panel": ("run", np.full(len(rate), panel, dtype=object)),
            "constrained": ("run", gathered["constrained"].values.astype(int)),
            "seed": ("run", column("seed")),
            **{field: ("run", column(field)) for field in ("learning_rate", "momentum", "weight_decay")},
        },
    )


def _half(column, squared: np.ndarray) -> np.ndarray:
    """Effective rate before the first milestone: (run, filter)."""
    return (column("learning_rate") / (1 - column("momentum")))[:, None] / squared


def means(data: xr.Dataset, panel: str, quantity: str = "half_rate") -> tuple[np.ndarray, np.ndarray]:
    """The values that vary in a panel, and means over seeds: (mode, value)."""
    runs = data.isel(run=np.flatnonzero(data["panel"] == panel))
    field = PANELS[panel[0]].field
    values = np.unique(runs[field])
    picked = [
        [runs[quantity].values[(runs["constrained"] == mode) & (runs[field] == value)].mean() for value in values]
        for mode in (0, 1)
    ]
    return values, np.array(picked)


def slopes(data: xr.Dataset) -> np.ndarray:
    """Slope of log effective rate over log learning rate in panel A at 0.03 w²/ℓ and above: (mode)."""
    values, rates = means(data, "A")
    large = values >= 0.03
    return np.array([np.polyfit(np.log(values[large]), np.log(row[large]), 1)[0] for row in rates])


def spans(data: xr.Dataset) -> np.ndarray:
    """Largest over smallest half-way effective rate in A from 0.03 w²/ℓ and in B: (panel, mode)."""
    rates, momenta = means(data, "A"), means(data, "B")[1]
    large = rates[1][:, rates[0] >= 0.03]
    return np.array([(row.max(1) / row.min(1)) for row in (large, momenta)])


def lost(data: xr.Dataset) -> np.ndarray:
    """Momenta of the free runs whose loss half-way is at least three quarters of that of guessing."""
    runs = (data["constrained"] == 0) & (data["half_loss"] > 0.75 * np.log(10))
    return data["momentum"].values[runs.values]


def sentences(data: xr.Dataset) -> dict[str, str]:
    """Sentences and clauses that compare effective rates, chosen by the data."""
    rate, loss, held = data["half_rate"].values, data["half_loss"].values, data["constrained"].values == 1
    best = [float(rate[mode][loss[mode].argmin()]) for mode in (~held, held)]
    fast = loss[rate > 10] > 0.75 * np.log(10)
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
    if not len(gone):
        return "No free run guesses."
    free = data["half_rate"].values[(data["constrained"] == 0) & (data["half_loss"] > 0.75 * np.log(10))]
    said = f"Of the free runs {len(gone)} guess, at momenta from {gone.min():g} and rates of up to {free.max():.2g} 1/ℓ"
    if free.max() > 10:
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
    figure, _ = new_figure(size=(6.4, 4.8))
    figure.clear()
    axes = figure.subplot_mosaic([["A", "B", "C"], ["course", "loss", "loss"]], height_ratios=[1, 1.15])
    for panel, (_, _, label, _) in PANELS.items():
        values, rates = means(data, panel)
        places = np.arange(len(values))
        for mode, name in enumerate(MODES):
            axes[panel].plot(places, rates[mode], color=COLOR[name], marker="os"[mode], markersize=3.5, linewidth=1.2)
        ticks = [f"{value:g}" for value in values]
        axes[panel].set_xticks(places, ticks, rotation=60 if len("".join(ticks)) > 16 else 0)
        axes[panel].set(xlabel=label, yscale="log", ylim=(0.02, 130))
        axes[panel].set_title(panel)
    axes["A"].set_ylabel("effective rate\n$\\eta/((1-\\beta)r^2)$ [1/ℓ]")
    for mode, name in enumerate(MODES):
        axes["B"].text(0.04, 0.14 - 0.11 * mode, f"{'●■'[mode]} {name}", color=COLOR[name], fontsize=8,
                       transform=axes["B"].transAxes)  # fmt: skip
    _draw_course(data, axes["course"])
    for mode, name in enumerate(MODES):
        runs = data.isel(run=np.flatnonzero(data["constrained"] == mode))
        axes["loss"].plot(
            runs["half_rate"], runs["half_loss"], "os"[mode], color=COLOR[name], markersize=3.5, alpha=0.6
        )
    axes["loss"].axhline(np.log(10), **predicted(linewidth=0.8))
    axes["loss"].text(0.03, np.log(10) * 1.06, "guessing", fontsize=8)
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
    """MyST caption with the numbers of the data."""
    (free_rates, held_rates), (free_momenta, held_momenta) = spans(data)
    slope, decayed, gone = slopes(data), means(data, "C")[1][0], len(lost(data))
    decay = "raises" if (np.diff(decayed) > 0).all() else "changes"
    fate = "they were lost in their first steps, before their norms had grown" if gone else "none was lost"
    return (
        "Free norms set their own learning rate. **Top:** effective rate $\\eta/((1-\\beta)r^2)$ half-way "
        "through training, before any schedule lowers it, in the sweeps of {numref}`fig-experiments`; medians over "
        f"filters, means over seeds. From $\\eta = 0.03$ w²/ℓ on the held norms' rate spans a factor {held_rates:.0f} "
        f"(slope {slope[1]:.2f} in logarithms), the free norms' a factor {free_rates:.1f} (slope "
        f"{number(slope[0], '.2f')}); over momenta it is {held_momenta:.0f} against {free_momenta:.1f}. "
        f"Weight decay {decay} the free norms' rate, from {decayed[0]:.2g} to {decayed[-1]:.2g} per ℓ. "
        f"**Bottom left:** its course for $\\eta = $ {SHOWN[0]:g} (dots), {SHOWN[1]:g} (dashes) and {SHOWN[2]:g} w²/ℓ "
        "(solid). **Bottom right:** test loss half-way against the effective rate, one mark a run, with momentum also "
        f"swept at $\\eta = {OTHER_RATE:g}$ w²/ℓ; the dashed line is the loss of guessing. Of the free runs, "
        f"{gone} lie near it or above: {fate}."
    )


def alt(data: xr.Dataset) -> str:
    """What the figure shows, for those who cannot see it."""
    (free_rates, held_rates), (free_momenta, held_momenta) = spans(data)
    rate, loss = data["half_rate"].values, data["half_loss"].values
    free = data.isel(run=np.flatnonzero((data["panel"] == "A") & (data["constrained"] == 0)))["effective_rate"].values
    spread = np.log(free).std(0)
    bend = "bend towards each other" if spread[-1] < spread[0] else "do not approach each other"
    best, above = rate[loss.argmin()], loss[rate > 10] > 0.75 * np.log(10)
    return (
        "Five panels on logarithmic axes. With norms held the effective rate rises in proportion to the learning rate, "
        f"by a factor {held_rates:.0f}, and with momentum, by {held_momenta:.0f}; with norms free it changes by "
        f"{free_rates:.1f} and {free_momenta:.1f}. Over the steps the free norms' curves {bend} "
        "while the held ones stay flat. The smallest test loss is at a rate of "
        f"{best:.2g}; of the {len(above)} runs with rates above ten {above.sum()} guess."
    )
