"""How each operation passes on a constant that is added to its inputs: one function for each family of operations.

A rule is given what is known, a call and the labels of the constants in its inputs; it returns those of each output,
or None if no constant may reach the operation.
"""

from collections.abc import Callable
from math import isfinite, prod

import torch

from nld.finder.absorption.constants import Constants
from nld.finder.absorption.steps import Dense, Diagonal
from nld.finder.aten_families import CONTRACTIONS, COPIES, MOVES, NORMS
from nld.finder.call_axes import normalization, reduced_axes
from nld.finder.index_tensors import compress, core, distinct, first_along, moved, reduced, varies
from nld.finder.linear_system import ZERO
from nld.finder.tape import Call, Ref
from nld.finder.windows import Window

Labels = dict[int, torch.Tensor]


def _copy(known: Constants, call: Call, labels: Labels):
    return [next(iter(labels.values()))]


def _move(known: Constants, call: Call, labels: Labels):
    return moved(call, labels, ZERO)


def added(known: Constants, parts: list[torch.Tensor], factors: list[float], shape: tuple[int, ...]) -> torch.Tensor:
    """The labels of a sum."""
    parts = [part.expand(shape) for part in parts]
    rows, inverse = distinct(*parts)
    known.equations.touched.update(*rows.tolist())
    names = known.equations.sums(rows.tolist(), factors)
    return compress(torch.tensor(names)[inverse].expand(shape))


def _sum(known: Constants, call: Call, labels: Labels):
    sign = -1.0 if call.name == "sub" else 1.0
    factors = {"self": 1.0, "other": sign * float(call.arguments.get("alpha") or 1)}
    chosen = [
        (labels[ref.index], factor)
        for name, factor in factors.items()
        if isinstance(ref := call.arguments[name], Ref) and ref.index in labels
    ]
    return [added(known, [part for part, _ in chosen], [f for _, f in chosen], call.outputs[0].shape)]


def _product(known: Constants, call: Call, labels: Labels):
    left, right = call.arguments["self"], call.arguments["other"]
    shape = call.outputs[0].shape
    if not isinstance(right, Ref):
        if (
            call.arguments.get("rounding_mode")
            or not isinstance(right, (int, float))
            or not isfinite(right)
            or not right
        ):
            return None
        return [added(known, [labels[left.index]], [right if call.name == "mul" else 1 / right], shape)]
    if call.name == "div" or (left.index in labels) == (right.index in labels):
        return None
    source, gain = (left, right) if left.index in labels else (right, left)
    window = known.windows.get(gain.index)
    if window is None or len([n for n in gain.shape if n > 1]) != 1:
        return None
    entries = (window.offset + sum_of_strides(window)).expand(shape)
    rows, inverse = distinct(labels[source.index].expand(shape), entries)
    outputs = known.passed(Diagonal(window.parameter, rows[:, 1]), rows[:, 0].tolist(), len(rows))
    return [compress(torch.tensor(outputs)[inverse].expand(shape))]


def sum_of_strides(window: Window) -> torch.Tensor:
    """The numbers of the entries of a window in its parameter, from its first one."""
    numbers = torch.zeros((), dtype=torch.long)
    for size, stride in zip(window.size, window.stride, strict=True):
        numbers = numbers.unsqueeze(-1) + stride * torch.arange(size)
    return numbers


def _matrix(known: Constants, call: Call, labels: Labels):
    *extra, left, right = [v for v in call.arguments.values() if isinstance(v, Ref)]
    shape = call.outputs[0].shape
    weight = known.windows.get(right.index)
    if weight is not None and len(weight.size) == 2 and left.index not in known.windows:
        result = _through(known, weight, left, labels.get(left.index), shape)
    else:
        result = _averaged(known, left, right, labels, shape)
    if result is None:
        return None
    if not extra:
        return [result]
    if not all(call.arguments.get(name, 1) == 1 for name in ("alpha", "beta")):
        return None
    start = labels.get(extra[0].index, torch.tensor(ZERO))
    return [added(known, [start, result], [1.0, 1.0], shape)]


