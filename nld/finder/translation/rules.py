"""How each operation passes on shifts: one function for each family of operations.

A rule is given what is known, a call and the responses of its inputs; it demands that unknowns be equal or zero where
the operation needs that, and returns the responses of each output, or None if no response may reach the operation.
"""

from collections.abc import Callable

import torch

from nld.finder.aten_families import CONTRACTIONS, COPIES, MAXIMA, MEANS, MOVES, NORMS, POOLS, SOFTMAX, SPREADS, hides
from nld.finder.call_axes import normalization, pooled_axes, reduced_axes
from nld.finder.index_tensors import compress, first_along, moved, reduced, varies
from nld.finder.linear_system import ZERO
from nld.finder.propagation import Inputs, unchanged
from nld.finder.tape import Call, Ref
from nld.finder.translation.responses import Response, Responses


def _move(known: Responses, call: Call, responses: Inputs):
    results: list[list[Response]] = [[] for _ in call.outputs]
    joined: dict[float, list[tuple[int, Response]]] = {}
    for index, source in responses.items():
        for response in source:
            if len(responses) > 1 and response.even:  # shifts of the pieces that are joined may be one shift
                joined.setdefault(response.coefficient, []).append((index, response))
                continue
            unknowns = moved(call, {index: response.unknowns}, ZERO)
            labels = moved(call, {index: response.labels}, 0)
            for position, pair in enumerate(zip(unknowns, labels, strict=True)):
                results[position].append(Response(*pair, response.coefficient))
    for coefficient, pieces in joined.items():
        unknowns = moved(call, {index: response.unknowns for index, response in pieces}, ZERO)[0]
        results[0].append(Response(unknowns, torch.tensor(0).expand(unknowns.shape), coefficient))
    return results


def _embedding(known: Responses, call: Call, responses: Inputs):
    shape = call.outputs[0].shape
    result = []
    for response in responses[call.arguments["weight"].index]:
        if varies(response.unknowns, 0):
            known.vanish([response])
            continue
        labels = response.labels[0].expand(shape)
        if varies(response.labels, 0):
            labels = known.unrelated(shape, [True] * (len(shape) - 1) + [varies(response.labels, 1)])
        result.append(Response(response.unknowns[0].expand(shape), labels, response.coefficient))
    return [result]


def _index(known: Responses, call: Call, responses: Inputs):
    source = call.arguments["self"]
    if call.name == "index_select":
        chosen, axes = (call.arguments["dim"], call.arguments["index"].value), [call.arguments["dim"]]
    else:
        chosen = ([None if i is None else i.value for i in call.arguments["indices"]],)
        axes = [axis for axis, index in enumerate(chosen[0]) if index is not None]
    result = []
    for response in responses.get(source.index, []):
        if varies(response.unknowns, *axes):
            known.vanish([response])
        else:
            result.append(response.map(lambda t: compress(call.function(t, *chosen))))
    return [result]


def _scattered(known: Responses, call: Call, responses: Inputs):
    """Rows added to the rows of another tensor that an index names: how many each row gets is the data's."""
    shape, index = call.outputs[0].shape, call.arguments["index"]
    axis = call.arguments["dim"] % max(len(shape), 1)
    source = call.arguments["source" if call.name == "index_add" else "src"]
    if not isinstance(source, Ref) or any(
        n != m for a, (n, m) in enumerate(zip(source.shape, shape, strict=True)) if a != axis
    ):
        return None
    by_index = index.varies if len(index.shape) == len(shape) else [False] * len(shape)
    result = list(responses[call.arguments["self"].index])
    for response in responses[source.index]:
        if varies(response.unknowns, axis):
            known.vanish([response])
            continue
        unknowns = response.unknowns.narrow(axis, 0, 1).expand(shape)
        along = [a == axis or by_index[a] or varies(response.labels, a) for a in range(len(shape))]
        result.append(Response(unknowns, known.unrelated(shape, along), response.coefficient))
    return [known.merged(result, shape)]


def _sum(known: Responses, call: Call, responses: Inputs):
    alpha = float(call.arguments.get("alpha", 1))
    factors = {"add": (1.0, alpha), "sub": (1.0, -alpha), "rsub": (-alpha, 1.0)}[call.name]
    terms = []
    for ref, factor in zip((call.arguments["self"], call.arguments["other"]), factors, strict=True):
        if isinstance(ref, Ref):
            terms += [response.times(factor) for response in responses[ref.index]]
    return [known.merged(terms, call.outputs[0].shape)]


