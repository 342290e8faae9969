"""The loop of every search: what is known of the parameters, carried through the operations of a tape one by one."""

from collections.abc import Callable, Iterable
from typing import Any

from nld.finder.aten_families import CREATIONS, ZEROS
from nld.finder.tape import Call

Inputs = dict[int, list]  # every input of a call -> what it carries, empty where that is nothing


def propagate(
    calls: Iterable[Call],
    carried: dict[int, list],
    follow: Callable[[Call, Inputs], Iterable[Any] | None],
    refuse: Callable[[Call, Inputs], None],
) -> None:
    """Carry lists of something from the inputs of every call to its outputs.

    Args:
        calls: in order.
        carried: tensor -> what it carries; starts with the parameters and is completed in place.
        follow: a call that something reaches to what each of its outputs carries, or None if it has no rule.
        refuse: what to do where there is none.
    """
    for call in calls:
        inputs = {ref.index: carried.get(ref.index, []) for ref in call.inputs}
        if call.name in CREATIONS | ZEROS or not any(inputs.values()):
            continue
        results = follow(call, inputs)
        if results is None:
            refuse(call, inputs)
        else:
            outputs = zip(call.outputs, results, strict=False)
            carried.update({ref.index: result for ref, result in outputs if result})


def unchanged(state, call: Call, inputs: Inputs) -> list[list]:
    """The rule of an operation that returns its input."""
    return [next(filter(None, inputs.values()))]
