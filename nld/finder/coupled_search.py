"""The symmetries whose generators depend on other weights, proposed by the analysis of a tape and then measured."""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from nld.finder.absorption.absorptions import absorptions
from nld.finder.check import bisected, each_gradient
from nld.finder.coupled import Coupled
from nld.finder.matrix.streams import conjugated
from nld.finder.overlaps import pieces
from nld.finder.tape import Tape

AMOUNT = 0.3  # size of the finite transformation


@dataclass(frozen=True)
class CoupledViolation:
    """How far a candidate is from a symmetry of this loss at these parameters.

    Args:
        coupled: what was checked.
        gradient: |<g, A>| / (|g| |A|) of a random direction, g restricted to the parameters that move; where these
            have next to none, the whole g.
        loss_change: relative change of the loss when they are transformed by a random finite amount.
    """

    coupled: Coupled
    gradient: float
    loss_change: float

    def holds(self, tolerance: float) -> bool:
        """Whether both measures are within the tolerance."""
        return self.gradient <= tolerance and self.loss_change <= tolerance


def candidates(recorded: Tape, tape: Tape, trainable: set[str], offsets: Mapping[str, float]) -> list[Coupled]:
    """What the analysis of a tape proposes.

    Args:
        recorded: the tape.
        tape: that on which sums stand for parameters, ``offsets`` says with which numbers (``nld.finder.rewritten``).
    """
    shapes = {name: ref.shape for name, ref in tape.parameters.items()}
    absorbed = absorptions(recorded, trainable)
    names = {name for one in absorbed for name in one.parameters}
    return absorbed + conjugated(tape, trainable, offsets, shapes, names)


def coupled_violations(
    model: nn.Module,
    loss: Callable[[], torch.Tensor],
    proposed: Sequence[Coupled],
    context: Callable[[], contextlib.AbstractContextManager],
    tolerance: float,
) -> list[CoupledViolation]:
    """The violation of each candidate, in a random direction.

    All that the gradient is orthogonal to are transformed at once, one after the other, and halves of them where that
    changes the loss by more than the tolerance, down to single ones. The parameters come back but for rounding.
    """
    parameters = dict(model.named_parameters())
    values = {name: p.detach() for name, p in parameters.items()}
    directions = [_direction(coupled, seed) for seed, coupled in enumerate(proposed)]
    along, force, length = ([0.0] * len(proposed) for _ in range(3))  # numbers: the context changes small summands
    whole = 0.0

    def take(name: str, gradient: torch.Tensor) -> None:
        nonlocal whole
        squared = _product(gradient, gradient)
        whole += squared
        for number, coupled in enumerate(proposed):
            if name in coupled.flow.moved:
                (velocity,) = coupled.flow.velocity(values, directions[number], (name,)).values()
                along[number] += _product(gradient, velocity)
                force[number] += squared
                length[number] += _product(velocity, velocity)
                del velocity  # before the next one is made: both may be large

    with torch.enable_grad(), context():
        value = loss()
        each_gradient(value.sum(), parameters, take)
    original, least = value.item(), torch.finfo(value.dtype).eps ** 0.25
    del value
    overlaps = [
        abs(a) / bottom if (bottom := max(math.sqrt(f), least * math.sqrt(whole)) * math.sqrt(n)) else 0.0
        for a, f, n in zip(along, force, length, strict=True)
    ]

    def change(numbers: Sequence[int]) -> float:
        steps = [(proposed[number].flow, directions[number]) for number in numbers]
        with torch.no_grad():
            for flow, direction in steps:
                for name, moved in flow.transform(values, direction, AMOUNT):
                    values[name].copy_(moved)
            with context():
                after = loss().item()
            for flow, direction in reversed(steps):
                for name, moved in flow.transform(values, direction, -AMOUNT):
                    values[name].copy_(moved)
        return abs(after - original) / (abs(original) or 1.0)

    together = [number for number, overlap in enumerate(overlaps) if overlap <= tolerance]
    apart = [[number] for number in range(len(proposed)) if number not in together]
    changes = bisected(change, [*apart, together] if together else apart, tolerance)
    return [CoupledViolation(one, overlaps[number], changes[number]) for number, one in enumerate(proposed)]


def _product(left: torch.Tensor, right: torch.Tensor) -> float:
    """The inner product of two tensors of one shape."""
    return sum(float((a * b).sum()) for _, _, (a, b) in pieces(left, right))


def _direction(coupled: Coupled, seed: int) -> torch.Tensor:
    """A random direction of length near one."""
    random = torch.randn(coupled.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return random / coupled.shape[0] ** 0.5
