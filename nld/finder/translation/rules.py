"""How each operation passes on shifts: one function for each family of operations.

A rule is given the interpreter, a call and the answers of its inputs; it demands that unknowns be equal or zero where
the operation needs that, and returns the answers of each output, or None if no answer may reach the operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from nld.finder.aten_families import CONTRACTIONS, MEANS, MOVES, NORMS, POOLS, SOFTMAX, SPREADS, hides
from nld.finder.index_tensors import compress, moved, varies
from nld.finder.linear_system import ZERO
from nld.finder.tape import Call, Ref
from nld.finder.translation.responses import Answer

if TYPE_CHECKING:
    from nld.finder.translation.shifts import Shifts


def _move(shifts: Shifts, call: Call, answers: dict[int, list[Answer]]):
    results: list[list[Answer]] = [[] for _ in call.outputs]
    joined: dict[float, list[tuple[int, Answer]]] = {}
    for index, found in answers.items():
        for answer in found:
            if len(answers) > 1 and answer.even:  # shifts of the pieces that are joined may be one shift
                joined.setdefault(answer.coefficient, []).append((index, answer))
                continue
            unknowns = moved(call, {index: answer.unknowns}, ZERO)
            labels = moved(call, {index: answer.labels}, 0)
            for position, pair in enumerate(zip(unknowns, labels, strict=True)):
                results[position].append(Answer(*pair, answer.coefficient))
    for coefficient, found in joined.items():
        unknowns = moved(call, {index: answer.unknowns for index, answer in found}, ZERO)[0]
        results[0].append(Answer(unknowns, torch.tensor(0).expand(unknowns.shape), coefficient))
    return results


def _embedding(shifts: Shifts, call: Call, answers: dict[int, list[Answer]]):
    shape = call.outputs[0].shape
    result = []
    for answer in answers[call.arguments["weight"].index]:
        if varies(answer.unknowns, 0):
            shifts.vanish([answer])
            continue
        labels = answer.labels[0].expand(shape)
        if varies(answer.labels, 0):
            labels = shifts.unrelated(shape, [True] * (len(shape) - 1) + [varies(answer.labels, 1)])
        result.append(Answer(answer.unknowns[0].expand(shape), labels, answer.coefficient))
    return [result]


def _index(shifts: Shifts, call: Call, answers: dict[int, list[Answer]]):
    source = call.arguments["self"]
    indices = [None if i is None else i.value for i in call.arguments["indices"]]
    axes = [axis for axis, index in enumerate(indices) if index is not None]
    result = []
    for answer in answers.get(source.index, []):
        if any(varies(answer.unknowns, axis) for axis in axes):
            shifts.vanish([answer])
        else:
            result.append(answer.map(lambda t: compress(call.function(t, indices))))
    return [result]


def _sum(shifts: Shifts, call: Call, answers: dict[int, list[Answer]]):
    left, right = call.arguments["self"], call.arguments["other"]
    alpha = call.arguments.get("alpha", 1)
    sign = (1.0, float(alpha)) if call.name == "add" else (1.0, -float(alpha))
    if call.name == "rsub":
        sign = (-float(alpha), 1.0)
    terms = []
    for ref, factor in ((left, sign[0]), (right, sign[1])):
        if isinstance(ref, Ref):
            terms += [Answer(a.unknowns, a.labels, a.coefficient * factor) for a in answers[ref.index]]
    return [shifts.merged(terms, call.outputs[0].shape)]


def _product(shifts: Shifts, call: Call, answers: dict[int, list[Answer]]):
    left, right = call.arguments["self"], call.arguments.get("other")
    if call.name == "neg":
        right = -1.0
    if call.arguments.get("rounding_mode") is not None:
        return None
    shape = call.outputs[0].shape
    if not isinstance(right, Ref):
        factor = 1 / float(right or 1) if call.name == "div" else float(right or 0)
        return [[Answer(a.unknowns, a.labels, a.coefficient * factor) for a in answers[left.index]]]
    if answers[right.index] and (answers[left.index] or call.name == "div"):
        return None
    source, other = (right, left) if answers[right.index] else (left, right)
    other_varies = [False] * (len(shape) - len(other.shape)) + list(other.varies)
    result = []
    for answer in (a.expand(shape) for a in answers[source.index]):
        along = [varies(answer.labels, axis) or other_varies[axis] for axis in range(len(shape))]
        result.append(Answer(answer.unknowns, shifts.unrelated(shape, along), answer.coefficient))
    return [result]


def _matrix(shifts: Shifts, call: Call, answers: dict[int, list[Answer]]):
    left, right = [v for v in call.arguments.values() if isinstance(v, Ref)][-2:]
    shape = call.outputs[0].shape
    batch = len(shape) - 2
    result = []
    for ref, is_left in ((left, True), (right, False)):
        inner, outer, new = (batch + 1, batch, batch + 1) if is_left else (batch, batch + 1, batch)
        other = right if is_left else left
        for answer in answers[ref.index]:
            if varies(answer.unknowns, inner) and not varies(answer.labels, inner) and other.index in shifts.centred:
                shifts.forget([answer], [inner])  # the other side sums to zero over this axis
                continue
            if varies(answer.labels, inner) and varies(answer.unknowns, inner):
                shifts.vanish([answer])
                continue
            unknowns = shifts.bundle(answer.unknowns, inner).unsqueeze(new).expand(shape)
            along = [True] * batch + [False, False]
            along[outer] = varies(answer.labels, outer)
            along[new] = other.shape[new] > 1
            result.append(Answer(unknowns, shifts.unrelated(shape, along), answer.coefficient))
    extra = call.arguments.get("self") if call.name in ("addmm", "baddbmm") else None
    if isinstance(extra, Ref):
        result += [answer.expand(shape) for answer in answers[extra.index]]
    return [shifts.merged(result, shape)]


def _convolution(shifts: Shifts, call: Call, answers: dict[int, list[Answer]]):
    source, weight, bias = call.arguments["input"], call.arguments["weight"], call.arguments.get("bias")
    if call.arguments["transposed"]:
        return None
    shape = call.outputs[0].shape
    groups, spatial = call.arguments["groups"], len(shape) - 2
    result = []
    for answer in answers[weight.index]:
        if any(varies(answer.unknowns, axis) for axis in range(1, len(shape))) or varies(answer.labels, 0):
            shifts.vanish([answer])
            continue
        per_group = shifts.fresh((shape[0], groups, 1, *shape[2:])).expand(
            shape[0], groups, shape[1] // groups, *shape[2:]
        )
        labels = compress(per_group.reshape(shape))
        unknowns = answer.unknowns[(slice(None), *[0] * (len(weight.shape) - 1))]
        result.append(Answer(unknowns.reshape(1, -1, *[1] * spatial).expand(shape), labels, answer.coefficient))
    for answer in answers[source.index]:
        padded = any(call.arguments["padding"])
        if padded or groups > 1 or any(varies(answer.unknowns, axis) for axis in range(2, len(shape))):
            shifts.vanish([answer])
            continue
        unknowns = shifts.bundle(answer.unknowns, 1).unsqueeze(1)
        unknowns = unknowns[(..., *[slice(0, 1)] * spatial)].expand(shape)
        along = [varies(answer.labels, 0), True, *(varies(answer.labels, axis) for axis in range(2, len(shape)))]
        result.append(Answer(unknowns, shifts.unrelated(shape, along), answer.coefficient))
    if isinstance(bias, Ref):
        for answer in answers[bias.index]:
            result.append(answer.map(lambda t: t.reshape(1, -1, *[1] * spatial).expand(shape)))
    return [shifts.merged(result, shape)]


def _mean(shifts: Shifts, call: Call, answers: dict[int, list[Answer]]):
    source, shape = call.arguments["self"], call.outputs[0].shape
    axes = call.arguments.get("dim") or list(range(len(source.shape)))
    axes = [axis % len(source.shape) for axis in ([axes] if isinstance(axes, int) else axes)]
    keep = len(shape) == len(source.shape)
    size = torch.Size([source.shape[axis] for axis in axes]).numel() if call.name == "sum" else 1
    result = []
    for answer in answers[source.index]:
        unrelated = any(varies(answer.labels, axis) for axis in axes)
        if unrelated and (call.name[0] == "a" or any(varies(answer.unknowns, axis) for axis in axes)):
            shifts.vanish([answer])
            continue
        if not unrelated:
            shifts.constant(answer, axes)
        labels, unknowns = answer.labels, answer.unknowns
        if unrelated:
            along = [varies(labels, axis) and axis not in axes for axis in range(labels.ndim)]
            labels = shifts.unrelated(tuple(labels.shape), along)
        for axis in sorted(axes, reverse=True):
            unknowns = unknowns.narrow(axis, 0, 1) if keep else unknowns.select(axis, 0)
            labels = labels.narrow(axis, 0, 1) if keep else labels.select(axis, 0)
        result.append(Answer(unknowns, labels, answer.coefficient * size))
    return [result]


def _spread(shifts: Shifts, call: Call, answers: dict[int, list[Answer]]):
    source = call.arguments["self"]
    axes = call.arguments.get("dim") or list(range(len(source.shape)))
    shifts.forget(answers[source.index], [axes] if isinstance(axes, int) else axes)
    return [[]]


def _spread_and_mean(shifts: Shifts, call: Call, answers: dict[int, list[Answer]]):
    return [[], _mean(shifts, call, answers)[0]]


def _order(shifts: Shifts, call: Call, answers: dict[int, list[Answer]]):
    """The largest along an axis: shifts that are constant along it leave the order as it is."""
    axis = call.arguments.get("dim", -1)
    if not call.outputs or len(call.outputs) != 2:
        return None
    kept = [a for a in answers[call.arguments["self"].index] if shifts.constant(a, [axis])]
    if len(call.outputs[0].shape) == len(call.inputs[0].shape):
        return [[a.map(lambda t: t.narrow(axis, 0, 1)).expand(call.outputs[0].shape) for a in kept], []]
    return [[a.map(lambda t: t.select(axis, 0)) for a in kept], []]


def _softmax(shifts: Shifts, call: Call, answers: dict[int, list[Answer]]):
    shifts.forget(answers[call.arguments["self"].index], [call.arguments["dim"]])
    return [[]]


def _pool(shifts: Shifts, call: Call, answers: dict[int, list[Answer]]):
    source, shape = call.arguments["self"], call.outputs[0].shape
    padding = call.arguments.get("padding") or [0]
    if call.name == "constant_pad_nd" or call.name == "im2col" or ("avg" in call.name and any(padding)):
        return None
    axes = range(len(shape) - POOLS[call.name], len(shape))
    result = []
    for answer in answers[source.index]:
        if any(varies(t, axis) for t in (answer.labels, answer.unknowns) for axis in axes):
            shifts.vanish([answer])
            continue
        inner = (..., *[slice(0, 1)] * len(axes))
        result.append(
            Answer(answer.unknowns[inner].expand(shape), answer.labels[inner].expand(shape), answer.coefficient)
        )
    return [result]


def _norm(shifts: Shifts, call: Call, answers: dict[int, list[Answer]]):
    source, weight, bias = call.arguments["input"], call.arguments.get("weight"), call.arguments.get("bias")
    found, shape = answers[source.index], source.shape
    if isinstance(weight, Ref):
        shifts.vanish(answers[weight.index])
    if call.name == "native_layer_norm":
        count = len(call.arguments["normalized_shape"])
        place = (*[1] * (len(shape) - count), *shape[len(shape) - count :])
        shifts.forget(found, range(len(shape) - count, len(shape)))
    else:
        place = (1, shape[1], *[1] * (len(shape) - 2))
        if call.name == "native_group_norm":
            split = (shape[0], call.arguments["group"], -1)
            grouped = [Answer(compress(a.unknowns.reshape(split)), compress(a.labels.reshape(split))) for a in found]
            shifts.forget(grouped, [2])
        elif call.arguments.get("training", call.arguments.get("train", True)) is False:
            shifts.vanish(found)
        else:
            shifts.forget(found, [axis for axis in range(len(shape)) if axis != 1])
    result = []
    if isinstance(bias, Ref):
        for answer in answers[bias.index]:
            result.append(answer.map(lambda t: t.reshape(place).expand(shape)))
    return [result]


def _masked(shifts: Shifts, call: Call, answers: dict[int, list[Answer]]):
    """Scores of which some are hidden from the softmax that follows."""
    return [[a.expand(call.outputs[0].shape) for found in answers.values() for a in found]]


RULES: dict[str, Callable] = {
    **dict.fromkeys(MOVES, _move),
    **dict.fromkeys(CONTRACTIONS, _matrix),
    **dict.fromkeys(SOFTMAX, _softmax),
    **dict.fromkeys(NORMS, _norm),
    **dict.fromkeys(MEANS, _mean),
    **dict.fromkeys(SPREADS, _spread),
    **dict.fromkeys(POOLS, _pool),
    **dict.fromkeys(("add", "sub", "rsub"), _sum),
    **dict.fromkeys(("mul", "div", "neg"), _product),
    **dict.fromkeys(("topk", "sort", "max", "min"), _order),
    "var_mean": _spread_and_mean,
    "convolution": _convolution,
    "embedding": _embedding,
    "index": _index,
}


def rule_of(call: Call) -> Callable | None:
    """The rule that follows a call, None if there is none: then no answer may reach it."""
    given = {name: v.constant if isinstance(v, Ref) else v for name, v in call.arguments.items()}
    if call.name == "masked_fill" and hides(given["value"]):
        return _masked
    if call.name == "where" and (hides(given["self"]) or hides(given["other"])):
        return _masked
    return RULES.get(call.name)
