"""Digits networks trained by any learning rule of nld, several seeds together, and how long the rule's updates are.

The rule is plain arithmetic, so what runs here on tensors is the very object that theory and tests hold.
"""

from collections.abc import Sequence
from functools import partial

import torch
import xarray as xr

from nld.experiment.datasets import data
from nld.experiment.studies.measure import described, inner_products
from nld.experiment.studies.monitored import BATCH
from nld.experiment.training import networks
from nld.experiment.training.batches import BatchOrder, mini_batches
from nld.experiment.training.ensemble import Ensemble
from nld.experiment.training.evaluation import accuracy_on_test_images
from nld.experiment.training.loop import training
from nld.learning_rules.rules import LearningRule

MEASURED = {
    "squared_norm": ("w²", "squared norm of the filter before the step"),
    "squared_update": ("w²", "squared length of the filter's update times learning rate, without decay"),
    "alignment": ("1", "cosine of the angle between update and filter"),
}


def train_with_rule(
    rule: LearningRule,
    seeds: Sequence[int],
    *,
    steps: int,
    network: str = "mlp",
    width: float = 1.0,
    epsilon: float = 1e-8,
    label_noise: float = 0.0,
    train_size: int | None = None,
    batch_size: int = BATCH,
    precision: str = "float64",
) -> xr.Dataset:
    """Train one member a seed with ``rule`` on mini-batches of digits.

    The update U of a step is defined by what the step did, q_{n+1} = (1 - eta k) q_n - U, the decay only if the rule's
    is decoupled.

    Args:
        seeds: of initialization and batch order, one a member.
        network: a name in ``networks.NETWORKS``; one without filters has no variables of MEASURED.
        epsilon: added to the variance in normalization.

    Returns:
        Dataset with ``loss`` (seed, step), of the batch before the step; ``largest_update`` (seed, step), the largest
        |U|/eta of any coordinate; ``test_accuracy`` (seed,) at the end; MEASURED (seed, step, filter) and
        ``last_squared_norm`` (seed, filter).
    """
    source, dtype = data.load("digits", label_noise=label_noise, train_size=train_size), getattr(torch, precision)
    build = partial(networks.build, network, source.image, source.classes, width=width, epsilon=epsilon, dtype=dtype)
    ensemble = Ensemble([build(seed=seed) for seed in seeds])
    q, filters = ensemble.parameters, networks.filter_names(ensemble.members[0])
    batches = mini_batches(source, [BatchOrder(source, batch_size, seed) for seed in seeds], range(steps), dtype)
    shrink = 1 - rule.learning_rate * rule.weight_decay if rule.decoupled else 1
    rows: dict[str, list[torch.Tensor]] = {name: [] for name in ("loss", "largest_update", *MEASURED)}
    for step in training(ensemble, rule, batches, observe=list(q)):
        update = {name: shrink * before - step.after[name] for name, before in step.before.items()}
        largest = [value.abs().flatten(1).amax(1) for value in update.values()]
        rows["loss"].append(step.loss)
        rows["largest_update"].append(torch.stack(largest).amax(0) / rule.learning_rate)
        if filters:
            norm, moved = inner_products(step.before, step.before, filters), inner_products(update, update, filters)
            rows["squared_norm"].append(norm)
            rows["squared_update"].append(moved)
            rows["alignment"].append(inner_products(step.before, update, filters) / (norm * moved).sqrt())
    values = {name: torch.stack(row, 1).numpy() for name, row in rows.items() if row}
    accuracy = [accuracy_on_test_images(member) for member in ensemble.members]
    record = xr.Dataset(
        {
            "loss": (("seed", "step"), values["loss"], {"units": "ℓ"}),
            "largest_update": (("seed", "step"), values["largest_update"], {"units": "1"}),
            "test_accuracy": (("seed",), accuracy, {"units": "1"}),
            **described(MEASURED, ("seed", "step", "filter"), values),
        },
        coords={"seed": list(seeds)},
    )
    if filters:
        last = inner_products(q, q, filters).detach().numpy()
        record["last_squared_norm"] = ("seed", "filter"), last, {"units": "w²"}
    return record
