"""Which coordinates of activations may be mixed by a matrix: the search for general linear and rotation symmetries.

An index of a parameter's axis is a coordinate. Multiplying by a weight gives an activation the coordinates of the
weight's output axis and pairs its own with those of the input axis: if one side turns by a matrix B, the other must
turn by its inverse transpose. A product of two activations over a coordinate axis (queries and keys) pairs them
alike, a sum makes coordinates equal. Coordinates that every operation treats alike form a vector, on which any
invertible B may act; where a vector is paired with itself (a norm, or shared queries and keys) B must be orthogonal.
An operation that treats two coordinates differently (a head, a channelwise gain, a rotary embedding) separates them,
and one that is not linear in a coordinate breaks it, as do inputs and outputs.
"""

from nld.finder.matrix.coordinate_classes import Coordinates, Vector
from nld.finder.matrix.rules import RULES, Slots
from nld.finder.propagation import Inputs, propagate
from nld.finder.tape import Call, Tape


def vectors(tape: Tape, trainable: set[str], centred: set[tuple[str, int]] | None = None) -> list[Vector]:
    """The coordinates of the parameters of a tape that may be mixed.

    Args:
        centred: takes in the axes of parameters whose coordinates a mean is subtracted from (``matrix.gains``).
    """
    known = Coordinates(tables=centred is not None)
    slots = {
        ref.index: [
            known.declare(name, axis, ref.shape, name in trainable)
            for axis in range(len(ref.shape) if len(ref.shape) < 4 else 2)  # not along a kernel
            if ref.shape[axis] > 1
        ]
        for name, ref in tape.parameters.items()
    }

    def follow(call: Call, inputs: Inputs) -> list[Slots] | None:
        if call.name not in ("mean", "sum"):  # a product may only be summed
            for ref in call.inputs:
                known.break_(labels for pair in known.products.get(ref.index, []) for labels in pair)
        rule = RULES.get(call.name)
        return None if rule is None else rule(known, call, inputs)

    propagate(tape, slots, follow, lambda ref: known.break_(slots.get(ref.index, [])))
    if centred is not None:
        centred |= known.centred
    return known.vectors()
