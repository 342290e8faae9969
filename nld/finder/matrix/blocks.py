"""From vectors of coordinates to blocks: the heads and layers on which a matrix acts."""

import math
from collections import defaultdict
from collections.abc import Sequence

import torch

from nld.finder.block import Block, Member
from nld.finder.blocks import Shapes, named_block
from nld.finder.directions import Part
from nld.finder.matrix.coordinate_classes import Vector
from nld.finder.patterns import range_of
from nld.symmetry import Kind


def mixings(vectors: Sequence[Vector], shapes: Shapes) -> tuple[list[tuple[Block, list[Vector]]], list[str]]:
    """Blocks of vectors that have the same form, with these, and notes on those whose rows form no regular pattern."""
    forms: dict[tuple, list[Vector]] = defaultdict(list)
    for vector in vectors:
        forms[vector.places, vector.size, vector.orthogonal].append(vector)
    result, notes = [], []
    for (_, _, orthogonal), alike in forms.items():
        kind = Kind.ROTATION if orthogonal else Kind.GENERAL_LINEAR
        together = _matrix_members(alike, shapes)
        for group in [alike] if together else [[vector] for vector in alike]:
            members = _matrix_members(group, shapes)
            if members is None:
                notes.append(
                    f"{kind} of {', '.join(p for p, _, _ in alike[0].places)}: its rows form no regular pattern"
                )
            else:
                result.append((named_block(kind, members), group))
    return result, notes


def _matrix_members(vectors: Sequence[Vector], shapes: Shapes) -> list[Member] | None:
    """Members of vectors as units, if their indices are a regular grid of units, coordinates and copies."""
    members = []
    for position, (parameter, axis, sign) in enumerate(vectors[0].places):
        table = [[sorted(indices) for indices in vector.indices[position]] for vector in vectors]
        grid = next(filter(None, (_grid(table, outer) for outer in range(1, len(table) + 1))), None)
        if grid is None:
            return None
        start, sizes, order = grid
        shape = shapes[parameter]
        narrow = range_of(start, math.prod(sizes), axis, shape)
        view = (*shape[:axis], *(sizes[i] for i in order), *shape[axis + 1 :])
        units = (axis + order.index(0), axis + order.index(1))
        members.append(Member(parameter, view, units, float(sign), narrow, axis + order.index(2)))
    return members


def _grid(table: list[list[list[int]]], outer: int) -> tuple[int, tuple[int, ...], list[int]] | None:
    """The table (unit, coordinate, copy) of indices as a grid without gaps: its start, its sizes (units as outer times
    inner), and the order of its axes from the slowest to the fastest."""
    if len(table) % outer:
        return None
    sizes = (outer, len(table) // outer, len(table[0]), len(table[0][0]))
    indices = torch.tensor(table).reshape(sizes)
    start = int(indices[0, 0, 0, 0])
    steps = [int(indices.select(i, 1).reshape(-1)[0]) - start if n > 1 else 0 for i, n in enumerate(sizes)]
    order = sorted(range(4), key=lambda i: -steps[i])
    expected = torch.arange(start, start + indices.numel()).reshape([sizes[i] for i in order])
    return (start, sizes, order) if torch.equal(indices.permute(order), expected) else None


def diagonal(vector: Vector, shapes: Shapes) -> set[frozenset[tuple]]:
    """The rescale units in a general linear vector, as ``signature`` gives them: of each coordinate and of all."""
    places = list(zip(vector.places, vector.indices, strict=True))
    coordinates = range(vector.size)
    return {
        _signed(
            [
                (p, axis, float(sign), tuple(sorted(i for c in chosen for i in rows[c])))
                for (p, axis, sign), rows in places
            ],
            shapes,
        )
        for chosen in ([[c] for c in coordinates] + [list(coordinates)])
    }


def signature(unit: list[Part], shapes: Shapes) -> frozenset[tuple]:
    """What a unit moves, whichever way its sign is counted; nothing if that is not the same in all of a stack."""
    entries = []
    for (parameter, view, axes), coefficient, indices in unit:
        axis = axes[0] if axes else 0
        if len(axes) == 2 and view == shapes[parameter]:
            axis, whole = axes[1], len(indices)
            indices = tuple(sorted({i % view[axis] for i in indices}))
            if whole != view[0] * len(indices):
                return frozenset()
        entries.append((parameter, axis, coefficient, indices))
    return _signed(entries, shapes)


def _signed(entries: list[tuple[str, int, float, tuple[int, ...]]], shapes: Shapes) -> frozenset[tuple]:
    sign = 1 if min(entries)[2] > 0 else -1
    return frozenset(
        (p, None, sign * c) if shapes[p] and len(indices) == shapes[p][axis] else (p, axis, sign * c, indices)
        for p, axis, c, indices in entries
    )
