"""How each operation passes on coordinates: one function for each family of operations.

A rule is given what is known, a call and the slots of its inputs: for each axis of an activation along which
coordinates lie, their labels at every entry. It joins, separates and breaks coordinates as the operation treats them,
and returns the slots of each output, or None if the operation is not linear in any coordinate: then all are broken.
"""

from collections.abc import Callable, Sequence

import torch

from nld.finder.aten_families import CONTRACTIONS, COPIES, KEEPS_MEAN, MOVES, POOLS
from nld.finder.call_axes import pooled_axes, reduced_axes
from nld.finder.index_tensors import compress, core, first_along, moved, reduced, varies
from nld.finder.matrix.coordinate_classes import NONE, Coordinates
from nld.finder.propagation import Inputs, unchanged
from nld.finder.tape import Call, Ref

Slots = list[torch.Tensor]


def _move(known: Coordinates, call: Call, slots: Inputs):
    if len(call.inputs) == 1:
        (source,) = slots
        parts = [moved(call, {source: labels}, NONE) for labels in slots[source]]
        return [list(labels) for labels in zip(*parts, strict=True)]
    if any(len(source) > 1 for source in slots.values()):
        return None
    return [moved(call, {index: source[0] for index, source in slots.items() if source}, NONE)]


def _sum(known: Coordinates, call: Call, slots: Inputs):
    left, right = call.arguments["self"], call.arguments["other"]
    if not isinstance(right, Ref):
        return None
    return [_added(known, slots[left.index], slots[right.index], call.outputs[0].shape)]


def _added(known: Coordinates, left: Slots, right: Slots, shape: tuple[int, ...]) -> Slots:
    """Two activations added up turn alike along the one axis that both have; all other coordinates are broken."""
    left, right = ([labels.expand(shape) for labels in slots] for slots in (left, right))
    pairs = [(a, b) for a in left for b in right if _axes(a) == _axes(b)]
    if known.tables and not pairs:  # a table of vectors, such as positions, and one vector or another table
        pairs = [(a, b) for a in left for b in right if {*_axes(a)} > {*_axes(b)} or {*_axes(a)} < {*_axes(b)}]
        pairs = [pair for pair in pairs if all(varies(labels, len(shape) - 1) for labels in pair)]
    if known.tables:  # a slice of a stack of weights has one coordinate along the stack, for all its entries
        pairs = [pair for pair in pairs if _axes(pair[0])]
    shared = pairs[0] if len(pairs) == 1 else ()
    known.break_(labels for labels in (*left, *right) if all(labels is not other for other in shared))
    if not shared:
        return []
    known.join(*shared, 1)
    known.turn(*shared)
    return [min(shared, key=lambda labels: len(_axes(labels)))]


def _product(known: Coordinates, call: Call, slots: Inputs):
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


def _scaled(known: Coordinates, call: Call, slots: Slots, factor: Ref) -> Slots:
    """A factor without coordinates separates those that it multiplies differently."""
    output = call.outputs[0]
    offset = len(output.shape) - len(factor.shape)
    axes = [axis + offset for axis, varying in enumerate(factor.varies) if varying]
    result = [labels.expand(output.shape) for labels in slots]
    for labels in result:
        known.separate(output.index, labels, axes)
    return [compress(labels) for labels in result]


def _square(known: Coordinates, call: Call, slots: Inputs):
    if call.name == "pow" and call.arguments["exponent"] != 2:
        return None
    source = slots[call.arguments["self"].index]
    known.products[call.outputs[0].index] = [(labels, labels) for labels in source]
    return [source]


def _complex(known: Coordinates, call: Call, slots: Inputs):
    """Real and imaginary parts turn alike, and may be a pair that turns."""
    (source,) = slots.values()
    for labels in source:
        known.join(labels[..., 0], labels[..., 1], 1)
        known.turn(labels[..., 0], labels[..., 1])
    return [[labels[..., 0] for labels in source]]


def _real(known: Coordinates, call: Call, slots: Inputs):
    (source,) = slots.values()
    return [[labels.unsqueeze(-1).expand(call.outputs[0].shape) for labels in source]]


def _embedding(known: Coordinates, call: Call, slots: Inputs):
    source = slots[call.arguments["weight"].index]
    known.break_(labels for labels in source if varies(labels, 0))
    return [[labels[0].expand(call.outputs[0].shape) for labels in source if not varies(labels, 0)]]


def _matrix(known: Coordinates, call: Call, slots: Inputs):
    """What is summed over turns inversely on the two sides; the other coordinates pass."""
    *extra, left, right = [v for v in call.arguments.values() if isinstance(v, Ref)]
    output = call.outputs[0]
    batch = len(output.shape) - 2
    inner, outer = [], []
    for ref, axis in ((left, batch + 1), (right, batch)):
        inner.append([labels for labels in slots[ref.index] if varies(labels, axis)])
        for labels in (labels for labels in slots[ref.index] if not varies(labels, axis)):
            known.separate((output.index, axis), labels, range(batch))
            outer.append(labels.select(axis, 0).unsqueeze(axis).expand(output.shape))
    _contracted(known, output.index, inner[0], [labels.mT for labels in inner[1]], batch)
    if call.name in ("addmm", "baddbmm"):
        return [_added(known, outer, slots[extra[0].index], output.shape)]
    return [outer]