def _through(known: Constants, weight: Window, source: Ref, labels: torch.Tensor | None, shape: tuple[int, ...]):
    """A weight (inputs, outputs) applied to activations (places, inputs) that have a constant in common."""
    transposed = Window(weight.parameter, weight.size[::-1], weight.stride[::-1], weight.offset)
    parts = [torch.tensor(known.row_shifts(transposed, source)).expand(shape)]
    if labels is not None:
        labels = compress(labels)
        if varies(labels, 0):
            return None
        inputs = labels[0].tolist()
        parts.append(torch.tensor(known.passed(Dense(transposed), inputs, shape[-1])).expand(shape))
    parts = [part for part in parts if bool(core(part).any())]
    return added(known, parts, [1.0] * len(parts), shape) if parts else torch.tensor(ZERO).expand(shape)


def _averaged(known: Constants, left: Ref, right: Ref, labels: Labels, shape: tuple[int, ...]):
    """Values averaged with weights that sum to one: what they have in common stays."""
    batch = len(shape) - 2
    for weights, values, summed, axis in ((left, right, batch + 1, batch), (right, left, batch, batch + 1)):
        if values.index not in labels or weights.index in labels or weights.index not in known.normalized:
            continue
        place, constant = known.normalized[weights.index], compress(labels[values.index])
        others = [a for a in range(place.ndim) if a != summed]
        if varies(constant, axis) or varies(place, *others) or not varies(place, summed):
            return None
        return compress(constant.select(axis, 0).unsqueeze(axis).expand(shape))
    return None if labels else torch.tensor(ZERO).expand(shape)


def _mean(known: Constants, call: Call, labels: Labels):
    (source,) = labels.values()
    source = compress(source)
    return None if varies(source, *reduced_axes(call)) else [reduced(source, call)]


def _picked(known: Constants, call: Call, labels: Labels):
    """Places picked by an index, of activations that have a constant in common."""
    picked = labels.get(call.arguments["self"].index)
    if picked is None:
        return None
    source, shape = compress(picked), call.outputs[0].shape
    if varies(source, *range(source.ndim - 1)):
        return None
    same = shape[-1:] == tuple(source.shape[-1:])
    return [first_along(source, range(source.ndim - 1)).reshape(-1).expand(shape)] if same else None


def _convolution(known: Constants, call: Call, labels: Labels):
    """A constant in all places stays one, if there is no padding; the bias adds its own."""
    source, weight, bias = call.arguments["input"], call.arguments["weight"], call.arguments.get("bias")
    shape, window = call.outputs[0].shape, known.windows.get(weight.index)
    place = (1, -1, *[1] * (len(shape) - 2))
    parts = []
    if source.index in labels:
        constant = compress(labels[source.index])
        plain = call.arguments["groups"] == 1 and not call.arguments["transposed"]
        if window is None or not plain or any(call.arguments["padding"]) or varies(constant, 0, *range(2, len(shape))):
            return None
        flat = Window(window.parameter, (window.size[0], prod(window.size[1:])), (window.stride[0], 1), window.offset)
        channels = first_along(constant, [0, *range(2, len(shape))]).reshape(-1)
        inputs = channels.repeat_interleave(flat.size[1] // len(channels)).tolist()
        parts.append(torch.tensor(known.passed(Dense(flat), inputs, flat.size[0])).reshape(place))
    if isinstance(bias, Ref) and bias.index in labels:
        parts.append(labels[bias.index].reshape(place))
    if weight.index in labels or not parts:
        return None
    return [added(known, parts, [1.0] * len(parts), shape)]


def _norm(known: Constants, call: Call, labels: Labels):
    """The bias comes out; a batch normalization forgets what all places have in common."""
    source, weight, bias = call.arguments["input"], call.arguments.get("weight"), call.arguments.get("bias")
    _, axes, place = normalization(call)
    if isinstance(weight, Ref) and weight.index in labels:
        known.vanish(labels[weight.index])
    if source.index in labels:
        constant = compress(labels[source.index])
        forgets = "batch_norm" in call.name and axes is not None and not varies(constant, *axes)
        if not forgets:
            known.vanish(constant)
    offset = labels.get(bias.index) if isinstance(bias, Ref) else None
    if offset is None:
        return [torch.tensor(ZERO).expand(source.shape)]
    return [offset.reshape(place).expand(source.shape)]


RULES: dict[str, Callable] = {
    **dict.fromkeys(COPIES, _copy),
    **dict.fromkeys(MOVES, _move),
    **dict.fromkeys(CONTRACTIONS, _matrix),
    **dict.fromkeys(("add", "sub"), _sum),
    **dict.fromkeys(("mul", "div"), _product),
    **dict.fromkeys(("index", "index_select"), _picked),
    **dict.fromkeys(NORMS, _norm),
    "mean": _mean,
    "convolution": _convolution,
}
