"""How each operation passes on coordinates: one function for each family of operations.

A rule is given what is known, a call and the slots of its inputs: for each axis of an activation along which
coordinates lie, their labels at every entry. It joins, separates and breaks coordinates as the operation treats them,
and returns the slots of each output, or None if the operation is not linear in any coordinate: then all are broken.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from nld.finder.aten_families import CONTRACTIONS, COPIES, MOVES, POOLS
from nld.finder.index_tensors import compress, moved, reduced, reduced_axes, varies
from nld.finder.matrix.coordinate_classes import NONE, Coordinates
from nld.finder.propagation import Inputs, unchanged
from nld.finder.tape import Call, Ref

Slots = list[torch.Tensor]


@dataclass
class Known:
    """What is known so far: the coordinates, and what each entrywise product of activations pairs if it is summed."""

    coordinates: Coordinates = field(default_factory=Coordinates)
    products: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = field(default_factory=dict)


def _move(known: Known, call: Call, slots: Inputs):
    if len(call.inputs) == 1:
        (source,) = slots
        parts = [moved(call, {source: labels}, NONE) for labels in slots[source]]
        return [list(labels) for labels in zip(*parts, strict=True)]
    if any(len(source) > 1 for source in slots.values()):
        return None
    return [moved(call, {index: source[0] for index, source in slots.items() if source}, NONE)]


def _sum(known: Known, call: Call, slots: Inputs):
    left, right = call.arguments["self"], call.arguments["other"]
    if not isinstance(right, Ref):
        return None
    return [_added(known.coordinates, slots[left.index], slots[right.index], call.outputs[0].shape)]


def _added(coordinates: Coordinates, left: Slots, right: Slots, shape: tuple[int, ...]) -> Slots:
    """Two activations added up turn alike along the one axis that both have; all other coordinates are broken."""
    left, right = ([labels.expand(shape) for labels in slots] for slots in (left, right))
    pairs = [(a, b) for a in left for b in right if _axes(a) == _axes(b)]
    shared = pairs[0] if len(pairs) == 1 else ()
    coordinates.break_(labels for labels in (*left, *right) if all(labels is not other for other in shared))
    if not shared:
        return []
    coordinates.join(*shared, 1)
    coordinates.turn(*shared)
    return [shared[0]]


def _product(known: Known, call: Call, slots: Inputs):
    left, right = call.arguments["self"], call.arguments["other"]
    if not isinstance(right, Ref):
        return unchanged(known, call, slots)
    if left.index != right.index and not (slots[left.index] and slots[right.index]):
        source, factor = (left, right) if slots[left.index] else (right, left)
        return None if source is right and call.name == "div" else [_scaled(known, call, slots[source.index], factor)]
    if call.name == "div" or len(slots[left.index]) != 1 or len(slots[right.index]) != 1:
        return None
    pair = [slots[ref.index][0].expand(call.outputs[0].shape) for ref in (left, right)]
    known.products[call.outputs[0].index] = [(pair[0], pair[1])]
    return [pair]


def _scaled(known: Known, call: Call, slots: Slots, factor: Ref) -> Slots:
    """A factor without coordinates separates those that it multiplies differently."""
    output = call.outputs[0]
    offset = len(output.shape) - len(factor.shape)
    axes = [axis + offset for axis, varying in enumerate(factor.varies) if varying]
    result = [labels.expand(output.shape) for labels in slots]
    for labels in result:
        known.coordinates.separate(output.index, labels, axes)
    return [compress(labels) for labels in result]


def _square(known: Known, call: Call, slots: Inputs):
    if call.name == "pow" and call.arguments["exponent"] != 2:
        return None
    source = slots[call.arguments["self"].index]
    known.products[call.outputs[0].index] = [(labels, labels) for labels in source]
    return [source]


def _complex(known: Known, call: Call, slots: Inputs):
    """Real and imaginary parts turn alike, and may be a pair that turns."""
    (source,) = slots.values()
    for labels in source:
        known.coordinates.join(labels[..., 0], labels[..., 1], 1)
        known.coordinates.turn(labels[..., 0], labels[..., 1])
    return [[labels[..., 0] for labels in source]]


def _real(known: Known, call: Call, slots: Inputs):
    (source,) = slots.values()
    return [[labels.unsqueeze(-1).expand(call.outputs[0].shape) for labels in source]]


def _embedding(known: Known, call: Call, slots: Inputs):
    source = slots[call.arguments["weight"].index]
    known.coordinates.break_(labels for labels in source if varies(labels, 0))
    return [[labels[0].expand(call.outputs[0].shape) for labels in source if not varies(labels, 0)]]


def _matrix(known: Known, call: Call, slots: Inputs):
    """What is summed over turns inversely on the two sides; the other coordinates pass."""
    *extra, left, right = [v for v in call.arguments.values() if isinstance(v, Ref)]
    output = call.outputs[0]
    batch = len(output.shape) - 2
    inner, outer = [], []
    for ref, axis in ((left, batch + 1), (right, batch)):
        inner.append([labels for labels in slots[ref.index] if varies(labels, axis)])
        for labels in (labels for labels in slots[ref.index] if not varies(labels, axis)):
            known.coordinates.separate((output.index, axis), labels, range(batch))
            outer.append(labels.select(axis, 0).unsqueeze(axis).expand(output.shape))
    _contracted(known.coordinates, output.index, inner[0], [labels.mT for labels in inner[1]], batch)
    if call.name in ("addmm", "baddbmm"):
        return [_added(known.coordinates, outer, slots[extra[0].index], output.shape)]
    return [outer]


def _contracted(coordinates: Coordinates, event: int, lefts: Slots, rights: Slots, batch: int) -> None:
    """Join the coordinates of two sides, each (*batch, entries, summed over), if nothing else varies with them."""
    one_each = len(lefts) == len(rights) == 1
    if not one_each or any(varies(labels, batch) for labels in (*lefts, *rights)):
        coordinates.break_([*lefts, *rights])
        return
    left, right = lefts[0][..., 0, :], rights[0][..., 0, :]
    coordinates.join(left, right, -1)
    for labels in (left, right):
        coordinates.separate(event, labels, range(batch))


def _convolution(known: Known, call: Call, slots: Inputs):
    source, weight, bias = call.arguments["input"], call.arguments["weight"], call.arguments.get("bias")
    if call.arguments["groups"] != 1:
        return None
    shape = call.outputs[0].shape
    kernel = [0] * (len(shape) - 2)
    first, second = (1, 0) if call.arguments["transposed"] else (0, 1)
    inner, weights = slots[source.index], slots[weight.index]
    columns = [labels for labels in weights if varies(labels, second)]
    one_each = len(inner) == len(columns) == 1
    if one_each and not any(varies(inner[0], axis) for axis in range(2, len(shape))):
        channels = columns[0].select(first, 0)[(..., *kernel)]
        known.coordinates.join(inner[0][(slice(None), slice(None), *kernel)], channels, -1)
    else:
        known.coordinates.break_([*inner, *columns])
    place = (1, -1, *[1] * len(kernel))
    rows = [labels for labels in weights if varies(labels, first)]
    result = [labels.select(second, 0)[(..., *kernel)].reshape(place).expand(shape) for labels in rows]
    if isinstance(bias, Ref):
        offset = slots[bias.index]
        if len(offset) == 1 and rows:
            known.coordinates.join(result[0], offset[0].reshape(place).expand(shape), 1)
        else:
            known.coordinates.break_([*offset, *result])
    return [result]


def _reduce(known: Known, call: Call, slots: Inputs):
    source, axes = call.arguments["self"], reduced_axes(call)
    pairs = known.products.get(source.index)
    if call.name == "linalg_vector_norm" and call.arguments.get("ord", 2) == 2:
        pairs = [(labels, labels) for labels in slots[source.index]]
    if pairs is not None:
        _paired(known.coordinates, call.outputs[0].index, pairs, axes)
        return []
    if call.name == "linalg_vector_norm" or any(varies(labels, a) for labels in slots[source.index] for a in axes):
        return None
    return [[reduced(labels, call) for labels in slots[source.index]]]


def _paired(
    coordinates: Coordinates, event: int, pairs: Sequence[tuple[torch.Tensor, torch.Tensor]], axes: list[int]
) -> None:
    """A sum of products over these axes pairs the coordinates that lie along them; it breaks all others."""
    summed = [pair for pair in pairs if all(any(varies(labels, axis) for axis in axes) for labels in pair)]
    for left, right in pairs:
        if len(summed) > 1 or all(left is not pair[0] for pair in summed) or _axes(left) != _axes(right):
            coordinates.break_([left, right])
            continue
        coordinates.join(left, right, -1)
        for labels in (left, right):
            coordinates.separate(event, labels, [axis for axis in range(labels.ndim) if axis not in axes])


def _pool(known: Known, call: Call, slots: Inputs):
    """Averages, interpolations and zeros around: linear, over axes along which no coordinates lie."""
    padded = call.name == "constant_pad_nd" and call.arguments.get("value", 0) == 0
    if not (padded or "avg" in call.name or "upsample" in call.name):
        return None
    (source,) = slots.values()
    shape = call.outputs[0].shape
    axes = range(len(shape) - (POOLS[call.name] or len(call.arguments["pad"]) // 2), len(shape))
    if any(varies(labels, axis) for labels in source for axis in axes):
        return None
    inner = (..., *[slice(0, 1)] * len(axes))
    return [[labels[inner].expand(shape) for labels in source]]


def _axes(labels: torch.Tensor) -> list[int]:
    return [axis for axis in range(labels.ndim) if varies(labels, axis)]


RULES: dict[str, Callable] = {
    **dict.fromkeys((*COPIES, "neg"), unchanged),
    **dict.fromkeys(MOVES, _move),
    **dict.fromkeys(CONTRACTIONS, _matrix),
    **dict.fromkeys(POOLS, _pool),
    **dict.fromkeys(("add", "sub"), _sum),
    **dict.fromkeys(("mul", "div"), _product),
    **dict.fromkeys(("pow", "square"), _square),
    **dict.fromkeys(("mean", "sum", "linalg_vector_norm"), _reduce),
    "convolution": _convolution,
    "embedding": _embedding,
    "view_as_complex": _complex,
    "view_as_real": _real,
}


def rule_of(call: Call) -> Callable | None:
    """The rule that follows a call, None if there is none: then no coordinate that reaches it may be mixed."""
    return RULES.get(call.name)