def _product(known: Responses, call: Call, responses: Inputs):
    left, right = call.arguments["self"], call.arguments.get("other")
    if call.name == "neg":
        right = -1.0
    if call.arguments.get("rounding_mode") is not None:
        return None
    shape = call.outputs[0].shape
    if not isinstance(right, Ref):
        factor = 1 / float(right or 1) if call.name == "div" else float(right or 0)
        return [[response.times(factor) for response in responses[left.index]]]
    if responses[right.index] and (responses[left.index] or call.name == "div"):
        return None
    source, other = (right, left) if responses[right.index] else (left, right)
    other_varies = [False] * (len(shape) - len(other.shape)) + list(other.varies)
    result = []
    for response in (a.expand(shape) for a in responses[source.index]):
        along = [varies(response.labels, axis) or other_varies[axis] for axis in range(len(shape))]
        result.append(Response(response.unknowns, known.unrelated(shape, along), response.coefficient))
    return [result]


def _matrix(known: Responses, call: Call, responses: Inputs):
    left, right = [v for v in call.arguments.values() if isinstance(v, Ref)][-2:]
    shape = call.outputs[0].shape
    batch = len(shape) - 2
    result = []
    for ref, is_left in ((left, True), (right, False)):
        inner, outer, new = (batch + 1, batch, batch + 1) if is_left else (batch, batch + 1, batch)
        other = right if is_left else left
        for response in responses[ref.index]:
            if varies(response.unknowns, inner) and not varies(response.labels, inner) and other.index in known.centred:
                known.forget([response], [inner])  # the other side sums to zero over this axis
                continue
            if varies(response.labels, inner) and varies(response.unknowns, inner):
                known.vanish([response])
                continue
            unknowns = known.bundle(response.unknowns, inner).unsqueeze(new).expand(shape)
            along = [True] * batch + [False, False]
            along[outer] = varies(response.labels, outer)
            along[new] = other.shape[new] > 1
            result.append(Response(unknowns, known.unrelated(shape, along), response.coefficient))
    extra = call.arguments.get("self") if call.name in ("addmm", "baddbmm") else None
    if isinstance(extra, Ref):
        result += [response.expand(shape) for response in responses[extra.index]]
    return [known.merged(result, shape)]


def _convolution(known: Responses, call: Call, responses: Inputs):
    source, weight, bias = call.arguments["input"], call.arguments["weight"], call.arguments.get("bias")
    if call.arguments["transposed"]:
        return None
    shape = call.outputs[0].shape
    groups, kernel = call.arguments["groups"], range(2, len(shape))
    place = (1, -1, *[1] * len(kernel))
    result = []
    for response in responses[weight.index]:
        if varies(response.unknowns, *range(1, len(shape))) or varies(response.labels, 0):
            known.vanish([response])
            continue
        per_group = known.fresh((shape[0], groups, 1, *shape[2:])).expand(
            shape[0], groups, shape[1] // groups, *shape[2:]
        )
        labels = compress(per_group.reshape(shape))
        unknowns = response.unknowns[(slice(None), *[0] * (len(weight.shape) - 1))]
        result.append(Response(unknowns.reshape(place).expand(shape), labels, response.coefficient))
    for response in responses[source.index]:
        if any(call.arguments["padding"]) or groups > 1 or varies(response.unknowns, *kernel):
            known.vanish([response])
            continue
        unknowns = first_along(known.bundle(response.unknowns, 1).unsqueeze(1), kernel).expand(shape)
        along = [varies(response.labels, 0), True, *(varies(response.labels, axis) for axis in kernel)]
        result.append(Response(unknowns, known.unrelated(shape, along), response.coefficient))
    if isinstance(bias, Ref):
        result += [response.map(lambda t: t.reshape(place).expand(shape)) for response in responses[bias.index]]
    return [known.merged(result, shape)]


def _mean(known: Responses, call: Call, responses: Inputs):
    axes = reduced_axes(call)
    size = torch.Size([call.arguments["self"].shape[axis] for axis in axes]).numel() if call.name == "sum" else 1
    result = []
    for response in responses[call.arguments["self"].index]:
        labels = response.labels
        if not varies(labels, *axes):
            known.constant(response, axes)
        elif varies(response.unknowns, *axes):
            known.vanish([response])
            continue
        else:
            along = [varies(labels, axis) and axis not in axes for axis in range(labels.ndim)]
            labels = known.unrelated(tuple(labels.shape), along)
        result.append(_reduced(Response(response.unknowns, labels, response.coefficient * size), call))
    return [result]


