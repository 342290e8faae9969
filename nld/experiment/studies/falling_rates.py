"""Gradient norms and weight norms of parts of a network while the learning rate rises, stays and falls.

A schedule says the share of the largest learning rate at each step. Weight decay stays as it is, or, for chosen
groups of the optimizer, follows the schedule.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np
import torch
import xarray as xr

from nld.experiment.training.loop import cross_entropy, training

Schedule = Callable[[int, int], float]  # of the step and the number of steps, to the share of the largest rate


def cosine(step: int, steps: int) -> float:
    """Half a cosine, from 1 to nearly 0."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def stable_then_decay(step: int, steps: int) -> float:
    """1, and over the last two fifths of the run a straight line to nearly 0 (warmup-stable-decay)."""
    return min(1.0, (steps - step) / (0.4 * steps))


def shares(schedule: Schedule, steps: int, warmup: int = 0) -> np.ndarray:
    """The schedule of a whole run, (steps,), after a warm-up that rises in proportion to the step."""
    rising = np.minimum(1.0, np.arange(1, steps + 1) / (warmup + 1))
    return rising * np.array([schedule(step, steps) for step in range(steps)])


def follow(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple],
    shares: np.ndarray,
    parts: Mapping[str, Sequence[str]],
    *,
    loss: Callable[..., torch.Tensor] = cross_entropy,
    decay_follows: Collection[int] = (),
) -> xr.Dataset:
    """Train under a schedule, and write down the norms of each part.

    Args:
        model, optimizer: trained in place; learning rates and weight decays of its groups are those at a share of 1.
        batches: one a step.
        shares: of the largest learning rate, (steps,).
        parts: names of the parameters of each part.
        decay_follows: numbers of the optimizer's groups whose weight decay is multiplied by the share, too.

    Returns:
        gradient_norm and weight_norm (step, part) at q_n, in ℓ/w and w, of the loss of the mini-batch; loss (step), ℓ.
    """
    given = [(group, group["lr"], group["weight_decay"]) for group in optimizer.param_groups]

    def set_rates(step: int) -> None:
        share = float(shares[step])
        for number, (group, rate, decay) in enumerate(given):
            group["lr"] = rate * share
            group["weight_decay"] = decay * (share if number in decay_follows else 1.0)

    parameters = dict(model.named_parameters())
    names = [name for part in parts.values() for name in part]
    of_part = np.repeat(np.arange(len(parts)), [len(part) for part in parts.values()])
    chosen = [parameters[name].detach() for name in names]

    def norms(tensors: list[torch.Tensor]) -> np.ndarray:
        squares = torch.stack(torch._foreach_norm(tensors)).double().square().numpy()
        return np.sqrt(np.bincount(of_part, squares, len(parts)))

    weights, gradients, losses = [norms(chosen)], [], []
    for step in training(model, optimizer, batches, loss=loss, schedule=set_rates):
        gradients.append(norms([step.gradients[name] for name in names]))
        weights.append(norms(chosen))
        losses.append(float(step.loss))
    return xr.Dataset(
        {
            "gradient_norm": (("step", "part"), np.array(gradients), {"units": "ℓ/w"}),
            "weight_norm": (("step", "part"), np.array(weights[:-1]), {"units": "w"}),
            "loss": ("step", np.array(losses), {"units": "ℓ"}),
        },
        coords={"part": list(parts)},
    )
