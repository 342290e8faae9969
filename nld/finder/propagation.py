"""The loop of every search: what is known of the parameters, carried through the operations of a tape one by one."""

from collections.abc import Callable
from typing import Any

from nld.finder.aten_families import CREATIONS, ZEROS
from nld.finder.tape import Call, Ref, Tape

Inputs = dict[int, list]  # every input of a call -> what it carries, empty where that is nothing


def propagate(
    tape: Tape,
    carried: dict[int, list],
    follow: Callable[[Call, Inputs], list[Any] | None],
    refuse: Callable[[Ref], None],
) -> None:
    """Carry lists of something from the inputs of every call to its outputs, and refuse what reaches the results.

    Args:
        carried: tensor -> what it carries; starts with the parameters and is completed in place.
        follow: a call that something reaches to what each of its outputs carries, or None if nothing may reach it.
        refuse: what to do with a tensor whose load may not be there.
    """
    for call in tape.calls:
        inputs = {ref.index: carried.get(ref.index, []) for ref in call.inputs}
        empty = call.outputs and all(0 in ref.shape for ref in call.outputs)  # as of an expert that no token is sent to
        if empty or call.name in CREATIONS | ZEROS or not any(inputs.values()):
            continue
        results = follow(call, inputs)
        if results is None:
            for ref in call.inputs:
                refuse(ref)
        else:
            outputs = zip(call.outputs, results, strict=False)
            carried.update({ref.index: result for ref, result in outputs if result})
    for ref in tape.results:
        refuse(ref)


def unchanged(state, call: Call, inputs: Inputs) -> list[list]:
    """The rule of an operation that returns its input."""
    return [next(filter(None, inputs.values()))]
