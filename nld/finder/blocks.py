"""From units to blocks: units that move alike, together as the rows of a few members."""

from collections import defaultdict
from collections.abc import Sequence

from nld.finder.block import Block, Member
from nld.finder.directions import Part, Place
from nld.finder.patterns import range_of, regular_pattern, runs
from nld.finder.stacks import member_of_stack, members_of_one_in_stack
from nld.symmetry import Kind

REASONS = {
    "translation": "what follows forgets a constant (a mean is subtracted, a softmax follows, or the shifts cancel)",
    "scale": "a normalization behind it divides the factor out",
    "rescale": "all that lies between is homogeneous, so the factors cancel",
    "general_linear": "only the product of the two sides is ever used",
    "rotation": "only inner products of these coordinates are ever used",
}
GROUPED_INPUTS = (0, 2)  # axes of the view (groups, outputs, inputs, *kernel) of a grouped convolution's weight
Shapes = dict[str, tuple[int, ...]]  # parameter -> its shape


def blocks(kind: Kind | None, units: list[list[Part]], shapes: Shapes) -> list[Block]:
    """Blocks of units that have the same form, of one kind; None tells scale from rescale by the signs."""
    forms: dict[tuple, list[list[Part]]] = defaultdict(list)
    for unit in units:
        forms[tuple((place, coefficient, len(indices)) for place, coefficient, indices in unit)].append(unit)
    result = []
    for form, alike in forms.items():
        own_kind = kind or (Kind.SCALE if all(coefficient > 0 for _, coefficient, _ in form) else Kind.RESCALE)
        alike.sort(key=lambda unit: unit[0].indices)
        together = _members_of_all(alike, shapes)
        for members in [together] if together else [_members_of_one(unit, shapes) for unit in alike]:
            result.append(named_block(own_kind, members))
    return result


def _members_of_all(units: list[list[Part]], shapes: Shapes) -> list[Member] | None:
    """Members that hold all units at once, if the indices of each part form a regular pattern."""
    members = []
    for same_parts in zip(*units, strict=True):
        member = _member_of_all(same_parts, shapes[same_parts[0].place.parameter])
        if member is None:
            return None
        members.append(member)
    return members


def _member_of_all(same_parts: Sequence[Part], shape: tuple[int, ...]) -> Member | None:
    """The same part of every unit as one member."""
    (parameter, view, axes), coefficient, _ = same_parts[0]
    sets = [part.indices for part in same_parts]
    if not axes:
        return Member(parameter, (1, *shape), (0,), coefficient) if len(sets) == 1 else None
    if view == shape and len(axes) == 2:
        return member_of_stack(same_parts)
    if axes == GROUPED_INPUTS:
        every = sets == [(i,) for i in range(view[0] * view[2])]
        return Member(parameter, view, axes, coefficient) if every else None
    pattern = regular_pattern(sets)
    if pattern is None:
        return None
    axis = axes[0]  # the outputs of a grouped convolution, axes (0, 1) of its view, are axis 0 of the parameter
    narrow = range_of(pattern.start, len(sets) * pattern.before * pattern.after, axis, shape)
    if pattern.outer == 1:
        sizes, unit_axes = pattern[2:], (axis + 1,)
    else:
        sizes, unit_axes = pattern[1:], (axis, axis + 2)
    return Member(parameter, (*shape[:axis], *sizes, *shape[axis + 1 :]), unit_axes, coefficient, narrow)


def _members_of_one(unit: list[Part], shapes: Shapes) -> list[Member]:
    """Members of one unit, each a contiguous piece of its parameter."""
    members = []
    for (parameter, view, axes), coefficient, indices in unit:
        shape = shapes[parameter]
        if not axes:
            members.append(Member(parameter, (1, *shape), (0,), coefficient))
        elif view == shape and len(axes) == 2:
            members += members_of_one_in_stack(Part(Place(parameter, view, axes), coefficient, indices))
        elif axes == GROUPED_INPUTS:
            for index in indices:
                group, channel = divmod(index, view[2])
                narrow = ((0, group * view[1], view[1]), (1, channel, 1))
                members.append(Member(parameter, (1, view[1], 1, *shape[2:]), (0,), coefficient, narrow))
        else:
            axis = axes[0]
            for start, length in runs(indices):
                piece = (1, *shape[:axis], length, *shape[axis + 1 :])
                members.append(Member(parameter, piece, (0,), coefficient, range_of(start, length, axis, shape)))
    return members


def named_block(kind: Kind, members: Sequence[Member]) -> Block:
    """A block named after what it moves."""
    return Block(kind, _name(members), tuple(members), REASONS[kind])


def _name(members: Sequence[Member]) -> str:
    moved = list(dict.fromkeys(m.entries for m in members if m.coefficient > 0))
    undone = list(dict.fromkeys(m.entries for m in members if m.coefficient < 0))
    short = [", ".join(names) if len(names) < 4 else f"{names[0]}, … {names[-1]}" for names in (moved, undone)]
    return f"{short[0]} → {short[1]}" if undone else short[0]
