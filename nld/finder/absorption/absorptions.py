"""Constants that one parameter adds and later ones take away: the search for absorptions.

Every bias moves by unknown amounts, and so do, along one over the gain, the rows of weights behind a layer
normalization. What they add to an activation, the same in all places, travels on through weights, sums and averages
with weights that sum to one; any other operation, and what the model returns, must not be reached. Of the biases that
add to one sum, the last is solved for: it takes away what the others add.
"""

from collections.abc import Sequence

import torch

from nld.finder.absorption.constants import Constants
from nld.finder.absorption.rules import RULES, Labels
from nld.finder.absorption.steps import Absorbed, RowShift, Shift, Step, Sums
from nld.finder.coupled import Coupled, Coupling
from nld.finder.linear_system import Form
from nld.finder.tape import Tape

REASON = "what it adds to the activations, the same in all places, a later bias takes away"


def absorptions(tape: Tape, trainable: set[str]) -> list[Coupled]:
    """One symmetry for each parameter whose constant others absorb."""
    known = Constants(tape, trainable)
    biases = _declared(tape, known)
    _propagate(tape, known, {tape.parameters[name].index: unknowns for name, unknowns in biases.items()})
    known.close()
    result = [_absorbed(name, free, known, biases) for name, free in _free(known, biases).items()]
    return [absorbed for absorbed in result if absorbed is not None]


def _free(known: Constants, biases: dict[str, torch.Tensor]) -> dict[str, list[int]]:
    """What nothing determines, by the parameter that it moves first."""
    seen = {output for passage in known.passages for output in passage.outputs}
    result: dict[str, list[int]] = {}
    moving = [(name, unknowns.reshape(-1).tolist()) for name, unknowns in biases.items()]
    for name, unknowns in [*moving, *((weight.parameter, shifts) for (weight, _), shifts in known.rows.items())]:
        free = [u for unknown in unknowns for u in known.equations.reduce({unknown: 1}) if u not in seen]
        if free := list(dict.fromkeys(free)):
            result[name] = [*result.get(name, []), *free]
            seen |= set(free)
    return result


def _declared(tape: Tape, known: Constants) -> dict[str, torch.Tensor]:
    """New unknowns for each entry of each bias, in the order in which the forward pass meets them."""
    first: dict[int, int] = {}
    for number, call in enumerate(tape.calls):
        for ref in call.inputs:
            first.setdefault(ref.index, number)
    vectors = [
        (first[ref.index], name, ref.shape)
        for name, ref in tape.parameters.items()
        if name in known.trainable and sum(n > 1 for n in ref.shape) <= 1 and ref.shape and ref.index in first
    ]
    return {name: known.equations.new(shape, eliminate_first=True) for _, name, shape in sorted(vectors)}


def _propagate(tape: Tape, known: Constants, labels: Labels) -> None:
    """Carry the constants through all operations."""
    behind = set(known.gained)
    for call in tape.calls:
        carried = {ref.index: labels[ref.index] for ref in call.inputs if ref.index in labels}
        if not carried and not any(ref.index in behind for ref in call.inputs):
            continue
        rule = RULES.get(call.name)
        results = None if rule is None else rule(known, call, carried) if carried or rule is RULES["mm"] else []
        if results is None:
            for one in carried.values():
                known.vanish(one)
            continue
        for ref, result in zip(call.outputs, results, strict=False):
            if bool(result.any()):
                labels[ref.index] = result
    for ref in tape.results:
        if ref.index in labels:
            known.vanish(labels[ref.index])


def _absorbed(name: str, free: Sequence[int], known: Constants, biases: dict[str, torch.Tensor]) -> Coupled | None:
    """The symmetry of the free unknowns of one parameter; None if no weight lies between it and what absorbs it."""
    place = {unknown: number for number, unknown in enumerate(free)}
    if not place:
        return None
    steps = []
    for passage in known.passages:
        forms = _forms(known, passage.inputs, place)
        if not any(forms):
            continue
        fresh = range(len(place), len(place) + len(passage.outputs))
        place |= dict(zip(passage.outputs, fresh, strict=True))
        steps.append(Step(passage.layer, Sums.of(forms, place), torch.tensor(fresh)))
    if not steps:
        return None
    shifts: list[Shift | RowShift] = []
    for (weight, gain), unknowns in known.rows.items():
        if any(forms := _forms(known, unknowns, place)):
            shifts.append(RowShift(weight, Sums.of(forms, place), gain))
    for bias, unknowns in biases.items():
        forms = _forms(known, unknowns.reshape(-1).tolist(), place)
        moving = [entry for entry, form in enumerate(forms) if form]
        if moving:
            shifts.append(Shift(bias, torch.tensor(moving), Sums.of([forms[entry] for entry in moving], place)))
    flow = Absorbed(len(free), len(place), tuple(steps), tuple(shifts))
    if set(flow.moved) & set(flow.read):
        return None
    others = [other for other in flow.moved if other != name]
    return Coupled(Coupling.ABSORPTION, f"{name} → {', '.join(others)}", flow, REASON)


def _forms(known: Constants, unknowns: Sequence[int], place: dict[int, int]) -> list[Form]:
    """Each unknown as a sum of those that have a place."""
    return [
        {u: c for u, c in known.equations.reduce({unknown: 1}).items() if u in place} if unknown else {}
        for unknown in unknowns
    ]
