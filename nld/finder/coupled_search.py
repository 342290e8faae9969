"""The symmetries whose generators depend on other weights, proposed by the analysis of a tape and then measured."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from nld.finder.absorption.absorptions import absorptions
from nld.finder.blocks import Shapes
from nld.finder.coupled import Coupled
from nld.finder.matrix.streams import conjugated
from nld.finder.tape import Tape

AMOUNT = 0.3  # size of the finite transformation


class Measured(NamedTuple):
    """A candidate, and the relative change of the loss when it is transformed by a random finite amount."""

    coupled: Coupled
    loss_change: float


def candidates(tape: Tape, trainable: set[str], shapes: Shapes) -> list[Coupled]:
    """What the analysis of a tape proposes."""
    absorbed = absorptions(tape, trainable)
    return absorbed + conjugated(tape, trainable, shapes, {name for one in absorbed for name in one.parameters})


def measured(
    model: nn.Module, loss: Callable[[], torch.Tensor], proposed: Sequence[Coupled], tolerance: float
) -> list[Measured]:
    """Each candidate with the change of the loss after a random finite transformation.

    All are transformed at once, one after the other, and halves of them where that changes the loss by more than the
    tolerance, down to single ones. The model's parameters come back but for rounding.
    """
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    with torch.no_grad():
        original = loss().item()

    def change(group: Sequence[int]) -> float:
        directions = [_direction(proposed[number], number) for number in group]
        with torch.no_grad():
            for number, direction in zip(group, directions, strict=True):
                _move(proposed[number], parameters, direction, AMOUNT)
            moved = loss().item()
            for number, direction in reversed(list(zip(group, directions, strict=True))):
                _move(proposed[number], parameters, direction, -AMOUNT)
        return abs(moved - original) / (abs(original) or 1.0)

    groups, changes = [list(range(len(proposed)))] if proposed else [], {}
    while groups:
        group = groups.pop()
        size = change(group)
        if len(group) == 1 or size <= tolerance:
            changes.update(dict.fromkeys(group, size))
        else:
            groups += [group[: len(group) // 2], group[len(group) // 2 :]]
    return [Measured(coupled, changes[number]) for number, coupled in enumerate(proposed)]


def _direction(coupled: Coupled, seed: int) -> torch.Tensor:
    """A random direction; a matrix is as large as its dimension lets it be."""
    random = torch.randn(coupled.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return random / coupled.shape[0] ** 0.5


def _move(coupled: Coupled, parameters: dict[str, torch.Tensor], direction: torch.Tensor, amount: float) -> None:
    for name, value in coupled.flow.transform(parameters, direction, amount):
        parameters[name].copy_(value)
