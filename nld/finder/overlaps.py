"""How far gradients point along generators, gathered parameter by parameter: no gradient need be kept for it."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from nld.finder.block import Block, Member
from nld.symmetry import linear_charges

PIECE = 1 << 18  # entries of a large tensor that are worked on at once, so that it is never copied whole


class Overlaps:
    """|<g, A q>| / (|g| |A q|) of each unit of some blocks; for a matrix symmetry the norm over all its generators.

    Numerator and squares are sums over members, so that each gradient g is taken in as it comes and forgotten.
    """

    def __init__(self, blocks: Sequence[Block], parameters: Mapping[str, torch.Tensor]):
        self.parameters = parameters
        self.sums = [_UnitSums(block, parameters) for block in blocks]
        self.members: dict[str, list[tuple[_UnitSums, Member]]] = defaultdict(list)
        for sums in self.sums:
            for member in sums.block.members:
                self.members[member.parameter].append((sums, member))
        self.squared_gradient = 0.0

    def add(self, name: str, gradient: torch.Tensor) -> None:
        """Take in the gradient of one parameter."""
        for _, _, (piece,) in pieces(gradient):
            self.squared_gradient += float(piece.double().square().sum())
        for sums, member in self.members[name]:
            sums.add(member, self.parameters[name], gradient)

    @property
    def whole(self) -> float:
        """The length of the whole gradient; 1 if it is zero."""
        return math.sqrt(self.squared_gradient) or 1.0

    def largest(self) -> list[float]:
        """The largest overlap of any unit of each block.

        A gradient that is all but none beside the whole one, by (machine epsilon)^(1/4), is measured by that.
        """
        return [sums.largest(self.whole) for sums in self.sums]


class _UnitSums:
    """<g, A q>, |g|^2 and |A q|^2 of each unit of a block, as far as its members have been added."""

    def __init__(self, block: Block, parameters: Mapping[str, torch.Tensor]):
        self.block = block
        example = parameters[block.members[0].parameter]
        self.precision = max(torch.finfo(parameters[name].dtype).eps for name in block.parameters)
        matrix = (block.size, block.size) if block.kind.is_matrix else ()
        self.along = torch.zeros(block.units, *matrix, dtype=example.dtype, device=example.device)
        self.force, self.length = (self.along.new_zeros(block.units) for _ in range(2))

    def add(self, member: Member, parameter: torch.Tensor, gradient: torch.Tensor) -> None:
        """Take in what one member does."""
        part = replace(self.block, members=(member,))
        if self.block.kind.is_matrix:
            q, g = member.rows(parameter), member.rows(gradient)
            self.along += linear_charges([g @ q.mT], part.coefficients, self.block.kind.is_antisymmetric)
            self.force += g.square().flatten(1).sum(1)
            self.length += q.square().flatten(1).sum(1)
            return
        generator, units = part.symmetry().generator, [member.shape[axis] for axis in member.unit_axes]
        totals = [total.view(units) for total in (self.along, self.force, self.length)]
        for axis, start, (q, g) in pieces(member.arranged(parameter), member.arranged(gradient)):
            (a,) = generator((q,))
            for total, product in zip(totals, (g * a, g.square(), a.square()), strict=True):
                place = total.narrow(axis, start, q.shape[axis]) if axis < len(units) else total
                place += product.reshape(*product.shape[: len(units)], -1).sum(-1)

    def largest(self, whole: float) -> float:
        """The largest overlap of any unit."""
        along = self.along.abs()
        if self.block.kind.is_matrix:
            # B_ab and B_ba of an antisymmetric B are one generator, of length sqrt(2)
            along = torch.linalg.matrix_norm(self.along) * (math.sqrt(2) if self.block.kind.is_antisymmetric else 1)
        bottom = self.force.sqrt().clamp_min(self.precision**0.25 * whole) * self.length.sqrt()
        return float(torch.where(bottom > 0, along / bottom, 0.0).max())


def pieces(*tensors: torch.Tensor) -> Iterator[tuple[int, int, list[torch.Tensor]]]:
    """Tensors of one shape in pieces along their longest axis: the axis, where the piece starts, and the pieces."""
    shape = tensors[0].shape
    if tensors[0].numel() <= PIECE:
        yield 0, 0, list(tensors)
        return
    axis = max(range(len(shape)), key=shape.__getitem__)
    length = max(1, PIECE * shape[axis] // tensors[0].numel())
    for start in range(0, shape[axis], length):
        size = min(length, shape[axis] - start)
        yield axis, start, [tensor.narrow(axis, start, size) for tensor in tensors]
