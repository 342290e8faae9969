"""A small transformer with layer normalization, with dynamic tanh in its place, or with neither.

Before each attention, each perceptron and the classifier stands one *norm*. What writes to the residual stream, the
embedding and the last matrix of each branch, is read through norms only.
Reference: Zhu, Chen, He, LeCun and Liu (2025), Transformers without normalization.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from nld.errors import InvalidInput
from nld.experiment.datasets import data
from nld.experiment.training.batches import BatchOrder, mini_batches
from nld.experiment.training.ensemble import Ensemble
from nld.experiment.training.evaluation import accuracy_on_test_images
from nld.experiment.training.loop import training
from nld.experiment.training.networks import MeanToken, Patches, TransformerBlock, from_seed
from nld.finder import Block, find_symmetries

HEADS = 4
BATCH = 64


class DynamicTanh(nn.Module):
    """y = weight · tanh(alpha x) + bias, with one number alpha for all coordinates, 1/2 at first and learned.

    Args:
        learned: False keeps alpha where it starts, as a buffer.
    """

    alpha: torch.Tensor

    def __init__(self, dimension: int, alpha: float = 0.5, learned: bool = True):
        super().__init__()
        if learned:
            self.alpha = nn.Parameter(torch.tensor(alpha))
        else:
            self.register_buffer("alpha", torch.tensor(alpha))
        self.weight = nn.Parameter(torch.ones(dimension))
        self.bias = nn.Parameter(torch.zeros(dimension))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * torch.tanh(self.alpha * x) + self.bias


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "LayerNorm": partial(nn.LayerNorm, eps=0.0),  # the symmetry is exact
    "DyT": DynamicTanh,
    "none": lambda _: nn.Identity(),
    "tanh(x)": partial(DynamicTanh, alpha=1.0, learned=False),
    "tanh(x/2)": partial(DynamicTanh, alpha=0.5, learned=False),
}


def build(
    norm: str, *, dimension: int = 32, blocks: int = 2, seed: int = 0, dtype: torch.dtype = torch.float32
) -> nn.Sequential:
    """Digits as sixteen patches, ``blocks`` transformer blocks of four heads, a last norm, the mean token, classes.

    Every norm starts from the same weights.

    Raises:
        ValueError: no such norm in ``NORMS``.
    """
    if norm not in NORMS:
        raise InvalidInput(f"expected a norm among {', '.join(NORMS)}, got {norm!r}")
    source = data.digits()

    def make() -> nn.Sequential:
        return nn.Sequential(
            Patches(source.image, 2, dimension),
            *(TransformerBlock(dimension, HEADS, NORMS[norm]) for _ in range(blocks)),
            NORMS[norm](dimension),
            MeanToken(),
            nn.Linear(dimension, source.classes),
        )

    return from_seed(seed, make, dtype)


def norms(model: nn.Module) -> dict[str, nn.Module]:
    """The norms of a model by name, in the order in which the residual stream meets them."""
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.LayerNorm | DynamicTanh)}


def alphas(model: nn.Module) -> list[float]:
    """The learned alpha of each DyT layer, in the order of ``norms``."""
    return [float(norm.alpha.detach()) for norm in norms(model).values() if isinstance(norm, DynamicTanh)]


def residual_block(model: nn.Module) -> Block:
    """The symmetry that scales all that writes to the residual stream, as ``find_symmetries`` finds it.

    Scale with layer normalization; rescale against every alpha with dynamic tanh.

    Raises:
        ValueError: the model has none.
    """
    source = data.digits()
    images = source.normalized(source.train_images[:4], torch.float64)
    blocks = find_symmetries(model, images, nn.CrossEntropyLoss())
    kinds = ("scale", "rescale")
    chosen = [b for b in blocks if b.kind in kinds and b.units == 1 and "0.embed.weight" in b.parameters]
    if len(chosen) != 1:
        raise InvalidInput(
            f"expected one symmetry that scales the residual stream, got {len(chosen)}; "
            "put a norm before every branch and the classifier"
        )
    return chosen[0]


@dataclass(frozen=True)
class Trained:
    """Members of an ensemble after training.

    Args:
        models: one a seed.
        accuracy: share of the test images that each recognizes.
    """

    models: list[nn.Sequential]
    accuracy: list[float]


def train_transformers(
    norm: str, seeds: Sequence[int], *, learning_rate: float = 2e-3, epochs: int = 25, dimension: int = 32
) -> Trained:
    """Train one network a seed with AdamW on mini-batches of digits, all in one batched program.

    Args:
        learning_rate: in w; weight decay is PyTorch's 0.01, of every parameter.
    """
    source = data.digits()
    ensemble = Ensemble([build(norm, dimension=dimension, seed=seed) for seed in seeds])
    optimizer = torch.optim.AdamW(ensemble.parameters.values(), lr=learning_rate, fused=True)
    orders = [BatchOrder(source, BATCH, seed) for seed in seeds]
    batches = mini_batches(source, orders, range(epochs * orders[0].per_epoch), torch.float32)
    for _ in training(ensemble, optimizer, batches):
        pass
    return Trained(ensemble.members, [accuracy_on_test_images(member) for member in ensemble.members])
