"""From solved unknowns to units: the entries of parameters that each free unknown moves, as few as possible."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from nld.finder.linear_system import Axis, Equations

Sparse = dict[int, Fraction | int]  # index along an axis -> coefficient


class Place(NamedTuple):
    """Axes of a parameter's view of this shape; none for the whole parameter."""

    parameter: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]


class Part(NamedTuple):
    """What a unit moves in one place, and how strongly; indices count along the axes of the place, flattened."""

    place: Place
    coefficient: float
    indices: tuple[int, ...]


def directions(equations: Equations, axes: Sequence[Axis]) -> list[dict[int, Sparse]]:
    """What each free unknown adds to every axis: number of the axis -> index -> coefficient."""
    result: dict[int, dict[int, Sparse]] = defaultdict(lambda: defaultdict(dict))
    for number, axis in enumerate(axes):
        for index, unknown in enumerate(axis.unknowns.tolist()):
            for free, coefficient in equations.reduce({unknown: 1}).items():
                result[free][number][index] = coefficient
    return list(result.values())


def numbers_by_parameter(axes: Sequence[Axis]) -> dict[str, list[int]]:
    """The numbers of the axes of each parameter."""
    result: dict[str, list[int]] = defaultdict(list)
    for number, axis in enumerate(axes):
        result[axis.parameter].append(number)
    return result


def parts(
    direction: dict[int, Sparse], axes: Sequence[Axis], numbers_of: dict[str, list[int]] | None = None
) -> list[Part]:
    """A direction as the parts of a unit, the first with coefficient 1, and with few entries.

    Args:
        direction: one of ``directions``.
        axes: of all parameters.
        numbers_of: what ``numbers_by_parameter`` says of the axes, for who asks often.
    """
    numbers_of = numbers_of or numbers_by_parameter(axes)
    result: list[Part] = []
    for first, *others in sorted(numbers_of[name] for name in {axes[number].parameter for number in direction}):
        vectors = {number: dict(direction.get(number, {})) for number in (first, *others)}
        for number in others:
            _shift_constants(vectors[first], axes[first], vectors[number], axes[number])
        for number, vector in vectors.items():
            result += _parts_of_axis(axes[number], vector)
    return _normalized(result)


def _parts_of_axis(axis: Axis, vector: Sparse) -> list[Part]:
    """A part for each value among the coefficients along one axis."""
    indices_of: dict[Fraction | int, list[int]] = defaultdict(list)
    for index, coefficient in sorted(vector.items()):
        indices_of[coefficient].append(index)
    place = Place(axis.parameter, axis.shape, axis.axes)
    return [Part(place, float(coefficient), tuple(indices)) for coefficient, indices in indices_of.items()]


def _normalized(unit: list[Part]) -> list[Part]:
    """The unit with coefficient 1 on its first part."""
    return [part._replace(coefficient=part.coefficient / unit[0].coefficient) for part in unit]


def sparser(units: list[list[Part]]) -> list[list[Part]]:
    """The same span with fewer entries: a unit that contains others whole is left without them."""
    entries = [{(place, i): c for place, c, indices in unit for i in indices} for unit in units]
    owners: dict = {}  # an entry with its coefficient -> the smallest unit that has it
    for number in sorted(range(len(units)), key=lambda number: len(entries[number])):
        for other in sorted({owners[entry] for entry in entries[number].items() if entry in owners}):
            if entries[other].items() <= entries[number].items() and len(entries[other]) < len(entries[number]):
                entries[number] = {e: c for e, c in entries[number].items() if e not in entries[other]}
        for entry in entries[number].items():
            owners.setdefault(entry, number)
    return [_restricted(unit, left) for unit, left in zip(units, entries, strict=True)]


def _restricted(unit: list[Part], entries: dict) -> list[Part]:
    """What of a unit lies in these entries; a parameter without axes stays."""
    rest = [part._replace(indices=tuple(i for i in part.indices if (part.place, i) in entries)) for part in unit]
    return _normalized([part for part in rest if part.indices or not part.place.axes])


def _shift_constants(rows: Sparse, row_axis: Axis, columns: Sparse, column_axis: Axis) -> None:
    """Move the constant between two axes of a parameter (for each of its groups) to where fewest entries are left."""
    groups = column_axis.shape[0] if len(column_axis.axes) == 2 else 1  # of a convolution
    wide, tall = len(column_axis.unknowns) // groups, len(row_axis.unknowns) // groups
    counts, heights = _counts(columns, wide, groups), _counts(rows, tall, groups)
    for group in {index // wide for index in columns} | {index // tall for index in rows}:
        # after the move, column entries equal to c and row entries equal to -c are gone
        inside, above = counts[group], heights[group]
        best = max([0, *inside, *(-h for h in above)], key=lambda c: (inside[c] + above[-c], c == 0))
        if best:
            for i in range(group * wide, (group + 1) * wide):
                put(columns, i, columns.get(i, 0) - best)
            for i in range(group * tall, (group + 1) * tall):
                put(rows, i, rows.get(i, 0) + best)


def _counts(vector: Sparse, size: int, groups: int) -> list[Counter]:
    """How often each coefficient stands in each group of so many entries, zeros among them."""
    counts = [Counter() for _ in range(groups)]
    for index, coefficient in sorted(vector.items()):
        counts[index // size][coefficient] += 1
    for group in counts:
        group[0] += size - group.total()
    return counts


def put(vector: Sparse, index: int, value: Fraction | int) -> None:
    """Set a coefficient; one that is zero is left out."""
    if value:
        vector[index] = value
    else:
        vector.pop(index, None)