def _maximum(known: Responses, call: Call, responses: Inputs):
    """A maximum follows a shift that all it compares have in common."""
    source = responses[call.arguments["self"].index]
    return [[_reduced(response, call) for response in source if known.constant(response, reduced_axes(call))]]


def _reduced(response: Response, call: Call) -> Response:
    return response.map(lambda labels: reduced(labels, call))


def _spread(known: Responses, call: Call, responses: Inputs):
    known.forget(responses[call.arguments["self"].index], reduced_axes(call))
    return [[]]


def _spread_and_mean(known: Responses, call: Call, responses: Inputs):
    return [[], _mean(known, call, responses)[0]]


def _order(known: Responses, call: Call, responses: Inputs):
    """The largest along an axis: shifts that are constant along it leave the order as it is."""
    if len(call.outputs) != 2:
        return None
    shape, source = call.outputs[0].shape, responses[call.arguments["self"].index]
    return [[_reduced(r, call).expand(shape) for r in source if known.constant(r, reduced_axes(call))], []]


def _softmax(known: Responses, call: Call, responses: Inputs):
    known.forget(responses[call.arguments["self"].index], [call.arguments["dim"]])
    return [[]]


def _pool(known: Responses, call: Call, responses: Inputs):
    padding = call.arguments.get("padding") or [0]
    if call.name in ("constant_pad_nd", "im2col") or ("avg" in call.name and any(padding)):
        return None
    axes = pooled_axes(call)
    result = []
    for response in responses[call.arguments["self"].index]:
        if varies(response.labels, *axes) or varies(response.unknowns, *axes):
            known.vanish([response])
        else:
            result.append(response.map(lambda t: first_along(t, axes).expand(call.outputs[0].shape)))
    return [result]


def _norm(known: Responses, call: Call, responses: Inputs):
    source, weight, bias = call.arguments["input"], call.arguments.get("weight"), call.arguments.get("bias")
    view, axes, place = normalization(call)
    if isinstance(weight, Ref):
        known.vanish(responses[weight.index])
    if axes is None:
        known.vanish(responses[source.index])
    else:
        known.forget([a.map(lambda t: compress(t.reshape(view))) for a in responses[source.index]], axes)
    offsets = responses[bias.index] if isinstance(bias, Ref) else []
    return [[response.map(lambda t: t.reshape(place).expand(source.shape)) for response in offsets]]


def _masked(known: Responses, call: Call, responses: Inputs):
    """Scores of which some are hidden from the softmax that follows."""
    return [[a.expand(call.outputs[0].shape) for source in responses.values() for a in source]]


RULES: dict[str, Callable] = {
    **dict.fromkeys(COPIES, unchanged),
    **dict.fromkeys(MOVES, _move),
    **dict.fromkeys(CONTRACTIONS, _matrix),
    **dict.fromkeys(SOFTMAX, _softmax),
    **dict.fromkeys(NORMS, _norm),
    **dict.fromkeys(MEANS, _mean),
    **dict.fromkeys(MAXIMA, _maximum),
    **dict.fromkeys(SPREADS, _spread),
    **dict.fromkeys(POOLS, _pool),
    **dict.fromkeys(("add", "sub", "rsub"), _sum),
    **dict.fromkeys(("mul", "div", "neg"), _product),
    **dict.fromkeys(("topk", "sort", "max", "min"), _order),
    "var_mean": _spread_and_mean,
    "convolution": _convolution,
    "embedding": _embedding,
    **dict.fromkeys(("index", "index_select"), _index),
    **dict.fromkeys(("index_add", "scatter_add"), _scattered),
}


def rule_of(call: Call) -> Callable | None:
    """The rule that follows a call, None if there is none: then no response may reach it."""
    given = {name: v.constant if isinstance(v, Ref) else v for name, v in call.arguments.items()}
    if call.name == "masked_fill" and hides(given["value"]):
        return _masked
    if call.name == "where" and (hides(given["self"]) or hides(given["other"])):
        return _masked
    return RULES.get(call.name)
