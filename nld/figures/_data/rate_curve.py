"""The loss as one curve over the effective rate: a mechanism, tested seed by seed on runs with norms free and held.

Half-way through training, before any schedule lowers its rate, a run has the effective rate x = eta/((1 - beta) r²),
r² the median squared norm of its filters. Within one seed, log loss is fitted by least squares on 1, log x, (log x)²,
and once more with a constant of its own for runs with held norms.
"""

import numpy as np
import xarray as xr

from nld.figures._data.effective_rates import table
from nld.inference import Evidence

CLAIM = "effective-rate-explains-loss"
EXPLAINED = 0.8  # share of the variance of log loss that a rate which explains it should reach


def half_way(gathered: xr.Dataset) -> dict[str, np.ndarray]:
    """Effective rate and test loss half-way, each (run), to be kept beside final results."""
    looked_at = table(gathered, "")
    return {"judged_half_rate": looked_at["half_rate"].values, "judged_half_loss": looked_at["half_loss"].values}


def explained(rate: np.ndarray, loss: np.ndarray, held: np.ndarray) -> tuple[float, float]:
    """Share of the variance of log loss on the common curve, and the constant of the held runs, both of one seed.

    Args:
        rate, loss, held: of the runs of one seed, (run).
    """
    x, y = np.log(rate), np.log(loss)
    common = np.stack([np.ones_like(x), x, x**2], 1)
    residual = y - common @ np.linalg.lstsq(common, y)[0]
    constant = np.linalg.lstsq(np.column_stack([common, held]), y)[0][-1]
    return 1 - float(residual @ residual / ((y - y.mean()) @ (y - y.mean()))), float(constant)


def evidence(data: xr.Dataset) -> Evidence:
    """What the judging seeds say of the mechanism.

    The rate at the start is that of the held run beside: norms begin equal, and a held one keeps it.
    """
    rates, losses = (
        data[name].transpose("judging_seed", "setting", "constrained_norm").values
        for name in ("judged_half_rate", "judged_half_loss")
    )
    held = np.broadcast_to(np.arange(2.0), rates.shape[1:]).ravel()
    at_start = np.broadcast_to(rates[..., 1:], rates.shape)
    by_rate, by_start = (
        np.array([explained(x.ravel(), y.ravel(), held) for x, y in zip(each, losses, strict=True)])
        for each in (rates, at_start)
    )
    samples = {
        "held norms on the same curve": by_rate[:, 1],
        "the rate explains": by_rate[:, 0] - EXPLAINED,
        "better than the rate at the start": by_rate[:, 0] - by_start[:, 0],
    }
    numbers = (
        f"The effective rate half-way explains {100 * by_rate[:, 0].mean():.0f} % of the variance of log loss over "
        f"settings and modes, the rate at the start {100 * by_start[:, 0].mean():.0f} %. At one effective rate the "
        f"loss with held norms is {np.exp(by_rate[:, 1].mean()):.3f} times that with free ones."
    )
    return Evidence(CLAIM, numbers, samples)
