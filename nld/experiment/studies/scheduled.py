"""A network in which every trained weight is scale-invariant, trained at any learning rate for each step.

Batch normalization without epsilon or parameters follows each trained layer and the read-out is random and fixed, so
that the loss of every mini-batch is exactly invariant under scaling all trained weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr

from nld.errors import InvalidInput
from nld.experiment.datasets import data
from nld.experiment.training.batches import BatchOrder, mini_batches
from nld.experiment.training.ensemble import MemberHeavyBall
from nld.experiment.training.loop import training
from nld.results import arithmetic

WIDTH = 32


@dataclass(frozen=True, eq=False)
class Run:
    """Heavy ball with its own learning rate in each step.

    Args:
        learning_rate: shape (steps,), in w²/ℓ.
        momentum: beta.
        weight_decay: k, in ℓ/w².
        buffer: the momentum buffer starts at this times the initial weights, in ℓ/w².
    """

    learning_rate: np.ndarray
    momentum: float
    weight_decay: float = 0.0
    buffer: float = 0.0


def train_at_rates(runs: Sequence[Run], *, seed: int = 0, batch_size: int = 64, epsilon: float = 0.0) -> xr.Dataset:
    """All runs side by side in float64: one start, the same mini-batches of digits.

    Args:
        epsilon: added to the variances in normalization; breaks the scale symmetry.

    Returns:
        Dataset with ``loss`` (run, step) in ℓ, of the mini-batch before the step; ``norm`` (run, step + 1 points) in
        w, of all trained weights together; ``cosine`` (run), one minus the cosine between the last weights of the
        first run and of each.

    Raises:
        ValueError: runs of different lengths.
    """
    lengths = {len(run.learning_rate) for run in runs}
    if len(lengths) != 1:
        raise InvalidInput(f"expected runs of one length, got {sorted(lengths)} steps; give each a rate for every step")
    steps = lengths.pop()
    source = data.load("digits")
    batches = mini_batches(source, BatchOrder(source, batch_size, seed), range(steps), torch.float64)
    first, second, readout = initial_weights(source.train_images[0].numel(), source.classes, seed)
    weights = [w.expand(len(runs), -1, -1).clone().requires_grad_() for w in (first, second)]
    networks = Networks(weights, readout, epsilon)
    start = torch.tensor(np.array([run.buffer for run in runs]), dtype=torch.float64)[:, None, None]
    update = MemberHeavyBall(
        dict(networks.named_parameters()),
        lambda step: [run.learning_rate[step] for run in runs],
        [run.momentum for run in runs],
        [run.weight_decay for run in runs],
        buffers={name: start * w.detach() for name, w in networks.named_parameters()},
    )
    losses, norms = torch.full((len(runs), steps), torch.nan, dtype=torch.float64), [_norm(weights)]
    for step in training(networks, update, batches):
        losses[:, step.index] = step.loss
        norms.append(_norm(weights))
    flat = F.normalize(torch.cat([w.detach().flatten(1) for w in weights], 1), dim=1)
    cosine = (flat - flat[0]).square().sum(1) / 2  # 1 - cos without cancellation
    return xr.Dataset(
        {
            "loss": (("run", "step"), losses.numpy(), {"units": "ℓ", "long_name": "loss of the mini-batch"}),
            "norm": (("run", "point"), torch.stack(norms, 1).numpy(), {"units": "w", "long_name": "norm"}),
            "cosine": (("run",), cosine.numpy(), {"units": "1", "long_name": "1 - cos to the first run, at the end"}),
        }
    )


def initial_weights(inputs: int, classes: int, seed: int) -> list[torch.Tensor]:
    """Of the two trained layers and the read-out, each row uniform as PyTorch's own initialization has it."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((WIDTH, inputs), (WIDTH, WIDTH), (classes, WIDTH))
    uniform = [2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1 for shape in shapes]
    return [torch.from_numpy(arithmetic.moved((w / w.shape[1] ** 0.5).numpy())) for w in uniform]


class Networks:
    """Networks of all runs side by side, which see the same images.

    Args:
        weights: of the two trained layers, (run, unit, input) each.
        readout: (class, unit), of all runs.
        epsilon: added to the variances.
    """

    def __init__(self, weights: Sequence[torch.Tensor], readout: torch.Tensor, epsilon: float = 0.0):
        self.weights, self.readout, self.epsilon = weights, readout, epsilon

    def named_parameters(self) -> list[tuple[str, torch.Tensor]]:
        """The trained layers."""
        return list(zip(("first", "second"), self.weights, strict=True))

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (run, image, class)."""
        hidden = images.flatten(1)
        for w in self.weights:
            outputs = hidden @ w.mT  # (run, image, unit)
            centred = outputs - outputs.mean(1, keepdim=True)
            hidden = (centred / (centred.square().mean(1, keepdim=True) + self.epsilon).sqrt()).relu()
        return hidden @ self.readout.mT


def _norm(weights) -> torch.Tensor:
    return torch.stack([w.detach().square().sum((1, 2)) for w in weights]).sum(0).sqrt()
