"""The scale of a transformer's residual stream while it trains: what writes to it, and what reads it."""

import functools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr
from torch import nn

from nld.experiment.datasets import data
from nld.experiment.studies import norm_free
from nld.experiment.training import batches
from nld.finder import Block

SIDES = ["writers", "readers"]


@functools.cache
def found(norm: str, dimension: int) -> Block:
    """``norm_free.residual_block`` of a network, which does not depend on its weights."""
    return norm_free.residual_block(norm_free.build(norm, dimension=dimension))


def sides(model: nn.Module, block: Block) -> list[list[torch.Tensor]]:
    """Parameters that the symmetry multiplies by s (writers to the residual stream) and by 1/s (readers: alphas)."""
    names = [[m.parameter for m in block.members if m.coefficient * sign > 0] for sign in (1, -1)]
    return [[model.get_parameter(name) for name in side] for side in names]


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
        learning_rate, momentum, weight_decay: of ``torch.optim.SGD``, in w²/l, 1 and l/w².
        steps: updates.
        dimension: of the network.
        images: None for mini-batches; a number for full batches of the first so many training images.

    Returns:
        squared_norm (point, side) in w², at all ``steps + 1`` points; squared_step (step, side) in w² and
        squared_gradient (step, side) in l²/w²; loss (step) in l. The sides are ``SIDES``.
    """
    source = data.digits()
    model = norm_free.build(norm, dimension=dimension, seed=seed, dtype=torch.float64)
    parameters = sides(model, found(norm, dimension))
    update = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum, weight_decay=weight_decay)
    order = None if images else batches.BatchOrder(source, norm_free.BATCH, seed)
    first = torch.arange(images or 1)[None]
    at = [_flat(side) for side in parameters]
    norms, moved, gradients, losses = [_squares(at)], [], [], []
    for step in range(steps):
        x, y = batches.batch(source, order(step) if order else first, torch.float64)
        update.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        gradients.append(_squares([_flat([p.grad for p in side if p.grad is not None]) for side in parameters]))
        update.step()
        now = [_flat(side) for side in parameters]
        moved.append(_squares([b - a for a, b in zip(at, now, strict=True)]))
        norms.append(_squares(now))
        losses.append(loss.item())
        at = now
    return xr.Dataset(
        {
            "squared_norm": (("point", "side"), np.array(norms), {"units": "w²"}),
            "squared_step": (("step", "side"), np.array(moved), {"units": "w²"}),
            "squared_gradient": (("step", "side"), np.array(gradients), {"units": "l²/w²"}),
            "loss": ("step", np.array(losses), {"units": "l"}),
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
    writers, readers = sides(model, found(norm, dimension))
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


def _flat(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    if not tensors:
        return torch.zeros(0, dtype=torch.float64)
    return torch.cat([t.detach().reshape(-1) for t in tensors])


def _squares(vectors: Sequence[torch.Tensor]) -> list[float]:
    return [float(v.square().sum()) for v in vectors]
