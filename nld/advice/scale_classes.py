"""What the symmetries of the loss say about the size of each tensor: free, free with others, undone by others, or seen.

Multiply a tensor by c > 0. A scale, rescale or general linear block that it is part of says what else must be
multiplied, and by which power of c, for the loss not to notice: all units of the block at once, each member to the
power of its coefficient (a general linear block with the matrix c times one).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from nld.advice.cells import Cell, cells
from nld.finder import Block
from nld.symmetry import Kind


class Scale(StrEnum):
    """Whose the size of a tensor is; from what binds it least to what binds it most."""

    OWN = "own"  # a scale symmetry moves it alone, or with its bias
    SHARED = "shared"  # a scale symmetry moves it together with other matrices
    COMPENSATED = "compensated"  # other tensors, a gain for example, undo its factor
    NONE = "none"  # the loss sees it


@dataclass(frozen=True)
class Part:
    """The entries of a tensor of which one thing is true.

    Args:
        cell: which entries.
        scale: whose their size is.
        block: the symmetry that says so; None with ``Scale.NONE``.
    """

    cell: Cell
    scale: Scale
    block: Block | None = None

    @property
    def factors(self) -> Mapping[str, float]:
        """What the symmetry multiplies where it multiplies this part by c: entries of tensors, to which power of c."""
        if self.block is None:
            return {}
        own = next(member.coefficient for member in self.block.members if self.cell.is_in(member))
        return {member.entries: member.coefficient / own for member in self.block.members}

    @property
    def partners(self) -> Mapping[str, float]:
        """The other entries among ``factors``: multiplied with this part (power > 0), or undoing it (power < 0)."""
        own = [member.entries for member in self.block.members if self.cell.is_in(member)] if self.block else []
        return {entries: power for entries, power in self.factors.items() if entries not in own}


def classify(blocks: Sequence[Block], shapes: Mapping[str, tuple[int, ...]]) -> list[Part]:
    """Every part of every tensor with what the blocks say of its size; of several blocks, that which moves least else.

    Args:
        blocks: the symmetries found.
        shapes: of each parameter to be classified; blocks name no others.
    """
    multiplying = [b for b in blocks if b.kind in (Kind.SCALE, Kind.RESCALE, Kind.GENERAL_LINEAR)]
    multiplying = [b for b in multiplying if not any(member.offset for member in b.members)]  # 1 + w scales, not w
    parts = cells(multiplying, shapes)
    vectors = {cell.parameter for cell in parts if cell.is_vector}
    moving: dict[str, list[Block]] = {name: [] for name in shapes}
    for block in sorted(multiplying, key=lambda block: _size(block, parts)):
        for name in block.parameters:
            moving[name].append(block)
    return [_part(cell, moving[cell.parameter], vectors) for cell in parts]


def is_of_one(block: Block, vectors: set[str]) -> bool:
    """Whether a scale block moves one tensor, or one matrix and vectors such as its bias, all to the same power."""
    matrices = [name for name in block.parameters if name not in vectors]
    return is_ray(block) and (len(matrices) == 1 or len(block.parameters) == 1)


def is_ray(block: Block) -> bool:
    """Whether a block multiplies all its entries alike, so that each orbit meets each sphere once."""
    return block.kind is Kind.SCALE and len(set(block.coefficients)) == 1


def _part(cell: Cell, blocks: Sequence[Block], vectors: set[str]) -> Part:
    blocks = [block for block in blocks if any(cell.is_in(member) for member in block.members)]
    scales = [block for block in blocks if block.kind is Kind.SCALE]
    for block in scales:
        if is_of_one(block, vectors):
            return Part(cell, Scale.OWN, block)
    if scales:
        return Part(cell, Scale.SHARED, scales[0])
    return Part(cell, Scale.COMPENSATED, blocks[0]) if blocks else Part(cell, Scale.NONE)


def _size(block: Block, parts: Sequence[Cell]) -> tuple[int, int]:
    """How much a block moves: matrices first, for a gain is the simpler thing to undo a factor with."""
    moved = [cell for cell in parts if any(cell.is_in(member) for member in block.members)]
    return sum(not cell.is_vector for cell in moved), len(moved)
