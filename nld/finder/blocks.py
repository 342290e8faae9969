"""From solved unknowns to blocks: the entries that each free unknown moves, units of one form together."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction

from nld.finder.block import Block, Member
from nld.finder.linear_system import Axis, Equations
from nld.symmetry import Kind

Sparse = dict[int, Fraction | int]  # index along an axis -> coefficient
Place = tuple[str, tuple[int, ...], tuple[int, ...]]  # parameter, view shape, axes of the view
Part = tuple[Place, float, tuple[int, ...]]  # place, coefficient, indices

REASONS = {
    "translation": "what follows forgets a constant (a mean is subtracted, a softmax follows, or the shifts cancel)",
    "scale": "a normalization behind it divides the factor out",
    "rescale": "all that lies between is homogeneous, so the factors cancel",
    "general_linear": "only the product of the two sides is ever used",
    "rotation": "only inner products of these coordinates are ever used",
}


def directions(equations: Equations, axes: Sequence[Axis]) -> dict[int, dict[int, Sparse]]:
    """For each free unknown, what it adds to every axis: free unknown -> number of the axis -> index -> coefficient."""
    found: dict[int, dict[int, Sparse]] = defaultdict(lambda: defaultdict(dict))
    for number, axis in enumerate(axes):
        for index, unknown in enumerate(axis.unknowns.tolist()):
            for free, coefficient in equations.reduce({unknown: 1}).items():
                found[free][number][index] = coefficient
    return found


def parts(direction: dict[int, Sparse], axes: Sequence[Axis]) -> list[Part]:
    """A direction as parts (place, coefficient, indices), with constants between a parameter's axes removed."""
    by_parameter: dict[str, list[int]] = defaultdict(list)
    for number, axis in enumerate(axes):
        by_parameter[axis.parameter].append(number)
    result: list[Part] = []
    touched = {axes[number].parameter for number in direction}
    for parameter in (p for p in by_parameter if p in touched):
        numbers = by_parameter[parameter]
        vectors = [dict(direction.get(number, {})) for number in numbers]
        first = axes[numbers[0]]
        for number, vector in zip(numbers[1:], vectors[1:], strict=True):
            _shift_constants(vectors[0], first, vector, axes[number])
        for number, vector in zip(numbers, vectors, strict=True):
            by_value: dict = defaultdict(list)
            for index, coefficient in sorted(vector.items()):
                by_value[coefficient].append(index)
            axis = axes[number]
            place = (parameter, axis.shape, axis.axes)
            result += [(place, float(c), tuple(indices)) for c, indices in by_value.items()]
    if result and result[0][1] != 1.0:
        result = [(place, coefficient / result[0][1], indices) for place, coefficient, indices in result]
    return result


def sparser(units: list[list[Part]]) -> list[list[Part]]:
    """The same span with fewer entries: a unit that contains others whole is left without them."""
    entries = [{(place, i): c for place, c, indices in unit for i in indices} for unit in units]
    order = sorted(range(len(units)), key=lambda number: len(entries[number]))
    owners: dict = {}
    for number in order:
        inside = {owners[e] for e in entries[number].items() if e in owners}
        for other in sorted(inside):
            if entries[other].items() <= entries[number].items() and len(entries[other]) < len(entries[number]):
                entries[number] = {e: c for e, c in entries[number].items() if e not in entries[other]}
        for entry in entries[number].items():
            owners.setdefault(entry, number)
    result = []
    for unit, left in zip(units, entries, strict=True):
        kept = [(place, c, tuple(i for i in indices if (place, i) in left)) for place, c, indices in unit]
        kept = [part for part in kept if part[2] or not part[0][2]]
        result.append([(place, c / kept[0][1], indices) for place, c, indices in kept])
    return result


def _shift_constants(rows: Sparse, row_axis: Axis, columns: Sparse, column_axis: Axis) -> None:
    """Move the constant between two axes of a parameter to where fewest entries are left."""
    grouped = len(column_axis.axes) == 2
    groups = column_axis.shape[0] if grouped else 1
    wide, tall = len(column_axis.unknowns) // groups, len(row_axis.unknowns) // groups
    if not grouped:
        tall = len(row_axis.unknowns)
    for group in range(groups):
        inside = [columns.get(group * wide + i, 0) for i in range(wide)]
        above = [rows.get(group * tall + i, 0) for i in range(tall)]
        counts, heights = Counter(inside), Counter(above)
        # after the move, column entries equal to c and row entries equal to -c are gone
        best = max([0, *counts, *(-h for h in heights)], key=lambda c: (counts[c] + heights[-c], c == 0))
        if best:
            for i, value in enumerate(inside):
                _set(columns, group * wide + i, value - best)
            for i, value in enumerate(above):
                _set(rows, group * tall + i, value + best)


