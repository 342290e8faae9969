"""What fig-schedules rules on: training at a constant rate, and weight decay traded for a growing rate.

References: Arora, Li and Lyu 2019; Li and Arora 2020.
"""

import numpy as np
import xarray as xr

from nld.figures._data.schedule_runs import CALM, RESTLESS_GRADIENT, differences
from nld.figures._render.text import at_most, number, power, power_above
from nld.inference import Evidence
from nld.paper import Claim

SAME = 1e-10  # what counts as one trajectory, in ℓ
PLACE = (), "fig-schedules", "book/auto-tuning-and-schedules"
ARORA, LI = "arora2019theoretical", "li2020exponential"
CLAIMS = (
    Claim("scale-invariant-step-tunes-itself", "On scale-invariant weights gradient descent diverges at no learning "
          "rate: the norm grows until the effective learning rate is stable.", *PLACE, ARORA),
    Claim("stationary-at-any-rate", "At any fixed learning rate the smallest gradient of T steps at unit norm is at "
          "most a constant over $T^{1/2}$.", *PLACE, ARORA),
    Claim("stationary-with-noise", "With noisy gradients and a fixed learning rate the gradient at unit norm falls as "
          "$T^{-1/4}$.", *PLACE, ARORA),
    Claim("decay-is-a-growing-rate", "Training with weight decay visits the same directions as training without it at "
          "a learning rate that grows exponentially, with momentum too.", *PLACE, LI),
    Claim("step-decay-is-tapered-growth", "Step decay with weight decay is exponential growth whose rate jumps by "
          "the step's factor and whose exponent becomes that of the new rate.", *PLACE, LI),
    Claim("normalization-with-decay-is-restless", "Normalization and weight decay together keep gradient descent from "
          "converging where each alone lets it converge.", *PLACE, LI),
)  # fmt: skip


def evidence(data: xr.Dataset) -> list[Evidence]:
    """Each claim by the bound, slope or largest difference that it states."""
    return [*_of_tuning(data), *_of_trading(data)]


def _of_tuning(data: xr.Dataset) -> list[Evidence]:
    clean = data["effective_rate"].sel(noise=0)
    inside = bool(((clean >= data["lowest"]) & (clean <= data["highest"])).all())
    rates, steps = data["rate"].values, data.attrs["tuning_steps"]
    diverged = rates[data["form_diverged"].values == 1]
    control = f"diverges from {diverged.min():.2g} on" if len(diverged) else "does not diverge either"
    share, slopes = share_of_bound(data), noise_slopes(data)
    return [
        Evidence(
            "scale-invariant-step-tunes-itself",
            f"For learning rates from {power(rates[0])} to {power(rates[-1])} w²/ℓ the last effective learning rates "
            f"are between {power(clean.min(), 1)} and {float(clean.max()):.2g} per ℓ; on the quadratic form itself "
            f"gradient descent {control}.",
            checks={"within the bounds": inside, "the form diverges": len(diverged) > 0},
        ),
        Evidence(
            "stationary-at-any-rate",
            f"The smallest unit gradient of {steps} steps is at most {at_most(share.max())} of the bound "
            r"$K/\sqrt{T}$ at every rate, with $K$ from the largest norm that gradient descent can reach.",
            checks={"bound": bool(share.max() <= 1)},
        ),
        Evidence(
            "stationary-with-noise",
            f"Mean slope of the logarithms {number(slopes.mean(), '.3f')}, for learning rates from 0.1 to 100 w²/ℓ "
            "together; claimed is −0.25.",
            {"slope": slopes + 0.25},
        ),
    ]


def _of_trading(data: xr.Dataset) -> list[Evidence]:
    losses, steps = differences(data), data.attrs["tuning_steps"]
    exact, (settles, jumps) = max(losses["exponential"], losses["empty buffer"]), data["step_difference"].values
    calm, restless = data["restless"].values
    return [
        Evidence(
            "decay-is-a-growing-rate",
            f"Losses of {data.sizes['step']} steps differ by at most {power_above(exact)} ℓ; at the same rates "
            "with the "
            f"buffer left at zero by {losses['naive']:.2g} ℓ, without decay at all by {losses['decay dropped']:.2g} ℓ.",
            checks={"same trajectory": bool(exact < SAME)},
        ),
        Evidence(
            "step-decay-is-tapered-growth",
            f"Losses differ by up to {power(jumps, 1)} ℓ if the growth jumps with the rate and the buffer is left as "
            f"it is, and by {power(settles)} ℓ if the growth settles as the buffer forgets.",
            checks={"growth jumps": bool(jumps < SAME), "growth settles": bool(settles < SAME)},
        ),
        Evidence(
            "normalization-with-decay-is-restless",
            f"Largest unit gradient of the second half of {steps} steps, over seeds: up to {power_above(calm.max())} ℓ "
            f"without decay, at least {restless.min():.2g} ℓ with it.",
            {
                "converges without decay": np.log10(CALM) - np.log10(np.maximum(calm, 1e-300)),
                "does not with it": np.log10(restless / RESTLESS_GRADIENT),
            },
        ),
    ]


def noise_slopes(data: xr.Dataset) -> np.ndarray:
    """Slope of the logarithm of the noisy runs' unit gradient over that of the step, from step 500 on: (seed,)."""
    late = data["noisy_gradient"].sel(tuning_step=slice(500, None)).transpose("tuning_step", "seed")
    return np.polyfit(np.log(late["tuning_step"]), np.log(late.values), 1)[0]


def share_of_bound(data: xr.Dataset) -> np.ndarray:
    """Smallest unit gradient of all steps over its bound, (seed, rate)."""
    return (data["smallest_gradient"].isel(tuning_step=-1) / data["smallest_gradient_bound"]).values


def smallest_slope(data: xr.Dataset) -> float:
    """Flattest slope of log(smallest unit gradient) over log(step), all seeds and rates, last tenfold of steps."""
    last = data["smallest_gradient"].isel(tuning_step=-1)
    first = data["smallest_gradient"].sel(tuning_step=last["tuning_step"] / 10, method="nearest")
    with np.errstate(divide="ignore", invalid="ignore"):  # a gradient that is zero has no slope
        fall = np.log(last / first) / np.log(last["tuning_step"].item() / first["tuning_step"].item())
    return float(fall.max())
