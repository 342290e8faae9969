"""The scale of a transformer's residual stream while it trains: what writes to it, and what reads it."""

import functools
from collections.abc import Mapping, Sequence
from itertools import repeat

import numpy as np
import torch
import xarray as xr

from nld.experiment.datasets import data
from nld.experiment.studies import norm_free
from nld.experiment.training.batches import BatchOrder, batch, mini_batches
from nld.experiment.training.loop import training

SIDES = ["writers", "readers"]


@functools.cache
def sides(norm: str, dimension: int) -> list[list[str]]:
    """Names that the symmetry multiplies by s (writers to the residual stream) and by 1/s (readers: alphas)."""
    block = norm_free.residual_block(norm_free.build(norm, dimension=dimension))  # whatever the weights are
    return [[m.parameter for m in block.members if m.coefficient * sign > 0] for sign in (1, -1)]


def follow(
    norm: str,
    learning_rate: float,
    steps: int,
    *,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    seed: int = 0,
    dimension: int = 32,
    images: int | None = None,
) -> xr.Dataset:
    """Train with SGD in float64 and measure both sides of the residual stream's symmetry at every step.

    Args:
        norm: "LayerNorm" or "DyT".
        learning_rate, momentum, weight_decay: of ``torch.optim.SGD``, in w²/ℓ, 1 and ℓ/w².
        steps: updates.
        dimension: of the network.
        images: None for mini-batches; a number for full batches of the first so many training images.

    Returns:
        squared_norm (point, side) in w², at all ``steps + 1`` points; squared_step (step, side) in w² and
        squared_gradient (step, side) in ℓ²/w²; loss (step) in ℓ. The sides are ``SIDES``.
    """
    source = data.digits()
    model = norm_free.build(norm, dimension=dimension, seed=seed, dtype=torch.float64)
    names = sides(norm, dimension)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum, weight_decay=weight_decay)
    if images is None:
        batches = mini_batches(source, BatchOrder(source, norm_free.BATCH, seed), range(steps), torch.float64)
    else:
        batches = repeat(batch(source, torch.arange(images)[None], torch.float64), steps)
    norms, moved, gradients, losses = [_squares(dict(model.named_parameters()), names)], [], [], []
    for step in training(model, optimizer, batches, observe=[name for side in names for name in side]):
        gradients.append(_squares(step.gradients, names))
        moved.append(_squares(step.moved, names))
        norms.append(_squares(step.after, names))
        losses.append(step.loss.item())
    return xr.Dataset(
        {
            "squared_norm": (("point", "side"), np.array(norms), {"units": "w²"}),
            "squared_step": (("step", "side"), np.array(moved), {"units": "w²"}),
            "squared_gradient": (("step", "side"), np.array(gradients), {"units": "ℓ²/w²"}),
            "loss": ("step", np.array(losses), {"units": "ℓ"}),
        },
        coords={"side": SIDES},
        attrs={"parameters": sum(p.numel() for p in model.parameters())},
    )


@torch.no_grad()
def change_of_output(norm: str, factor: float, *, seed: int = 0, dimension: int = 32) -> tuple[float, float]:
    """Largest change of a logit, relative to the largest logit, when the writers are multiplied by ``factor``.

    Returns:
        With the readers divided by ``factor`` too, as the symmetry demands, and with the readers left alone.
    """
    source = data.digits()
    model = norm_free.build(norm, dimension=dimension, seed=seed)
    writers, readers = ([model.get_parameter(name) for name in side] for side in sides(norm, dimension))
    model.double()
    images = source.normalized(source.train_images[:128], torch.float64)
    before = model(images)

    def change() -> float:
        return float((model(images) - before).abs().max() / before.abs().max())

    for p in writers:
        p.mul_(factor)
    alone = change()
    for p in readers:
        p.div_(factor)
    return change(), alone


def _squares(tensors: Mapping[str, torch.Tensor], names: Sequence[Sequence[str]]) -> list[float]:
    """Squared norm of each side."""
    vectors = [[tensors[name].detach().reshape(-1) for name in side] for side in names]
    return [float(torch.cat(side).square().sum()) if side else 0.0 for side in vectors]