def _contracted(known: Coordinates, event: int, lefts: Slots, rights: Slots, batch: int) -> None:
    """Join the coordinates of two sides, each (*batch, entries, summed over), if nothing else varies with them."""
    one_each = len(lefts) == len(rights) == 1
    if not one_each or any(varies(labels, batch) for labels in (*lefts, *rights)):
        known.break_([*lefts, *rights])
        return
    left, right = lefts[0][..., 0, :], rights[0][..., 0, :]
    known.join(left, right, -1)
    for labels in (left, right):
        known.separate(event, labels, range(batch))


def _convolution(known: Coordinates, call: Call, slots: Inputs):
    source, weight, bias = call.arguments["input"], call.arguments["weight"], call.arguments.get("bias")
    if call.arguments["groups"] != 1:
        return None
    shape = call.outputs[0].shape
    kernel = [0] * (len(shape) - 2)
    first, second = (1, 0) if call.arguments["transposed"] else (0, 1)
    inner, weights = slots[source.index], slots[weight.index]
    columns = [labels for labels in weights if varies(labels, second)]
    one_each = len(inner) == len(columns) == 1
    if one_each and not varies(inner[0], *range(2, len(shape))):
        channels = columns[0].select(first, 0)[(..., *kernel)]
        known.join(inner[0][(slice(None), slice(None), *kernel)], channels, -1)
    else:
        known.break_([*inner, *columns])
    place = (1, -1, *[1] * len(kernel))
    rows = [labels for labels in weights if varies(labels, first)]
    result = [labels.select(second, 0)[(..., *kernel)].reshape(place).expand(shape) for labels in rows]
    if isinstance(bias, Ref):
        offset = slots[bias.index]
        if len(offset) == 1 and rows:
            known.join(result[0], offset[0].reshape(place).expand(shape), 1)
        else:
            known.break_([*offset, *result])
    return [result]


def _reduce(known: Coordinates, call: Call, slots: Inputs):
    source, axes = call.arguments["self"], reduced_axes(call)
    pairs = known.products.get(source.index)
    if call.name == "linalg_vector_norm" and call.arguments.get("ord", 2) == 2:
        pairs = [(labels, labels) for labels in slots[source.index]]
    if pairs is not None:
        _paired(known, call.outputs[0].index, pairs, axes)
        return []
    if call.name == "linalg_vector_norm" or any(varies(labels, *axes) for labels in slots[source.index]):
        return None
    return [[reduced(labels, call) for labels in slots[source.index]]]


def _paired(
    known: Coordinates, event: int, pairs: Sequence[tuple[torch.Tensor, torch.Tensor]], axes: list[int]
) -> None:
    """A sum of products over these axes pairs the coordinates that lie along them; it breaks all others."""
    summed = [pair for pair in pairs if all(varies(labels, *axes) for labels in pair)]
    for left, right in pairs:
        if len(summed) > 1 or all(left is not pair[0] for pair in summed) or _axes(left) != _axes(right):
            known.break_([left, right])
            continue
        known.join(left, right, -1)
        for labels in (left, right):
            known.separate(event, labels, [axis for axis in range(labels.ndim) if axis not in axes])


def _picked(known: Coordinates, call: Call, slots: Inputs):
    """Places picked by an index; the coordinates lie along the last axis, which stays."""
    shape, source = call.outputs[0].shape, slots[call.arguments["self"].index]
    if any(_axes(labels) != [labels.ndim - 1] or labels.shape[-1] != shape[-1] for labels in source):
        return None
    return [[first_along(labels, range(labels.ndim - 1)).reshape(-1).expand(shape) for labels in source]]


def _scattered(known: Coordinates, call: Call, slots: Inputs):
    """Places added into those that an index names, of another tensor or of zeros."""
    shape, axis = call.outputs[0].shape, call.arguments["dim"]
    start, source = slots[call.arguments["self"].index], slots[call.arguments["source"].index]
    if any(varies(labels, axis % labels.ndim) for labels in source):
        return None
    added = [labels.narrow(axis, 0, 1).expand(shape) for labels in source]
    return [_added(known, start, added, shape) if start and added else start or added]


def _centred(known: Coordinates, call: Call, slots: Inputs):
    """A layer normalization without gain: a length that is divided by, and a mean that is subtracted."""
    (source,) = slots.values()
    last = [len(call.outputs[0].shape) - 1]
    _paired(known, call.outputs[0].index, [(labels, labels) for labels in source], last)
    result = [labels for labels in source if varies(labels, *last)]
    for labels in result:
        known.centred.update(known.owner[c][:2] for c in core(labels).unique().tolist() if c)
    return [result]


def _pool(known: Coordinates, call: Call, slots: Inputs):
    """Averages, interpolations and zeros around: linear, over axes along which no coordinates lie."""
    padded = call.name == "constant_pad_nd" and call.arguments.get("value", 0) == 0
    if not (padded or "avg" in call.name or "upsample" in call.name):
        return None
    (source,) = slots.values()
    axes = pooled_axes(call)
    if any(varies(labels, *axes) for labels in source):
        return None
    return [[first_along(labels, axes).expand(call.outputs[0].shape) for labels in source]]


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
    KEEPS_MEAN: _centred,
    **dict.fromkeys(("index", "index_select"), _picked),
    "index_add": _scattered,
    "convolution": _convolution,
    "embedding": _embedding,
    "view_as_complex": _complex,
    "view_as_real": _real,
}
