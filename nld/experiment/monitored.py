"""A plain training loop with a monitor attached, on any network of the book and any optimizer of PyTorch."""

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
import xarray as xr
from torch import nn

from nld.experiment import data, networks
from nld.experiment.batches import BatchOrder, batch
from nld.monitor import Block, Monitor, find_symmetries

BATCH = 64


def setup(
    network: str, *, seed: int = 0, width: float = 1.0, epsilon: float = 1e-8, dtype: torch.dtype = torch.float32
) -> tuple[nn.Module, list[Block]]:
    """A network for digits, initialized from ``seed``, and the symmetries of its cross-entropy loss."""
    source = data.digits()
    model = networks.build(network, source.image, source.classes, width=width, epsilon=epsilon, seed=seed).to(dtype)
    images = source.normalized(source.train_images[:8], dtype)
    return model, find_symmetries(model, images, nn.CrossEntropyLoss())


def train(
    model: nn.Module,
    blocks: Sequence[Block],
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
    steps: int,
    *,
    seed: int = 0,
    label_noise: float = 0.0,
    every: int | str = 1,
    units: str = "all",
) -> xr.Dataset:
    """Train on mini-batches of digits and return the monitor's record.

    Args:
        model, blocks: as from ``setup``; the model is trained in place, in its own precision.
        optimizer: makes the optimizer of the model's parameters.
        steps: updates, each with a batch of ``BATCH`` images.
        seed: order of the images.
        label_noise: fraction of wrong labels.
        every, units: see ``nld.Monitor``.
    """
    source = data.load("digits", label_noise=label_noise)
    dtype = next(model.parameters()).dtype
    update, order = optimizer(model.parameters()), BatchOrder(source, BATCH, seed)
    with Monitor(model, update, blocks, every=every, units=units) as monitor:
        for step in range(steps):
            images, labels = batch(source, order(step), dtype)
            update.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            update.step()
    return monitor.record()


@torch.no_grad()
def test_loss_and_accuracy(model: nn.Module, label_noise: float = 0.0) -> tuple[float, float]:
    """Loss (in l) and accuracy on the test images, normalized by the statistics of all training images."""
    source = data.load("digits", label_noise=label_noise)
    dtype = next(model.parameters()).dtype
    model.train()
    model(source.normalized(source.train_images, dtype))
    model.eval()
    outputs = model(source.normalized(source.test_images, dtype))
    model.train()
    correct = (outputs.argmax(1) == source.test_labels).to(dtype).mean()
    return float(F.cross_entropy(outputs, source.test_labels)), float(correct)
