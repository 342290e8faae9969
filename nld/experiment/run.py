"""The training loop: one `Experiment` in, one `xarray.Dataset` out."""

import contextlib
import dataclasses
import math

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr
from torch import nn

from nld.experiment import data as datasets
from nld.experiment import networks
from nld.experiment.spec import Experiment

_CHECK_EVERY = 50  # steps between looks at the losses for divergence: a look waits for the device


def run(experiment: Experiment) -> xr.Dataset:
    """Train as `experiment` says and return its record.

    Divergence is an outcome: a loss that is not finite or above the bound ends the run early, the record is NaN from
    there on, ``diverged`` is true and ``last_step`` is the last step with a loss below the bound.

    Returns:
        Dataset with ``batch_loss`` and ``learning_rate`` (step), the loss of the batch before the update of that step;
        ``train_loss`` (evaluation_step), the loss of a fixed batch of training images with its own batch statistics;
        ``test_loss``, ``test_accuracy`` (evaluation_step); ``squared_norm`` (evaluation_step, filter).
        The first evaluation is at step 0, before any update; the last at step ``steps``.
    """
    data = datasets.load(experiment.dataset, train_size=experiment.train_size, label_noise=experiment.label_noise)
    data = data.to(experiment.device)
    dtype = torch.float64 if experiment.precision == "float64" else torch.float32
    network = initial_network(experiment, data).to(experiment.device, dtype)
    filters = [network.get_parameter(name) for name in networks.filter_names(network)]
    initial_norms = [networks.squared_norms(weight.detach()).sqrt() for weight in filters]
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=experiment.learning_rate,
        momentum=experiment.momentum,
        weight_decay=experiment.weight_decay,
    )
    order = datasets.BatchOrder(len(data.train_labels), experiment.batch_size, experiment.seed)
    record = empty_record(experiment, network)
    losses = torch.full((experiment.steps,), math.nan, dtype=dtype, device=experiment.device)

    for step in range(experiment.steps + 1):
        if step in experiment.evaluation_steps:
            evaluate(network, data, experiment, record.sel(evaluation_step=step), dtype)
        if step == experiment.steps or (step % _CHECK_EVERY == 0 and diverged(losses[:step], experiment)):
            break
        chosen = order(step).to(experiment.device)
        images = data.normalized(data.train_images[chosen], dtype)
        network.train()
        with autocast(experiment):
            loss = F.cross_entropy(network(images), data.train_labels[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.param_groups[0]["lr"] = experiment.learning_rate_at(step)
        optimizer.step()
        if experiment.constrained:
            constrain(filters, initial_norms)
        losses[step] = loss.detach()
    record["batch_loss"][:] = losses.cpu().numpy()
    return close_record(record, experiment)


def initial_network(experiment: Experiment, data: datasets.Data) -> nn.Sequential:
    """The network before the first step, on the CPU, its filters multiplied by ``filter_scale``.

    Raises:
        ValueError: `constrained` or `filter_scale` is asked of a network without filters.
    """
    network = networks.build(
        experiment.network,
        data.image,
        data.classes,
        width=experiment.width,
        epsilon=experiment.epsilon,
        seed=experiment.seed,
    )
    names = networks.filter_names(network)
    if not names and (experiment.constrained or experiment.filter_scale != 1):
        raise ValueError(
            f"{experiment.network} has no batch-normalized filter, so 'constrained' and 'filter_scale' mean nothing; "
            "choose another network or leave both at their defaults"
        )
    with torch.no_grad():
        for name in names:
            network.get_parameter(name).mul_(experiment.filter_scale)
    return network


@torch.no_grad()
def constrain(filters: list[nn.Parameter], norms: list[torch.Tensor]) -> None:
    """Scale each filter back to its norm: ``q ← q ‖q(0)‖ / ‖q‖``, in place."""
    for weight, norm in zip(filters, norms, strict=True):
        factor = norm / networks.squared_norms(weight).sqrt()
        weight.mul_(factor.reshape(-1, *[1] * (weight.dim() - 1)))


def autocast(experiment: Experiment):
    """Context of the forward pass: bfloat16 mixed precision or nothing."""
    if experiment.precision == "bfloat16":
        return torch.autocast(experiment.device, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def diverged(losses: torch.Tensor, experiment: Experiment) -> bool:
    """Whether any loss is not finite or above the bound."""
    return bool((~(losses <= experiment.divergence_bound)).any())


@torch.no_grad()
def evaluate(network, data, experiment, record, dtype) -> None:
    """Fill one evaluation of the record: fixed-batch loss, then test loss and accuracy with that batch's statistics."""
    size = min(experiment.evaluation_size, len(data.train_labels))
    network.train()
    with autocast(experiment):
        logits = network(data.normalized(data.train_images[:size], dtype))
        record["train_loss"][...] = F.cross_entropy(logits, data.train_labels[:size]).item()
    network.eval()
    loss, correct = 0.0, 0
    for images, labels in zip(data.test_images.split(2048), data.test_labels.split(2048), strict=True):
        with autocast(experiment):
            logits = network(data.normalized(images, dtype)).float()
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        correct += int((logits.argmax(1) == labels).sum())
    record["test_loss"][...] = loss / len(data.test_labels)
    record["test_accuracy"][...] = correct / len(data.test_labels)
    norms = [networks.squared_norms(network.get_parameter(name)) for name in networks.filter_names(network)]
    if norms:
        record["squared_norm"][...] = torch.cat(norms).cpu().numpy()


def empty_record(experiment: Experiment, network: nn.Module) -> xr.Dataset:
    """Record of a run before it starts: all names, dimensions, units; every value NaN."""
    names = networks.filter_names(network)
    layers = [name for name in names for _ in range(len(network.get_parameter(name)))]
    evaluations = experiment.evaluation_steps

    def empty(*dimensions: str, units: str, long_name: str):
        sizes = {"step": experiment.steps, "evaluation_step": len(evaluations), "filter": len(layers)}
        values = np.full([sizes[d] for d in dimensions], np.nan)
        return dimensions, values, {"units": units, "long_name": long_name}

    return xr.Dataset(
        {
            "batch_loss": empty("step", units="l", long_name="loss of the batch before the update"),
            "learning_rate": (
                "step",
                [experiment.learning_rate_at(step) for step in range(experiment.steps)],
                {"units": "w²/l", "long_name": "learning rate"},
            ),
            "train_loss": empty("evaluation_step", units="l", long_name="loss of the fixed training batch"),
            "test_loss": empty("evaluation_step", units="l", long_name="test loss"),
            "test_accuracy": empty("evaluation_step", units="1", long_name="test accuracy"),
            "squared_norm": empty("evaluation_step", "filter", units="w²", long_name="squared norm of each filter"),
        },
        coords={
            "step": np.arange(experiment.steps),
            "evaluation_step": np.array(evaluations),
            "layer": ("filter", np.array(layers, dtype=object)),
        },
        attrs={name: _plain(value) for name, value in dataclasses.asdict(experiment).items()},
    )


def close_record(record: xr.Dataset, experiment: Experiment) -> xr.Dataset:
    """Mark the outcome; in a diverged run everything from the first bad loss on is NaN."""
    losses = record["batch_loss"].values
    bad = np.flatnonzero(~(losses <= experiment.divergence_bound))
    end = int(bad[0]) if len(bad) else experiment.steps
    record["batch_loss"][end:] = np.nan
    for name in ("train_loss", "test_loss", "test_accuracy", "squared_norm"):
        record[name][record["evaluation_step"].values > end] = np.nan
    record["diverged"] = ((), bool(len(bad)), {"long_name": "whether the loss left the bound"})
    record["last_step"] = ((), end, {"long_name": "updates done before the loss left the bound"})
    return record


def _plain(value):
    # netCDF attributes know neither None, nor booleans, nor empty tuples.
    if isinstance(value, tuple):
        return str(list(value))
    return str(value) if value is None or isinstance(value, bool) else value
