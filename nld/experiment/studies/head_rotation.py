"""How far training turns attention heads along rotations that the loss cannot see, by optimizer and step size."""

from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch

from nld.experiment.datasets import data
from nld.experiment.studies import monitored
from nld.experiment.training.loop import training
from nld.finder import Block
from nld.symmetry import Kind

IMAGES = 64
MOMENTUM = 0.5  # of SGD and Nesterov; short, so that few steps are enough to see an order
WEIGHT_DECAY = {"AdamW": 0.1}


@dataclass(frozen=True)
class Turning:
    """What the rotations of the heads did in one run.

    Args:
        share: at each step, the part of the step along the rotations: ‖antisym(Δq qᵀ)‖ / (‖Δq‖ ‖q‖), (steps,).
        angle: its sum over the run, ‖Σ antisym(Δq qᵀ)‖ / ‖q‖², in radians.
        drift: ‖C(end) - C(0)‖ / (‖Q‖² + ‖K‖²) of C = QQᵀ - KKᵀ, which gradient flow conserves
            (for values and outputs likewise).
    """

    share: np.ndarray
    angle: float
    drift: float


def heads(blocks: list[Block]) -> list[Block]:
    """The blocks of a transformer's heads: queries with keys, values with outputs."""
    return [block for block in blocks if block.kind is Kind.GENERAL_LINEAR]


def turning(optimizer: str, learning_rate: float, steps: int, *, seed: int = 0) -> Turning:
    """Train the small transformer on a full batch of digits in float64 and follow the rotations of its heads.

    For every head the charge of all rotations B is the antisymmetric part of Σ Δq qᵀ over queries and keys (or
    values and outputs), ⟨Δq, B q⟩ for a basis of antisymmetric B.

    Raises:
        ValueError: no such optimizer among ``monitored.OPTIMIZERS``.
    """
    model, blocks = monitored.setup("transformer", seed=seed, width=0.5, precision="float64")
    parameters = dict(model.named_parameters())
    members = [block.members for block in heads(blocks)]
    source = data.digits()
    images = source.normalized(source.train_images[:IMAGES], torch.float64)
    torch_optimizer = monitored.make_optimizer(
        optimizer, model.parameters(), learning_rate, weight_decay=WEIGHT_DECAY.get(optimizer, 0.0), momentum=MOMENTUM
    )

    def positions() -> torch.Tensor:
        """(side, head, d, features): queries and values, then keys and outputs."""
        pairs = [torch.stack([m.rows(parameters[m.parameter].detach()) for m in pair]) for pair in members]
        return torch.cat(pairs, dim=1).clone()

    first = before = positions()
    shares, total = [], torch.zeros(1)
    for _ in training(model, torch_optimizer, repeat((images, source.train_labels[:IMAGES]), steps)):
        after = positions()
        moved = after - before
        charge = _antisymmetric((moved @ before.mT).sum(0))
        shares.append(float(charge.norm() / (_norms(moved) * _norms(before)).norm()))
        total, before = total + charge, after
    drift = _conserved(before) - _conserved(first)
    size = _norms(first).square()
    return Turning(np.array(shares), float(total.norm() / size.norm()), float(drift.norm() / size.norm()))


def _conserved(sides: torch.Tensor) -> torch.Tensor:
    left, right = sides
    return left @ left.mT - right @ right.mT


def _norms(vectors: torch.Tensor) -> torch.Tensor:
    """Of each head."""
    return torch.linalg.vector_norm(vectors, dim=(0, 2, 3))


def _antisymmetric(matrices: torch.Tensor) -> torch.Tensor:
    return (matrices - matrices.mT) / 2
