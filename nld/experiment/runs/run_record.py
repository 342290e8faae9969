"""The record of a run: an `xarray.Dataset` with named dimensions, units and the whole experiment in its attributes."""

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr
from torch import nn

from nld.experiment.datasets import data
from nld.experiment.runs.prepare import autocast, batch_loss, dtype_of
from nld.experiment.runs.spec import Experiment
from nld.experiment.training import networks

EVALUATED = {
    "train_loss": ("ℓ", "loss of the fixed training batch"),
    "test_loss": ("ℓ", "test loss"),
    "test_accuracy": ("1", "fraction of test images labelled right"),
}
VALIDATED = {
    "validation_loss": ("ℓ", "loss of the training images that are held out"),
    "validation_accuracy": ("1", "fraction of the held-out images labelled right"),
}


def evaluated(experiment: Experiment) -> dict[str, tuple[str, str]]:
    """Names of what each evaluation fills, with units and long names."""
    return {**EVALUATED, **(VALIDATED if experiment.validation_size else {})}


def empty(experiment: Experiment, network: nn.Module) -> xr.Dataset:
    """Record of a run before it starts: all names, dimensions and units; every measured value NaN."""
    names = networks.filter_names(network)
    layers = [name for name in names for _ in range(len(network.get_parameter(name)))]
    steps, evaluations = experiment.steps, experiment.evaluation_steps
    rates = [experiment.learning_rate_at(step) for step in range(steps)]
    nothing = np.full((len(evaluations), len(layers)), np.nan)
    variables = {
        "batch_loss": ("step", np.full(steps, np.nan), "ℓ", "loss of the batch before the update"),
        "learning_rate_at_step": ("step", np.array(rates, dtype=float), "w²/ℓ", "learning rate of the update"),
        "squared_norm": (("evaluation_step", "filter"), nothing, "w²", "squared norm of the filter"),
    }
    for name, words in evaluated(experiment).items():
        variables[name] = ("evaluation_step", np.full(len(evaluations), np.nan), *words)
    return xr.Dataset(
        {
            name: (along, values, {"units": u, "long_name": text})
            for name, (along, values, u, text) in variables.items()
        },
        coords={
            "step": np.arange(steps),
            "evaluation_step": np.array(evaluations),
            "layer": ("filter", np.array(layers, dtype=object)),
        },
        attrs={name: _plain(value) for name, value in dataclasses.asdict(experiment).items()},
    )


@torch.no_grad()
def evaluate(network: nn.Module, source: data.Data, experiment: Experiment, record: xr.Dataset) -> None:
    """Fill one evaluation of the record: fixed-batch loss; then, with that batch's statistics, loss and accuracy of the
    test images and of those held out for validation. The network is in training mode afterwards."""
    dtype = dtype_of(experiment)
    size = experiment.evaluation_size
    network.train()
    images, labels = source.sample(size)
    record["train_loss"][...] = batch_loss(network, source.normalized(images, dtype), labels, experiment).item()
    network.eval()
    for part in ("test", "validation"):
        pair = source.part(part)
        if pair is None:
            continue
        loss = torch.zeros((), dtype=dtype, device=experiment.device)
        correct = torch.zeros((), dtype=torch.int64, device=experiment.device)
        for images, labels in zip(*(values.split(size) for values in pair), strict=True):
            with autocast(experiment):
                logits = network(source.normalized(images, dtype)).to(dtype)
            loss += F.cross_entropy(logits, labels, reduction="sum")
            correct += (logits.argmax(1) == labels).sum()
        record[f"{part}_loss"][...] = loss.item() / len(pair[1])
        record[f"{part}_accuracy"][...] = correct.item() / len(pair[1])
    network.train()
    squared = [networks.squared_norms(network.get_parameter(name)) for name in networks.filter_names(network)]
    if squared:
        record["squared_norm"][...] = torch.cat(squared).cpu().numpy()


def with_books(record: xr.Dataset, books: xr.Dataset) -> xr.Dataset:
    """The record with the monitor's, whose names begin ``monitor_`` and whose steps are ``monitor_step``."""
    names = {name: f"monitor_{name}" for name in [*books.data_vars, *(set(books.coords) - set(books.dims))]}
    renamed = books.rename({**names, "step": "monitor_step"}).drop_attrs(deep=False)
    return record.merge(renamed)


def closed(record: xr.Dataset, experiment: Experiment) -> xr.Dataset:
    """The record with its outcome: in a diverged run everything from the first bad loss on is NaN."""
    bad = np.flatnonzero(~(record["batch_loss"].values <= experiment.divergence_bound))
    end = int(bad[0]) if len(bad) else experiment.steps
    record["batch_loss"][end:] = np.nan
    for name in (*evaluated(experiment), "squared_norm"):
        record[name][record["evaluation_step"].values > end] = np.nan
    record["diverged"] = ((), bool(len(bad)), {"long_name": "whether the loss left the bound"})
    record["last_step"] = ((), end, {"long_name": "updates done before the loss left the bound"})
    return record


def _plain(value):
    # netCDF attributes know neither None, nor booleans, nor empty tuples
    if isinstance(value, tuple):
        return str(list(value))
    return str(value) if value is None or isinstance(value, bool) else value