def _set(vector: Sparse, index: int, value) -> None:
    if value:
        vector[index] = value
    else:
        vector.pop(index, None)


def blocks(kind: Kind | None, units: list[list[Part]], shapes: dict[str, tuple[int, ...]]) -> list[Block]:
    """Blocks of units that have the same form. ``kind`` is a name, or None to tell scale from rescale by the signs."""
    forms: dict[tuple, list[list[Part]]] = defaultdict(list)
    for unit in units:
        forms[tuple((place, coefficient, len(indices)) for place, coefficient, indices in unit)].append(unit)
    result = []
    for form, members in forms.items():
        name = kind or (Kind.SCALE if all(coefficient > 0 for _, coefficient, _ in form) else Kind.RESCALE)
        members.sort(key=lambda unit: unit[0][2])
        together = _together(members, shapes)
        for group in [together] if together else [_single(unit, shapes) for unit in members]:
            result.append(named_block(name, group))
    return result


def _together(units: list[list[Part]], shapes: dict[str, tuple[int, ...]]) -> list[Member] | None:
    """Members that hold all units at once, if their indices form a regular pattern."""
    members = []
    for position, ((parameter, view, axes), coefficient, _) in enumerate(units[0]):
        sets = [unit[position][2] for unit in units]
        shape = shapes[parameter]
        if not axes:
            if len(units) > 1:
                return None
            members.append(Member(parameter, (1, *shape), (0,), coefficient))
            continue
        if axes == (0, 2):  # input channels of a grouped convolution
            if sets != [(i,) for i in range(view[0] * view[2])]:
                return None
            members.append(Member(parameter, view, (0, 2), coefficient))
            continue
        axis = axes[0]
        pattern = _pattern(sets)
        if pattern is None:
            return None
        start, outer, before, inner, after = pattern
        length = len(sets) * before * after
        narrow = () if length == shape[axis] else ((axis, start, length),)
        if outer == 1:
            new, unit_axes = (before, inner, after), (axis + 1,)
        else:
            new, unit_axes = (outer, before, inner, after), (axis, axis + 2)
        new = (*shape[:axis], *new, *shape[axis + 1 :])
        members.append(Member(parameter, new, unit_axes, coefficient, narrow))
    return members


def _pattern(sets: list[tuple[int, ...]]) -> tuple[int, int, int, int, int] | None:
    """(start, outer, before, inner, after) such that units are pairs (v, w), outer times inner, and unit (v, w) is
    {start + ((v before + p) inner + w) after + t : p < before, t < after}."""
    count, size, start = len(sets), len(sets[0]), sets[0][0]
    for outer in (n for n in range(1, count + 1) if count % n == 0):
        inner = count // outer
        for after in (n for n in range(size, 0, -1) if size % n == 0):
            before = size // after
            if all(
                sets[v * inner + w]
                == tuple(
                    start + ((v * before + p) * inner + w) * after + t for p in range(before) for t in range(after)
                )
                for v in range(outer)
                for w in range(inner)
            ):
                return start, outer, before, inner, after
    return None


def _single(unit: list[Part], shapes: dict[str, tuple[int, ...]]) -> list[Member]:
    """Members of one unit, each a contiguous piece of its parameter."""
    members = []
    for (parameter, view, axes), coefficient, indices in unit:
        shape = shapes[parameter]
        if not axes:
            members.append(Member(parameter, (1, *shape), (0,), coefficient))
        elif axes == (0, 2):
            for index in indices:
                group, channel = divmod(index, view[2])
                narrow = ((0, group * view[1], view[1]), (1, channel, 1))
                members.append(Member(parameter, (1, view[1], 1, *shape[2:]), (0,), coefficient, narrow))
        else:
            axis = axes[0]
            for start, length in _runs(indices):
                narrow = () if length == shape[axis] else ((axis, start, length),)
                new = (1, *shape[:axis], length, *shape[axis + 1 :])
                members.append(Member(parameter, new, (0,), coefficient, narrow))
    return members


