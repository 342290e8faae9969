"""Sentences of the chapter that compare effective rates, each chosen by the data of fig-effective-rates."""

import numpy as np
import xarray as xr

from nld.figures._data.effective_rates import SHOWN, guesses, lost, means
from nld.figures._render.text import number


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
