"""A tape in other words: sums stand for parameters (gains written 1 + w), and picking one slice is a view."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

import torch

from nld.finder.aten_families import COPIES
from nld.finder.tape import Call, Ref, Tape


def with_sums(tape: Tape, trainable: set[str]) -> tuple[Tape, dict[str, float]]:
    """The tape with each parameter replaced by its sum with a number, where it is used in no other way.

    Returns:
        It, and what is added to each of these parameters.
    """
    result = Tape(list(tape.calls), dict(tape.parameters), list(tape.results), set(tape.epsilons))
    offsets: dict[str, float] = {}
    users: dict[int, list[int]] = defaultdict(list)
    for number, call in enumerate(tape.calls):
        for ref in call.inputs:
            users[ref.index].append(number)
    for name, ref in tape.parameters.items():
        sums = _sums(tape, ref, users) if name in trainable else []
        amounts = {_amount(tape.calls[number]) for number in sums}
        if len(amounts) != 1 or None in amounts:
            continue
        (offset,) = amounts
        first = tape.calls[sums[0]].outputs[0]
        for number in sums:
            result.calls[number] = replace(tape.calls[number], name="alias", arguments={"self": first})
        result.parameters[name] = first
        offsets[name] = float(offset)  # pyright: ignore[reportArgumentType]
    replaced = {result.parameters[name].index for name in offsets}
    result.calls = [call for call in result.calls if not {ref.index for ref in call.outputs} & replaced]
    return result, offsets


def with_views(tape: Tape) -> Tape:
    """The tape on which an index that is a single number selects a slice, as a view does: one expert's weight."""
    calls = [_selecting(call) or call for call in tape.calls]
    return Tape(calls, tape.parameters, tape.results, tape.epsilons)


def _selecting(call: Call) -> Call | None:
    if call.name != "index":
        return None
    chosen = [(axis, index) for axis, index in enumerate(call.arguments["indices"]) if index is not None]
    if len(chosen) != 1 or chosen[0][1].shape != () or chosen[0][1].value is None:
        return None
    ((axis, index),) = chosen
    if index.value.dtype == torch.bool:
        return None
    arguments = {"self": call.arguments["self"], "dim": axis, "index": int(index.value)}
    return replace(call, name="select", arguments=arguments, function=torch.ops.aten.select.int)


def _sums(tape: Tape, ref: Ref, users: Mapping[int, list[int]]) -> list[int]:
    """The calls that use a parameter or a copy of it, if no other ones do but copies."""
    copies, sums = [ref.index], []
    for index in copies:
        for number in users.get(index, ()):
            call = tape.calls[number]
            if call.name in COPIES:
                copies += [output.index for output in call.outputs]
            elif call.name == "add" and len(call.inputs) == 1:
                sums.append(number)
            else:
                return []
    return [] if {result.index for result in tape.results} & {*copies} else sorted(sums)


def _amount(call: Call) -> float | None:
    """What a call adds to its only tensor; None if it does more."""
    other = call.arguments["other"]
    plain = isinstance(other, (int, float)) and call.arguments.get("alpha", 1) == 1
    return float(other) if plain and other != 0 else None