def _runs(indices: tuple[int, ...]) -> list[tuple[int, int]]:
    runs: list[list[int]] = []
    for index in indices:
        if runs and runs[-1][0] + runs[-1][1] == index:
            runs[-1][1] += 1
        else:
            runs.append([index, 1])
    return [(start, length) for start, length in runs]


def named_block(kind: Kind, members: Sequence[Member]) -> Block:
    """A block named after what it moves."""
    return Block(kind, _name(members), tuple(members), REASONS[kind])


def _name(members: Sequence[Member]) -> str:
    moved = list(dict.fromkeys(m.entries for m in members if m.coefficient > 0))
    undone = list(dict.fromkeys(m.entries for m in members if m.coefficient < 0))
    short = [", ".join(names) if len(names) < 4 else f"{names[0]}, … {names[-1]}" for names in (moved, undone)]
    return f"{short[0]} → {short[1]}" if undone else short[0]


def translations(equations: Equations, full: Sequence[Axis], even: Sequence[Axis], shapes) -> list[Block]:
    """Blocks of the shifts that solve the equations; an even shift that full ones already contain is left out."""
    covered: dict[str, set[tuple[int, tuple[int, ...]]]] = defaultdict(
        set
    )  # parameter -> (axis, indices) of full shifts
    for direction in directions(equations, full).values():
        for number, vector in direction.items():
            if len(set(vector.values())) == 1:
                covered[full[number].parameter].add((full[number].axes[0], tuple(sorted(vector))))
    result = []
    for parameter, shifts in covered.items():
        shape = shapes[parameter]
        by_axis: dict[tuple[int, int], list[tuple[int, ...]]] = defaultdict(list)
        for axis, indices in sorted(shifts):
            by_axis[axis, len(indices)].append(indices)
        for (axis, _), sets in by_axis.items():
            for members in _full_members(parameter, shape, axis, sets):
                result.append(named_block(Kind.TRANSLATION, members))
    units = []
    found = list(directions(equations, even).values())
    for direction in found:  # a constant shift of one vector alone is not repeated in the shifts of several
        for number, vector in direction.items():
            alone = len(direction) == 1 and len(vector) > 1 and len(set(vector.values())) == 1
            if alone and _modulo(vector, even[number], covered, shapes):
                covered[even[number].parameter].add((even[number].axes[0], tuple(sorted(vector))))
                units.append(parts(direction, even))
    for direction in found:
        reduced = {n: _modulo(vector, even[n], covered, shapes) for n, vector in direction.items()}
        unit = parts({n: vector for n, vector in reduced.items() if vector}, even)
        if unit and unit not in units:
            units.append(unit)
    return result + blocks(Kind.TRANSLATION, units, shapes)


def _modulo(vector: Sparse, axis: Axis, covered, shapes) -> Sparse:
    """An even shift up to those that full shifts contain, written with the fewest entries."""
    full = {(a, tuple(range(shapes[axis.parameter][a]))) for a in range(len(shapes[axis.parameter]))}
    whole = covered[axis.parameter] & full
    if any(a != axis.axes[0] for a, _ in whole):
        return {}
    for indices in (indices for a, indices in covered[axis.parameter] if a == axis.axes[0]):
        most = Counter(vector.get(i, 0) for i in indices).most_common(1)[0][0]
        vector = dict(vector)
        for i in indices:
            _set(vector, i, vector.get(i, 0) - most)
    return vector


def _full_members(parameter: str, shape, axis: int, sets: list[tuple[int, ...]]) -> list[list[Member]]:
    """Members that shift index sets of one axis by any vector along the others."""
    others = tuple(a + (a > axis) for a in range(len(shape)) if a != axis)
    pattern = _pattern(sets)
    if pattern is not None and pattern[1:3] == (1, 1):
        start, length = pattern[0], pattern[4]
        narrow = () if len(sets) * length == shape[axis] else ((axis, start, len(sets) * length),)
        view = (*shape[:axis], len(sets), length, *shape[axis + 1 :])
        return [[Member(parameter, view, (axis, *others), 1.0, narrow)]]
    result = []
    for indices in sets:
        pieces = []
        for start, length in _runs(indices):
            view = (*shape[:axis], 1, length, *shape[axis + 1 :])
            pieces.append(Member(parameter, view, (axis, *others), 1.0, ((axis, start, length),)))
        result.append(pieces)
    return result
