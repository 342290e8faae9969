"""The cosine by which AdamP tells which weights to project, in networks with and without normalized filters."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from nld.experiment.datasets import data
from nld.experiment.studies.monitored import BATCH
from nld.experiment.training import networks
from nld.experiment.training.batches import BatchOrder, mini_batches
from nld.experiment.training.ensemble import Ensemble
from nld.experiment.training.loop import training
from nld.learning_rules.rules import LearningRule

EPSILON = 1e-5  # of the normalizations, PyTorch's own


def cosines(rule: LearningRule, network: str, seeds: Sequence[int], steps: int) -> dict[str, np.ndarray]:
    """|cos(q, g)| times the root of the dimension of every weight matrix of a digits network, in float32.

    A matrix is taken twice, as the criterion takes it: by filters, of which the largest counts, and as one vector.

    Args:
        network: a name in ``networks.NETWORKS``.

    Returns:
        By name of the weights, (step, 2, seed): first the largest over the filters, then that of the whole.
    """
    source = data.load("digits")
    build = partial(networks.build, network, source.image, source.classes, width=1.0, epsilon=EPSILON)
    ensemble = Ensemble([build(seed=seed) for seed in seeds])
    names = [name for name, weight in ensemble.parameters.items() if weight.dim() > 2]
    batches = mini_batches(source, [BatchOrder(source, BATCH, seed) for seed in seeds], range(steps), torch.float32)
    rows: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    for step in training(ensemble, rule, batches, observe=names):
        for name in names:
            pair = step.before[name], step.gradients[name]
            by_filter = _cosine(*(each.flatten(2) for each in pair)).amax(-1)
            rows[name].append(torch.stack([by_filter, _cosine(*(each.flatten(1) for each in pair))]))
    return {name: torch.stack(row).numpy() for name, row in rows.items()}


def filters(network: str) -> list[str]:
    """Names of the weights of a digits network whose loss does not see their norms."""
    source = data.load("digits")
    return networks.filter_names(
        networks.build(network, source.image, source.classes, width=1.0, epsilon=EPSILON, seed=0)
    )


def _cosine(q: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """|cos| along the last axis, times the root of its length."""
    size = (q.square().sum(-1) * gradient.square().sum(-1)).sqrt()
    return (q * gradient).sum(-1).abs() / size.clamp_min(1e-30) * q.shape[-1] ** 0.5
