"""A plain training loop with a monitor attached, on any network of the book and any optimizer of PyTorch."""

from collections.abc import Callable, Sequence

import torch
import xarray as xr
from torch import nn

from nld.errors import InvalidInput
from nld.experiment.datasets import data
from nld.experiment.training import networks
from nld.experiment.training.batches import BatchOrder, mini_batches
from nld.experiment.training.loop import training
from nld.finder import Block, find_symmetries
from nld.monitor import Monitor

BATCH = 64
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {  # of parameters, learning rate, weight decay, momentum
    "SGD": lambda p, rate, decay, momentum: torch.optim.SGD(p, lr=rate, weight_decay=decay, momentum=momentum),
    "Nesterov": lambda p, rate, decay, momentum: torch.optim.SGD(
        p, lr=rate, weight_decay=decay, momentum=momentum, nesterov=True
    ),
    "Adam": lambda p, rate, *_: torch.optim.Adam(p, lr=rate),
    "AdamW": lambda p, rate, decay, _: torch.optim.AdamW(p, lr=rate, weight_decay=decay),
    "RMSProp": lambda p, rate, *_: torch.optim.RMSprop(p, lr=rate, alpha=0.9),
}


def setup(
    network: str, *, seed: int = 0, width: float = 1.0, epsilon: float = 1e-8, precision: str = "float32"
) -> tuple[nn.Module, list[Block]]:
    """A network for digits, initialized from ``seed``, and the symmetries of its cross-entropy loss."""
    source, dtype = data.digits(), getattr(torch, precision)
    model = networks.build(network, source.image, source.classes, width=width, epsilon=epsilon, seed=seed, dtype=dtype)
    images = source.normalized(source.train_images[:8], dtype)
    return model, find_symmetries(model, images, nn.CrossEntropyLoss())


def make_optimizer(
    name: str, parameters, learning_rate: float, *, weight_decay: float = 0.0, momentum: float = 0.9
) -> torch.optim.Optimizer:
    """An optimizer by its name in ``OPTIMIZERS``, of parameters or of parameter groups.

    Args:
        learning_rate: in w²/ℓ for SGD and Nesterov, in w for the others.
        weight_decay: coupled for SGD and Nesterov, decoupled for AdamW; Adam and RMSProp take none.
        momentum: of SGD and Nesterov.

    Raises:
        ValueError: no such optimizer.
    """
    if name not in OPTIMIZERS:
        raise InvalidInput(f"expected an optimizer among {', '.join(OPTIMIZERS)}, got {name!r}")
    return OPTIMIZERS[name](parameters, learning_rate, weight_decay, momentum)


def train_with_monitor(
    model: nn.Module,
    blocks: Sequence[Block],
    optimizer: str,
    *,
    learning_rate: float,
    steps: int,
    weight_decay: float = 0.0,
    other_decay: float | None = None,
    seed: int = 0,
    label_noise: float = 0.0,
) -> xr.Dataset:
    """Train on mini-batches of digits and return the monitor's record.

    Args:
        model, blocks: as from ``setup``; the model is trained in place, in its own precision.
        optimizer: a name in ``OPTIMIZERS``.
        learning_rate, weight_decay: see ``make_optimizer``.
        steps: updates, each with a batch of ``BATCH`` images.
        other_decay: weight decay of all that is not a filter, if it differs.
        seed: order of the images.
        label_noise: fraction of wrong labels.
    """
    groups = list(model.parameters())
    if other_decay is not None:
        filters, others = networks.filters_and_others(model)
        groups = [{"params": filters}, {"params": others, "weight_decay": other_decay}]
    update = make_optimizer(optimizer, groups, learning_rate, weight_decay=weight_decay)
    source = data.load("digits", label_noise=label_noise)
    dtype = next(model.parameters()).dtype
    batches = mini_batches(source, BatchOrder(source, BATCH, seed), range(steps), dtype)
    with Monitor(model, update, blocks) as monitor:
        for _ in training(model, update, batches):
            pass
    return monitor.record()
