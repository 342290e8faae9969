"""Units in stacks of matrices: parameters (matrices, rows, columns), such as those of experts, as members of blocks.

A part of a unit then counts along the first axis and one of the others, flattened.
"""

from collections.abc import Sequence

from nld.finder.block import Member
from nld.finder.directions import Part
from nld.finder.patterns import Pattern, range_of, regular_pattern, runs


def member_of_stack(same_parts: Sequence[Part]) -> Member | None:
    """The same part of every unit as one member, if the indices form a regular pattern in a box of the stack."""
    (parameter, shape, (_, axis)), coefficient, _ = same_parts[0]
    places = [[divmod(i, shape[axis]) for i in part.indices] for part in same_parts]
    layers, lines = (sorted({place[which] for unit in places for place in unit}) for which in (0, 1))
    if any(ends[-1] - ends[0] + 1 != len(ends) for ends in (layers, lines)):
        return None
    boxed = [tuple((layer - layers[0]) * len(lines) + line - lines[0] for layer, line in unit) for unit in places]
    pattern = regular_pattern(boxed) if sum(map(len, boxed)) == len(layers) * len(lines) else None
    halves = None if pattern is None else _halves(pattern, len(layers))
    if halves is None:
        return None
    first, second = halves
    between = [(size, False) for size in shape[1:axis]]
    behind = [(size, False) for size in shape[axis + 1 :]]
    sizes = [*first, *between, *second, *behind]
    narrow = range_of(layers[0], len(layers), 0, shape) + range_of(lines[0], len(lines), axis, shape)
    unit_axes = tuple(number for number, (_, enumerates) in enumerate(sizes) if enumerates)
    return Member(parameter, tuple(size for size, _ in sizes), unit_axes, coefficient, narrow)


def _halves(pattern: Pattern, layers: int) -> tuple[list[tuple[int, bool]], list[tuple[int, bool]]] | None:
    """The axes of a pattern's grid that make up the layers, and those within a layer; each with its size and whether it
    enumerates units."""
    first, second, left = [], [], layers
    for size, enumerates in zip(pattern[1:], (True, False, True, False), strict=True):
        outer = size if left % size == 0 else left
        if size % outer:
            return None
        first.append((outer, enumerates))
        second.append((size // outer, enumerates))
        left //= outer
    first, second = ([each for each in half if each[0] > 1] for half in (first, second))
    if not any(enumerates for _, enumerates in first + second):
        first.insert(0, (1, True))
    return first or [(1, False)], second or [(1, False)]


def members_of_one_in_stack(part: Part) -> list[Member]:
    """The part of one unit as members, each a range of one matrix's lines."""
    (parameter, shape, (_, axis)), coefficient, indices = part
    members = []
    for start, length in runs(indices):
        while length:  # a run may go on into the next matrix
            layer, line = divmod(start, shape[axis])
            count = min(length, shape[axis] - line)
            narrow = ((0, layer, 1), *range_of(line, count, axis, shape))
            piece = tuple(count if a == axis else size for a, size in enumerate(shape) if a)
            members.append(Member(parameter, (1, *piece), (0,), coefficient, narrow))
            start, length = start + count, length - count
    return members
