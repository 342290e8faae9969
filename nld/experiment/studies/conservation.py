"""The charges that gradient flow conserves, measured in a network that has one of each, trained on full batches."""

from itertools import repeat

import numpy as np
import torch
from torch import nn

from nld.errors import InvalidInput
from nld.experiment.datasets import data
from nld.experiment.studies.monitored import make_optimizer
from nld.experiment.training.loop import training
from nld.experiment.training.networks import from_seed

IMAGES = 256
OPTIMIZERS = {  # names in the book -> names in nld.experiment.studies.monitored
    "gradient descent": "SGD",
    "heavy ball": "SGD",
    "Nesterov": "Nesterov",
    "Adam": "Adam",
}


def drifts(
    optimizer: str, learning_rate: float, steps: int, seed: int = 0, *, momentum: float = 0.0
) -> dict[str, float]:
    """How far each charge moves in a training run on full batches of digits, in float64.

    Args:
        optimizer: a name in ``OPTIMIZERS``.
        learning_rate: in w²/ℓ, in w for Adam.
        steps: updates.
        seed: of the initialization.
        momentum: of heavy ball and Nesterov.

    Returns:
        By symmetry, |C(end) - C(0)| over the size of what the charge is made of: the norm of the layer (translation)
        or the sum of the squared norms of the layers (scale, rescale, general_linear).

    Raises:
        ValueError: no such optimizer.
    """
    if optimizer not in OPTIMIZERS:
        raise InvalidInput(f"expected an optimizer among {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    source = data.load("digits", train_size=IMAGES)
    images = source.normalized(source.train_images, torch.float64).flatten(1)
    model = network(images.shape[1], source.classes, seed)
    torch_optimizer = make_optimizer(OPTIMIZERS[optimizer], model.parameters(), learning_rate, momentum=momentum)
    before = charges(model)
    for _ in training(model, torch_optimizer, repeat((images, source.train_labels), steps)):
        pass
    after = charges(model)
    return {name: float(np.linalg.norm(after[name][0] - start) / size) for name, (start, size) in before.items()}


def network(inputs: int, classes: int, seed: int) -> nn.Sequential:
    """Four linear layers: normalization after the first, ReLU after the first two, nothing between the last two."""

    def make() -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(inputs, 16, bias=False),
            nn.BatchNorm1d(16, affine=False, eps=1e-20),
            nn.ReLU(),
            nn.Linear(16, 12, bias=False),
            nn.ReLU(),
            nn.Linear(12, 10, bias=False),
            nn.Linear(10, classes, bias=False),
        )

    return from_seed(seed, make, torch.float64)


def charges(model: nn.Sequential) -> dict[str, tuple[np.ndarray, float]]:
    """What gradient flow conserves, by symmetry, each with the size of what it is made of.

    Translation: sums of the columns of the last layer, which the softmax does not see. Scale: squared norms of the
    normalized rows. Rescale: incoming minus outgoing squared norm of each unit of the second ReLU. General linear:
    W W^T - U^T U of the last two layers, U W being all that the loss sees.
    """
    first, second, third, last = weights = [p.detach().numpy() for p in model.parameters()]
    squared = [float((w**2).sum()) for w in weights]
    return {
        "translation": (last.sum(0), squared[3] ** 0.5),
        "scale": ((first**2).sum(1), squared[0]),
        "rescale": ((second**2).sum(1) - (third**2).sum(0), squared[1] + squared[2]),
        "general_linear": (third @ third.T - last.T @ last, squared[2] + squared[3]),
    }
