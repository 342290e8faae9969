"""Sets of indices as regular grids and as ranges."""

from collections.abc import Sequence
from typing import NamedTuple

import torch


class Pattern(NamedTuple):
    """Consecutive indices from ``start`` as a grid (outer, before, inner, after): a unit for each pair of an outer and
    an inner index, with all indices before and after."""

    start: int
    outer: int
    before: int
    inner: int
    after: int


def regular_pattern(sets: Sequence[tuple[int, ...]]) -> Pattern | None:
    """The pattern of the index sets of all units, equally many each, if they have one."""
    count, size, start = len(sets), len(sets[0]), sets[0][0]
    indices = torch.tensor(sets)
    consecutive = torch.arange(start, start + count * size)
    for outer in _divisors(count):
        for after in reversed(_divisors(size)):
            inner, before = count // outer, size // after
            # units first, as they are given, to the order of the axes of the grid
            if torch.equal(indices.reshape(outer, inner, before, after).transpose(1, 2).reshape(-1), consecutive):
                return Pattern(start, outer, before, inner, after)
    return None


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def range_of(start: int, length: int, axis: int, shape: tuple[int, ...]) -> tuple[tuple[int, int, int], ...]:
    """How a member is narrowed to a range of an axis: not at all if that is the whole axis."""
    return () if length == shape[axis] else ((axis, start, length),)


def runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Increasing indices as ranges (start, length)."""
    result: list[tuple[int, int]] = []
    for index in indices:
        if result and sum(result[-1]) == index:
            start, length = result.pop()
            result.append((start, length + 1))
        else:
            result.append((index, 1))
    return result
