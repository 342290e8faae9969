"""Tensors cut into the parts of which one thing is true: those of a fused tensor take part in different symmetries."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nld.finder import Block, Member


@dataclass(frozen=True)
class Cell:
    """A part of a parameter: the range ``(start, stop)`` of each axis, whole axes included.

    Args:
        parameter: its name.
        ranges: one an axis.
        shape: of the whole parameter.
    """

    parameter: str
    ranges: tuple[tuple[int, int], ...]
    shape: tuple[int, ...]

    @property
    def entries(self) -> str:
        """As one would index it: ``qkv.weight[8:16]``."""
        cut = [axis for axis, limits in enumerate(self.ranges) if limits != (0, self.shape[axis])]
        if not cut:
            return self.parameter
        said = [f"{start}:{stop}" if axis in cut else ":" for axis, (start, stop) in enumerate(self.ranges)]
        return f"{self.parameter}[{', '.join(said[: max(cut) + 1])}]"

    @property
    def is_vector(self) -> bool:
        """Whether the parameter is a gain, a bias or a number: it has one entry for each index of its first axis."""
        return math.prod(self.shape[1:]) == 1

    def is_in(self, member: Member) -> bool:
        """Whether a member of a block moves all of it."""
        return member.parameter == self.parameter and all(
            start <= self.ranges[axis][0] and self.ranges[axis][1] <= start + length
            for axis, start, length in member.narrow
        )


def cells(blocks: Sequence[Block], shapes: Mapping[str, tuple[int, ...]]) -> list[Cell]:
    """Every parameter cut where a member of a block begins or ends.

    Args:
        shapes: of each parameter; blocks name no others.
    """
    edges = {name: [{0, size} for size in shape] for name, shape in shapes.items()}
    for block in blocks:
        for member in block.members:
            for axis, start, length in member.narrow:
                edges[member.parameter][axis] |= {start, start + length}
    return [
        Cell(name, ranges, shapes[name])
        for name, of_axes in edges.items()
        for ranges in itertools.product(*(itertools.pairwise(sorted(of_axis)) for of_axis in of_axes))
    ]
