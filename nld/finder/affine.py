"""Gains that are written 1 + w: a tape on which the sum stands for the parameter, so that it may scale."""

from dataclasses import replace

from nld.finder.aten_families import COPIES
from nld.finder.tape import Call, Ref, Tape


def with_sums(tape: Tape, trainable: set[str]) -> tuple[Tape, dict[str, float]]:
    """The tape with each parameter replaced by its sum with a number, where it is used in no other way.

    Returns:
        It, and what is added to each of these parameters.
    """
    result = Tape(list(tape.calls), dict(tape.parameters), list(tape.results), set(tape.epsilons))
    offsets: dict[str, float] = {}
    for name, ref in tape.parameters.items():
        sums = _sums(tape, ref) if name in trainable else []
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


def _sums(tape: Tape, ref: Ref) -> list[int]:
    """The calls that use a parameter or a copy of it, if no other ones do but copies."""
    copies, users = {ref.index}, []
    for number, call in enumerate(tape.calls):
        if not any(source.index in copies for source in call.inputs):
            continue
        if call.name in COPIES:
            copies.update(output.index for output in call.outputs)
        elif call.name == "add" and len(call.inputs) == 1:
            users.append(number)
        else:
            return []
    return [] if any(result.index in copies for result in tape.results) else users


def _amount(call: Call) -> float | None:
    """What a call adds to its only tensor; None if it does more."""
    other = call.arguments["other"]
    plain = isinstance(other, (int, float)) and call.arguments.get("alpha", 1) == 1
    return float(other) if plain and other != 0 else None
