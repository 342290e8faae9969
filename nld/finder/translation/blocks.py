"""From solved shifts to blocks, each shift once: what shifts of one family contain is left out of the other."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from nld.finder.block import Block, Member
from nld.finder.blocks import Shapes, blocks, named_block
from nld.finder.directions import Part, Sparse, directions, numbers_by_parameter, parts, put
from nld.finder.linear_system import Axis
from nld.finder.patterns import range_of, regular_pattern, runs
from nld.finder.translation.shifts import Shifts
from nld.symmetry import Kind

Covered = dict[str, set[tuple[int, tuple[int, ...]]]]  # parameter -> (axis, indices) that have shifts of their own


def translations(shifts: Shifts, shapes: Shapes) -> list[Block]:
    """Blocks of the shifts that solve the equations; an even shift that full ones already contain is left out."""
    covered: Covered = defaultdict(set)
    for direction in directions(shifts.equations, shifts.full):
        for number, vector in direction.items():
            if _is_constant(vector):
                covered[shifts.full[number].parameter].add((shifts.full[number].axes[0], tuple(sorted(vector))))
    full = [named_block(Kind.TRANSLATION, m) for name in covered for m in _full_members(name, shapes[name], covered)]
    return full + blocks(Kind.TRANSLATION, _even_units(shifts, covered, shapes), shapes)


def _is_constant(vector: Sparse) -> bool:
    return len(set(vector.values())) == 1


def _full_members(parameter: str, shape: tuple[int, ...], covered: Covered) -> Iterator[list[Member]]:
    """Members that shift index sets of one axis by any vector along the others."""
    by_axis: dict[tuple[int, int], list[tuple[int, ...]]] = defaultdict(list)
    for axis, indices in sorted(covered[parameter]):
        by_axis[axis, len(indices)].append(indices)
    for (axis, _), sets in by_axis.items():
        units = (axis, *(a + (a > axis) for a in range(len(shape)) if a != axis))
        pattern = regular_pattern(sets)
        if pattern is not None and pattern.outer == pattern.before == 1:
            narrow = range_of(pattern.start, len(sets) * pattern.after, axis, shape)
            view = (*shape[:axis], len(sets), pattern.after, *shape[axis + 1 :])
            yield [Member(parameter, view, units, 1.0, narrow)]
            continue
        for indices in sets:
            ranges = [
                (start, length, (*shape[:axis], 1, length, *shape[axis + 1 :])) for start, length in runs(indices)
            ]
            yield [Member(parameter, view, units, 1.0, ((axis, start, length),)) for start, length, view in ranges]


def _even_units(shifts: Shifts, covered: Covered, shapes: Shapes) -> list[list[Part]]:
    """Units of the even shifts, up to those that are covered; what is found alone is covered from then on."""
    even, units = shifts.even, []
    numbers_of = numbers_by_parameter(even)
    free = directions(shifts.equations, even)
    for direction in free:  # a constant shift of one vector alone is not repeated in the shifts of several
        for number, vector in direction.items():
            single = len(direction) == 1 and len(vector) > 1 and _is_constant(vector)
            if single and _modulo(vector, even[number], covered, shapes):
                covered[even[number].parameter].add((even[number].axes[0], tuple(sorted(vector))))
                units.append(parts(direction, even, numbers_of))
    distinct = {tuple(unit): unit for unit in units}
    for direction in free:
        reduced = {n: _modulo(vector, even[n], covered, shapes) for n, vector in direction.items()}
        if unit := parts({n: vector for n, vector in reduced.items() if vector}, even, numbers_of):
            distinct.setdefault(tuple(unit), unit)
    return list(distinct.values())


def _modulo(vector: Sparse, axis: Axis, covered: Covered, shapes: Shapes) -> Sparse:
    """An even shift up to those that are covered, written with the fewest entries."""
    shape = shapes[axis.parameter]
    if any(a != axis.axes[0] and len(indices) == shape[a] for a, indices in covered[axis.parameter]):
        return {}
    for indices in (indices for a, indices in covered[axis.parameter] if a == axis.axes[0]):
        most = Counter(vector.get(i, 0) for i in indices).most_common(1)[0][0]
        vector = dict(vector)
        for i in indices:
            put(vector, i, vector.get(i, 0) - most)
    return vector
