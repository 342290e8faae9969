"""How activations respond to a shift of parameters, and what operations demand of the shift."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from nld.finder.index_tensors import compress, core, distinct, rows_along, varies
from nld.finder.linear_system import Equations


@dataclass(frozen=True)
class Response:
    """coefficient * v[unknowns] * t[labels] at each entry of an activation."""

    unknowns: torch.Tensor
    labels: torch.Tensor
    coefficient: float = 1.0

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Response:
        """The response after an operation that moves entries."""
        return Response(function(self.unknowns), function(self.labels), self.coefficient)

    def times(self, factor: float) -> Response:
        """The response after a multiplication by a number."""
        return Response(self.unknowns, self.labels, self.coefficient * factor)

    def expand(self, shape: tuple[int, ...]) -> Response:
        """The same response where an operation broadcasts."""
        return self.map(lambda labels: labels.expand(shape))

    @property
    def even(self) -> bool:
        """Whether t is the constant 1 at every entry."""
        return not bool(core(self.labels).any())


class Responses:
    """What is known so far: the responses of each activation, and the equations between the unknowns of shifts."""

    def __init__(self, centred: set[int]):
        self.equations = Equations()
        self.of: dict[int, list[Response]] = {}
        self.centred = centred  # activations that sum to zero over their last axis
        self.reached: set[int] = set()  # unknowns whose response some operation has met
        self.bundles: dict[int, list[int]] = {}  # an unknown that stands for several, all zero or all free
        self.labels_used = 1

    def fresh(self, shape: Iterable[int]) -> torch.Tensor:
        """Labels that no other response has."""
        shape = tuple(shape)
        count = torch.Size(shape).numel()
        self.labels_used += count
        return torch.arange(self.labels_used - count, self.labels_used).reshape(shape)

    def alive(self, responses: Iterable[Response]) -> list[Response]:
        """Those that may still be different from zero."""
        return [response for response in responses if any(map(self._free, _unknowns(response)))]

    def _free(self, unknown: int) -> bool:
        return bool(self.equations.reduce({unknown: 1}))

    def vanish(self, responses: Iterable[Response]) -> None:
        """Demand that these are zero."""
        for response in responses:
            self.reached.update(_unknowns(response))
            self.equations.vanish_all(_unknowns(response))

    def forget(self, responses: Iterable[Response], axes: Iterable[int]) -> None:
        """The operation does not notice what is constant along these axes."""
        for response in responses:
            if self.constant(response, axes):
                self.reached.update(_unknowns(response))

    def constant(self, response: Response, axes: Iterable[int]) -> bool:
        """Demand that a response is constant along axes; False where that leaves nothing of it."""
        axes = [axis % response.labels.ndim for axis in axes]
        if varies(response.labels, *axes):
            self.vanish([response])
            return False
        rows = rows_along(response.unknowns, axes)
        if rows.shape[1] > 1:
            for row in torch.unique(rows, dim=0).tolist():
                self.reached.update(row)
                self.equations.tie(dict.fromkeys(row))
        return True

    def merged(self, responses: list[Response], shape: tuple[int, ...]) -> list[Response]:
        """Responses with the same labels become one response with the sum of their unknowns."""
        groups: list[list[Response]] = []
        for response in (a.expand(shape) for a in responses):
            for group in groups:
                if torch.equal(core(group[0].labels), core(response.labels)):
                    group.append(response)
                    break
            else:
                groups.append([response])
        return [group[0] if len(group) == 1 else self._fold(group) for group in groups]

    def _fold(self, group: list[Response]) -> Response:
        rows, inverse = distinct(*(response.unknowns for response in group))
        self.reached.update(*rows.tolist())
        names = self.equations.sums(rows.tolist(), [response.coefficient for response in group])
        return Response(compress(torch.tensor(names)[inverse].expand(group[0].unknowns.shape)), group[0].labels)

    def bundle(self, unknowns: torch.Tensor, axis: int) -> torch.Tensor:
        """Unknowns mixed along an axis by generic numbers: one unknown in their place, the axis removed."""
        if not varies(unknowns, axis):
            return unknowns.select(axis, 0)
        small = core(unknowns).movedim(axis, -1)
        rows, inverse = torch.unique(small.reshape(-1, small.shape[-1]), dim=0, return_inverse=True)
        names = self.equations.new((len(rows),))
        for name, row in zip(names.tolist(), rows.tolist(), strict=True):
            self.bundles[name] = row
        shape = unknowns.movedim(axis, -1).shape[:-1]
        return compress(names[inverse].reshape(small.shape[:-1]).expand(shape))

    def unrelated(self, shape: tuple[int, ...], along: Iterable[bool]) -> torch.Tensor:
        """Unrelated values along the axes named, constant along the others."""
        return self.fresh(n if use else 1 for n, use in zip(shape, along, strict=True)).expand(shape)


def _unknowns(response: Response) -> list[int]:
    return core(response.unknowns).unique().tolist()
