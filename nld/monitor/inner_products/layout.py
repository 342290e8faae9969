"""Where tracked parameters lie: on pages of bounded size, cut between units.

A page is a stretch of memory into which pieces of parameters are gathered, so that one
batched product measures many units at once. Large parameters are cut along their first
axis, at places where no unit of any block is divided.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from nld.finder.block import Member
from nld.symmetry import Kind


@dataclass(frozen=True)
class Use:
    """One member of one block: which of the tracked parameters it arranges and where its rows go."""

    block: int
    kind: Kind
    member: Member
    parameter: int
    row: int  # first row of this member among all rows with the same matrix size
    size: int  # d of a general_linear or rotation block, 1 otherwise
    again: bool = False  # whether another use measures the same rows: the constant part of an affine generator


def squeezed(member: Member) -> Member:
    """The same rows with no axis of length one, which only hides how the member lies in its parameter."""
    kept = [axis for axis, length in enumerate(member.shape) if length > 1 or axis == member.matrix_axis] or [0]
    return replace(
        member,
        shape=tuple(member.shape[axis] for axis in kept),
        unit_axes=tuple(kept.index(axis) for axis in member.unit_axes if axis in kept),
        matrix_axis=None if member.matrix_axis is None else kept.index(member.matrix_axis),
    )


def heads_as_view(use: Use, shape: Sequence[int]) -> torch.Tensor | None:
    """How the heads of a contiguous tensor of a parameter's shape lie, (units, d, features); None if as no view."""
    try:
        return use.member.arranged(torch.empty(shape, device="meta")).view(use.member.units, use.size, -1)
    except RuntimeError:
        return None


@dataclass(frozen=True)
class Piece:
    """Rows start to stop, along the first axis, of one parameter; offset is its place among all that is on pages."""

    parameter: int
    start: int
    stop: int
    offset: int
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


def _range(member: Member, length: int) -> tuple[int, int, int]:
    """Start and stop of a member on a parameter's first axis, and how many rows must stay together."""
    start, stop = 0, length
    for axis, begin, count in member.narrow:
        if axis == 0:
            start, stop = start + begin, start + begin + count
    whole = member.matrix_axis == 0 or (stop - start) % member.shape[0] != 0
    return start, stop, max((stop - start) if whole else (stop - start) // member.shape[0], 1)


def _cuts(shape: tuple[int, ...], members: list[Member], capacity: int) -> list[int]:
    """Where to cut a parameter so that no piece exceeds the capacity, if its blocks allow it."""
    length = shape[0]
    if math.prod(shape) <= capacity:
        return [0, length]
    allowed = np.ones(length + 1, dtype=bool)
    for member in members:
        start, stop, grain = _range(member, length)
        inside = np.arange(start, stop + 1)
        allowed[inside[(inside - start) % grain != 0]] = False
    candidates = np.flatnonzero(allowed)
    longest = max(capacity // max(math.prod(shape[1:]), 1), 1)
    cuts = [0]
    while cuts[-1] < length:
        within = candidates[(candidates > cuts[-1]) & (candidates <= cuts[-1] + longest)]
        cuts.append(int(within[-1] if within.size else candidates[candidates > cuts[-1]][0]))
    return cuts


def pages(shapes: list[tuple[int, ...]], uses: list[Use], capacity: int, but: Sequence[int] = ()) -> list[list[Piece]]:
    """All parameters but some as pieces, packed in order into pages of about ``capacity`` elements."""
    packed: list[list[Piece]] = [[]]
    filled = offset = 0
    for index, shape in enumerate(shapes):
        if index in but:
            continue
        shape = shape or (1,)
        cuts = _cuts(shape, [use.member for use in uses if use.parameter == index], capacity)
        for start, stop in itertools.pairwise(cuts):
            piece = Piece(index, start, stop, offset, (stop - start, *shape[1:]))
            if packed[-1] and filled + piece.numel > capacity:
                packed.append([])
                filled = 0
            packed[-1].append(piece)
            filled += piece.numel
            offset += piece.numel
    return [page for page in packed if page]


@dataclass(frozen=True)
class Arranged:
    """A member's share of a piece.

    ``rows`` shares memory with ``source``, or with a spare buffer that it must be copied to first because its features
    do not merge or do not adjoin.
    """

    source: torch.Tensor  # the piece as the member sees it, (measurements, *unit sizes, vectors, [d,] *features)
    rows: torch.Tensor  # the same as (measurements * units, vectors, d, features)
    copied: torch.Tensor | None  # the spare buffer, shaped like source
    place: tuple[tuple[int, ...], int, int, int]  # sizes and axis of the units, and the range on it; see target
    partial: bool  # the piece holds only part of the units' features, so that results add up

    def fetch(self) -> torch.Tensor:
        """The rows as they are now."""
        if self.copied is not None:
            self.copied.copy_(self.source)
        return self.rows

    def target(self, result: torch.Tensor) -> torch.Tensor:
        """The part of ``result``, (measurements, all units, a, b), that this piece fills, with its unit sizes."""
        sizes, axis, start, count = self.place
        return result.unflatten(1, sizes).narrow(axis + 1, start, count)


def arranged(stack: torch.Tensor, piece: Piece, length: int, member: Member, spare: torch.Tensor) -> Arranged | None:
    """A piece, (vectors, measurements, *piece.shape), the way a member sees it; None if it has no part in it."""
    start, stop, _ = _range(member, length)
    low, high = max(piece.start, start), min(piece.stop, stop)
    if low >= high:
        return None
    stack = stack.narrow(2, low - piece.start, high - low)
    for axis, begin, number in member.narrow:
        if axis != 0:
            stack = stack.narrow(axis + 2, begin, number)
    first, count = ((edge * member.shape[0]) // (stop - start) for edge in (low - start, high - low))
    vectors, measurements = stack.shape[:2]
    stack = stack.reshape(vectors, measurements, count, *member.shape[1:])
    matrix = () if member.matrix_axis is None else (member.matrix_axis,)
    rest = [axis for axis in range(len(member.shape)) if axis not in (*member.unit_axes, *matrix)]
    units, features = [1, *(a + 2 for a in member.unit_axes)], [a + 2 for a in (*matrix, *rest)]
    source = stack.permute(*units, 0, *features)
    shape = (math.prod(source.shape[: len(units)]), vectors, source.shape[len(units) + 1] if matrix else 1, -1)
    try:
        rows, copied = source.view(shape), None
    except RuntimeError:
        rows = copied = None
    if rows is None or (rows.stride(-1) != 1 and rows.shape[-1] > 1):  # products of scattered features are slow
        copied = spare[: source.numel()].view(source.shape)
        rows = copied.view(shape)
    sizes = tuple(member.shape[axis] for axis in member.unit_axes)
    if 0 in member.unit_axes:
        return Arranged(source, rows, copied, (sizes, member.unit_axes.index(0), first, count), False)
    sizes = sizes or (1,)
    return Arranged(source, rows, copied, (sizes, 0, 0, sizes[0]), low > start or high < stop)
