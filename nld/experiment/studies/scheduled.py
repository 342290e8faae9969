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
from nld.experiment.training import batches
from nld.experiment.training.start import moved

WIDTH = 32


@dataclass(frozen=True, eq=False)
class Run:
    """Heavy ball with its own learning rate in each step.

    Args:
        learning_rate: shape (steps,), in w²/l.
        momentum: beta.
        weight_decay: k, in l/w².
        buffer: the momentum buffer starts at this times the initial weights, in l/w².
    """

    learning_rate: np.ndarray
    momentum: float
    weight_decay: float = 0.0
    buffer: float = 0.0


def train(runs: Sequence[Run], *, seed: int = 0, batch_size: int = 64, epsilon: float = 0.0) -> xr.Dataset:
    """All runs side by side in float64: one start, the same mini-batches of digits.

    Args:
        epsilon: added to the variances in normalization; breaks the scale symmetry.

    Returns:
        Dataset with ``loss`` (run, step) in l, of the mini-batch before the step; ``norm`` (run, step + 1 points) in
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
    images = source.normalized(source.train_images, torch.float64).flatten(1)
    order = batches.BatchOrder(source, batch_size, seed)
    first, second, readout = initial_weights(images.shape[1], source.classes, seed)
    weights = [w.expand(len(runs), -1, -1).clone().requires_grad_() for w in (first, second)]

    def column(values) -> torch.Tensor:
        return torch.tensor(np.array(values), dtype=torch.float64).reshape(len(runs), 1, 1)

    rates = torch.tensor(np.array([run.learning_rate for run in runs]))
    momentum, decay = column([r.momentum for r in runs]), column([r.weight_decay for r in runs])
    buffers = [column([r.buffer for r in runs]) * w.detach() for w in weights]
    losses, norms = torch.full((len(runs), steps), torch.nan, dtype=torch.float64), [_norm(weights)]
    for step in range(steps):
        choice = order(step)[0]
        loss = member_losses(weights, readout, images[choice], source.train_labels[choice], epsilon)
        gradients = torch.autograd.grad(loss.sum(), weights)
        with torch.no_grad():
            losses[:, step] = loss
            for w, buffer, gradient in zip(weights, buffers, gradients, strict=True):
                buffer.mul_(momentum).add_(gradient).addcmul_(decay, w)
                w.addcmul_(-rates[:, step, None, None], buffer)
            norms.append(_norm(weights))
    flat = F.normalize(torch.cat([w.detach().flatten(1) for w in weights], 1), dim=1)
    cosine = (flat - flat[0]).square().sum(1) / 2  # 1 - cos without cancellation
    return xr.Dataset(
        {
            "loss": (("run", "step"), losses.numpy(), {"units": "l", "long_name": "loss of the mini-batch"}),
            "norm": (("run", "point"), torch.stack(norms, 1).numpy(), {"units": "w", "long_name": "norm"}),
            "cosine": (("run",), cosine.numpy(), {"units": "1", "long_name": "1 - cos to the first run, at the end"}),
        }
    )


def initial_weights(inputs: int, classes: int, seed: int) -> list[torch.Tensor]:
    """Of the two trained layers and the read-out, each row uniform as PyTorch's own initialization has it."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((WIDTH, inputs), (WIDTH, WIDTH), (classes, WIDTH))
    uniform = [2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1 for shape in shapes]
    return [moved(values / values.shape[1] ** 0.5) for values in uniform]


def member_losses(weights, readout, images, labels, epsilon: float) -> torch.Tensor:
    """Mean cross-entropy of each run on one batch, (run)."""
    hidden = images
    for w in weights:
        outputs = hidden @ w.mT  # (run, image, unit)
        centred = outputs - outputs.mean(1, keepdim=True)
        hidden = (centred / (centred.square().mean(1, keepdim=True) + epsilon).sqrt()).relu()
    logits = hidden @ readout.mT
    each = F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(logits)), reduction="none")
    return each.unflatten(0, (len(logits), -1)).mean(1)


def _norm(weights) -> torch.Tensor:
    return torch.stack([w.detach().square().sum((1, 2)) for w in weights]).sum(0).sqrt()
