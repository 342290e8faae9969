"""How activations respond to constant shifts of parameters: the search for translation symmetries.

A shift of a parameter by an unknown vector v along one axis makes an activation respond by v[i] t[j] at each entry: i
and j are labels that travel with the activation (``index_tensors``). The values t behind two different labels j
are taken as unrelated, label 0 is the constant 1. An operation that subtracts a mean or is a softmax forgets responses
that do not vary along its axis (if the v there are equal); a linear operation passes responses on; any other operation,
and what the model returns, must not be reached by a response, so v must vanish.

Two families of shifts are tried. Full: W + v ⊗ t with any t along the other axes, such as one vector added to every
row of a weight matrix. Even: t = 1, which may cancel between parameters, such as token and position embeddings.
"""

from dataclasses import dataclass

import torch

from nld.finder.aten_families import CONTRACTIONS, COPIES, MOVES
from nld.finder.linear_system import Axis, Equations
from nld.finder.propagation import Inputs, propagate
from nld.finder.tape import Call, Ref, Tape
from nld.finder.translation.responses import Response, Responses
from nld.finder.translation.rules import rule_of


@dataclass(frozen=True)
class Shifts:
    """What the network demands of the shifts of its parameters."""

    equations: Equations  # between the unknowns of both families
    full: list[Axis]  # of shifts with any values along the other axes
    even: list[Axis]  # of shifts that are constant along the other axes


def shifts(tape: Tape, trainable: set[str]) -> Shifts:
    """The equations between the shifts of the trainable parameters of a tape."""
    known = Responses(_centred(tape))
    declared = Shifts(known.equations, [], [])
    weights, looked_up = _used(tape, CONTRACTIONS), _used(tape, {"embedding"})

    def follow(call: Call, inputs: Inputs) -> list[list[Response]] | None:
        alive: Inputs = {index: known.alive(responses) for index, responses in inputs.items()}
        if not any(alive.values()):
            return []
        rule = rule_of(call)
        return None if rule is None else rule(known, call, alive)

    for name, ref in tape.parameters.items():
        if name in trainable:
            known.of[ref.index] = _declare(known, declared, name, ref, ref.index in weights - looked_up)
    propagate(tape, known.of, follow, lambda ref: known.vanish(known.alive(known.of.get(ref.index, []))))
    _close(known, declared)
    return declared


def _declare(known: Responses, declared: Shifts, name: str, ref: Ref, weight: bool) -> list[Response]:
    """New unknowns along the axes of a parameter, and how it responds to them itself."""
    equations, shape, responses = known.equations, ref.shape, []
    axes, last = _axes(ref.shape)
    for axis in axes:
        place = [shape[a] if a == axis else 1 for a in range(len(shape))]
        others = [1 if a == axis else shape[a] for a in range(len(shape))]
        if shape[axis] > 1 and (weight or torch.Size(others).numel() > 1):  # a vector has the same among its even ones
            unknowns = equations.new((shape[axis],))
            declared.full.append(Axis(name, shape, (axis,), unknowns))
            responses.append(Response(unknowns.reshape(place).expand(shape), known.fresh(others).expand(shape)))
        first = axis == 0 and len(shape) > 2  # the filters of a weight that is centred before it is used
        if not weight and (first or axis == last):
            unknowns = equations.new((shape[axis],))
            if declared.even and declared.even[-1].parameter == name:  # one constant on all entries is in both
                equations.vanish({int(unknowns[0]): 1})
            declared.even.append(Axis(name, shape, (axis,), unknowns))
            responses.append(Response(unknowns.reshape(place).expand(shape), torch.tensor(0).expand(shape)))
    return responses


def _axes(shape: tuple[int, ...]) -> tuple[list[int], int]:
    """The axes along which a parameter may be shifted, and the one of its features; a kernel has features at 1."""
    kernel = len(shape) > 3
    last = 1 if kernel else len(shape) - 1
    axes = [axis for axis in range(len(shape)) if shape[axis] > 1 or axis == last]
    return axes[:2] if kernel else axes, last


def _close(known: Responses, declared: Shifts) -> None:
    """What stands for several unknowns frees all of them or none; what nothing has reached stays put."""
    for bundle in sorted(known.bundles, reverse=True):
        if bundle in known.equations.touched or bundle not in known.reached:
            known.equations.vanish_all(known.bundles[bundle])
        else:
            known.reached.update(known.bundles[bundle])
    for axis in (*declared.full, *declared.even):
        known.equations.vanish_all(u for u in axis.unknowns.tolist() if u not in known.reached)


def _used(tape: Tape, names: set[str]) -> set[int]:
    """Parameters that some operation of these names (or, for products, a convolution) uses as its weight."""
    origin = {ref.index: ref.index for ref in tape.parameters.values()}
    used = set()
    for call in tape.calls:
        if call.name in MOVES | COPIES:
            for ref in call.inputs:
                if ref.index in origin:
                    origin.update({output.index: origin[ref.index] for output in call.outputs})
        elif call.name == "embedding" in names:
            used.update({call.arguments["weight"].index} & origin.keys())
        elif call.name in names:
            refs = [v for v in call.arguments.values() if isinstance(v, Ref)][-2:]
            used.update(origin[ref.index] for ref in refs if ref.index in origin)
        elif call.name == "convolution" and names is CONTRACTIONS and call.arguments["weight"].index in origin:
            used.add(origin[call.arguments["weight"].index])
    return used


def _centred(tape: Tape) -> set[int]:
    """Activations that sum to zero over their last axis."""
    centred: set[int] = set()
    means: dict[int, int] = {}
    for call in tape.calls:
        if not call.outputs or not call.inputs:
            continue
        source, output = call.inputs[0], call.outputs[0]
        last = [len(source.shape) - 1]
        if call.name == "mean" and [a % len(source.shape) for a in call.arguments.get("dim") or []] == last:
            means[output.index] = source.index
        elif call.name == "native_layer_norm" and len(call.arguments["normalized_shape"]) == 1:
            if call.arguments.get("weight") is None and call.arguments.get("bias") is None:
                centred.add(output.index)
        elif call.name == "sub" and len(call.inputs) == 2 and means.get(call.inputs[1].index) == source.index:
            centred.add(output.index)
        elif source.index in centred:
            same = call.name in COPIES or (call.name in MOVES and "view" in call.name)
            scaled = call.name in ("mul", "div") and (len(call.inputs) == 1 or call.inputs[1].shape[-1:] in ((), (1,)))
            if (same or scaled) and output.shape[-1:] == source.shape[-1:]:
                centred.add(output.index)
    return centred
