"""Digits networks trained by any learning rule of nld, several seeds together, and how long the rule's updates are.

The rule is plain arithmetic, so what runs here on tensors is the very object that theory and tests hold.
"""

from collections.abc import Sequence

import torch
import xarray as xr

from nld.experiment.datasets import data
from nld.experiment.studies.measure import inner_products
from nld.experiment.studies.monitored import BATCH, accuracy_on_test_images
from nld.experiment.training import batches, networks
from nld.experiment.training.ensemble import member_losses
from nld.learning_rules.rules import LearningRule

MEASURED = {
    "squared_norm": ("w²", "squared norm of the filter before the step"),
    "squared_update": ("w²", "squared length of the filter's update times learning rate, without decay"),
    "alignment": ("1", "cosine of the angle between update and filter"),
}


def train(
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
    build = {"width": width, "epsilon": epsilon, "dtype": dtype}
    members = [networks.build(network, source.image, source.classes, seed=s, **build) for s in seeds]
    names = [name for name, _ in members[0].named_parameters()]
    q = {name: torch.stack([m.get_parameter(name).detach() for m in members]) for name in names}
    states: dict[str, tuple] = dict.fromkeys(names, ())
    orders = [batches.BatchOrder(source, batch_size, seed) for seed in seeds]
    filters = networks.filter_names(members[0])
    shrink = 1 - rule.learning_rate * rule.weight_decay if rule.decoupled else 1
    rows: dict[str, list[torch.Tensor]] = {name: [] for name in ("loss", "largest_update", *MEASURED)}
    for step in range(steps):
        images, labels = batches.batch(source, torch.stack([order(step) for order in orders], 1), dtype)
        leaves = {name: value.requires_grad_() for name, value in q.items()}
        loss = member_losses(members[0], leaves, images, labels)
        gradients = torch.autograd.grad(loss.sum(), list(leaves.values()))
        before, q = {name: value.detach() for name, value in q.items()}, {}
        for name, gradient in zip(names, gradients, strict=True):
            q[name], states[name] = rule.step(before[name], states[name], lambda _, gradient=gradient: gradient)
        update = {name: shrink * before[name] - q[name] for name in names}
        largest = [value.abs().flatten(1).amax(1) for value in update.values()]
        rows["loss"].append(loss.detach())
        rows["largest_update"].append(torch.stack(largest).amax(0) / rule.learning_rate)
        if filters:
            norm, moved = inner_products(before, before, filters), inner_products(update, update, filters)
            rows["squared_norm"].append(norm)
            rows["squared_update"].append(moved)
            rows["alignment"].append(inner_products(before, update, filters) / (norm * moved).sqrt())
    for index, member in enumerate(members):
        for name in names:
            member.get_parameter(name).data = q[name][index]
    values = {name: torch.stack(row, 1).numpy() for name, row in rows.items() if row}
    accuracy = [accuracy_on_test_images(member) for member in members]
    return _dataset(values, accuracy, seeds, [inner_products(q, q, filters).numpy()] if filters else [])


def _dataset(values, accuracy, seeds, last) -> xr.Dataset:
    variables: dict[str, tuple] = {
        "loss": (("seed", "step"), values["loss"], {"units": "l"}),
        "largest_update": (("seed", "step"), values["largest_update"], {"units": "1"}),
        "test_accuracy": (("seed",), accuracy, {"units": "1"}),
    }
    for name in MEASURED.keys() & values.keys():
        units, text = MEASURED[name]
        variables[name] = (("seed", "step", "filter"), values[name], {"units": units, "long_name": text})
    for value in last:
        variables["last_squared_norm"] = (("seed", "filter"), value, {"units": "w²"})
    return xr.Dataset(variables, coords={"seed": list(seeds)})
