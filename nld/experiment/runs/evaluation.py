"""How far a run is: losses and accuracies while it trains, and whether it has diverged."""

import torch
import torch.nn.functional as F
import xarray as xr
from torch import nn

from nld.experiment.datasets import data
from nld.experiment.runs.prepare import autocast, batch_loss, dtype_of
from nld.experiment.runs.spec import Experiment
from nld.experiment.training import networks


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


def diverged(losses: torch.Tensor, experiment: Experiment) -> bool:
    """Whether any loss is not finite or above the bound."""
    return bool((~(losses <= experiment.divergence_bound)).any())
