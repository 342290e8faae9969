"""Stacks of matrices of which an index picks one for each row of the data, as the matrices of experts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from nld.finder.directions import Part
from nld.finder.tape import Call, Ref, Tape


def picking(call: Call) -> Ref | None:
    """The index by which a call picks along the first axis alone, a list of whole numbers; None if it does not."""
    if call.name == "index_select":
        index = call.arguments["index"] if call.arguments["dim"] == 0 else None
    else:
        index, *others = call.arguments["indices"]
        index = None if any(other is not None for other in others) else index
    if index is None or index.value is None or index.value.ndim != 1 or str(index.value.dtype) == "torch.bool":
        return None
    return index


def picked_stacks(tape: Tape) -> tuple[dict[str, int], set[str]]:
    """Parameters of three axes of which an index picks matrices: with the number of the one tensor that picks all of
    them, and those that several pick, whose matrices are not told apart. Entries picked along several axes, as of a
    table of positions, are no matrices."""
    names = {ref.index: name for name, ref in tape.parameters.items() if len(ref.shape) == 3 and min(ref.shape) > 1}
    indices: dict[str, set[int | None]] = defaultdict(set)
    for call in tape.calls:
        if call.name in ("index", "index_select") and call.arguments["self"].index in names:
            index = picking(call)
            indices[names[call.arguments["self"].index]].add(None if index is None else index.index)
    one = {name: number for name, (number, *more) in indices.items() if not more and number is not None}
    return one, {name for name, numbers in indices.items() if name not in one and numbers != {None}}


def meeting(units: Iterable[Sequence[Part]], picked: Mapping[str, int]) -> set[str]:
    """Stacks picked by different tensors that some unit moves together, and not alike in all of their matrices.

    Which matrices met was chosen by the example inputs: others may pair any with any. Matrices that one tensor picks
    are of one place for all inputs.
    """
    together: set[str] = set()
    for unit in units:
        parts = [part for part in unit if part.place.parameter in picked]
        names = {part.place.parameter for part in parts}
        if len({picked[name] for name in names}) > 1 and not all(_is_alike(part) for part in parts):
            together |= names
    return together


def _is_alike(part: Part) -> bool:
    """Whether the same lines of all matrices of a stack are moved."""
    shape, axes = part.place.shape, part.place.axes
    if axes[:1] != (0,):
        return True
    lines: dict[int, set[int]] = defaultdict(set)
    for index in part.indices:
        layer, line = divmod(index, shape[axes[1]]) if len(axes) == 2 else (index, 0)
        lines[layer].add(line)
    return len(lines) == shape[0] and len(set(map(frozenset, lines.values()))) == 1
