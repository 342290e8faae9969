"""What trading weight decay for a growing learning rate does, for fig-schedules: claims, and what rules on them.

References: Li and Arora 2020.
"""

import numpy as np
import xarray as xr

from nld.figures._data.schedule_runs import CALM, RESTLESS_GRADIENT, differences
from nld.figures._render.text import power, power_above
from nld.inference import Evidence
from nld.paper import Claim

SAME = 1e-10  # what counts as one trajectory, in ℓ
PLACE = ((), "fig-schedules", "book/auto-tuning-and-schedules", "li2020exponential")
CLAIMS = (
    Claim("decay-is-a-growing-rate", "Training with weight decay visits the same directions as training without it at "
          "a learning rate that grows exponentially, with momentum too.", *PLACE),
    Claim("step-decay-is-tapered-growth", "Step decay with weight decay is exponential growth whose rate jumps by "
          "the step's factor and whose exponent becomes that of the new rate.", *PLACE),
    Claim("normalization-with-decay-is-restless", "Normalization and weight decay together keep gradient descent from "
          "converging where each alone lets it converge.", *PLACE),
)  # fmt: skip


def evidence(data: xr.Dataset) -> list[Evidence]:
    """Each claim by the largest difference, or the unit gradients, that it states."""
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
