"""AdamW and prescribed angles, each with and without a warm-up of the learning rate, from short filters."""

import dataclasses
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
import xarray as xr

from nld.experiment.datasets import data
from nld.experiment.studies.monitored import BATCH
from nld.experiment.training import networks
from nld.experiment.training.batches import BatchOrder, mini_batches
from nld.experiment.training.ensemble import Ensemble
from nld.experiment.training.loop import training
from nld.learning_rules.decoupled import turned
from nld.learning_rules.rules import LearningRule

LAST = 20  # steps over which the loss is averaged at the end


def rate_factor(step: int, steps: int, warm_up: int) -> float:
    """By which the learning rate of a step is multiplied: up over ``warm_up`` steps, and down to zero at the end."""
    return min(1.0, (step + 1) / max(warm_up, 1)) * (1 - step / steps)


def train(rule: LearningRule, seeds: Sequence[int], *, steps: int, warm_up: int, angle: float | None) -> xr.Dataset:
    """Train a convolutional network with batch normalization on digits.

    Args:
        rule: AdamW at its largest learning rate; all that is no filter goes without its decay.
        warm_up: over how many steps the rate rises; 0 is without.
        angle: by which each filter is to turn in a step, times ``rate_factor``, without decay; None leaves it free.

    Returns:
        Dataset with loss (seed), the mean over the last batches, and squared_angle (step, seed) of the filters' steps,
        means over filters and layers.
    """
    source = data.load("digits")
    build = partial(networks.build, "digits_cnn", source.image, source.classes, width=1.0, epsilon=1e-8)
    ensemble = Ensemble([build(seed=seed) for seed in seeds])
    names, states = networks.filter_names(ensemble.members[0]), dict.fromkeys(ensemble.parameters, ())

    @torch.no_grad()
    def update(index: int, gradients: dict[str, torch.Tensor]) -> None:
        factor = rate_factor(index, steps, warm_up)
        free = dataclasses.replace(rule, learning_rate=factor * rule.learning_rate)
        others = dataclasses.replace(free, weight_decay=0)
        of_filters = free if angle is None else turned(others, factor * angle)
        for name, q in ensemble.parameters.items():
            each = of_filters if name in names else others
            gradient = _rows(gradients[name])
            moved, states[name] = each.step(_rows(q), states[name], lambda _, gradient=gradient: gradient)
            q.copy_(moved.view_as(q))

    batches = mini_batches(source, [BatchOrder(source, BATCH, seed) for seed in seeds], range(steps), torch.float32)
    losses, turns = [], []
    for step in training(ensemble, update, batches, observe=names):
        losses.append(step.loss)
        turns.append(torch.stack([_squared_angle(step.before[n], step.after[n]) for n in names]).mean(0))
    return xr.Dataset(
        {
            "loss": ("seed", np.asarray(torch.stack(losses[-LAST:]).mean(0)), {"units": "ℓ"}),
            "squared_angle": (("step", "seed"), torch.stack(turns).numpy(), {"units": "rad²"}),
        },
        coords={"seed": list(seeds)},
    )


def _rows(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.flatten(2) if tensor.dim() > 2 else tensor


def _squared_angle(q: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    """Mean over the filters of a layer, (member)."""
    q, moved = q.flatten(2), moved.flatten(2)
    norm, along = q.square().sum(-1), (q * moved).sum(-1)
    across = (moved - q * (along / norm)[..., None]).square().sum(-1)
    return torch.atan2((across * norm).sqrt(), along).square().mean(-1)
