"""Constants that one parameter adds and later ones take away: the search for absorptions.

Every bias moves by unknown amounts, and so do, along one over the gain, the rows of weights behind a layer
normalization. What they add to an activation, the same in all places, travels on through weights, sums and averages
with weights that sum to one; any other operation, and what the model returns, must not be reached. Of the biases that
add to one sum, the last is solved for: it takes away what the others add.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch

from nld.finder.absorption.constants import Constants, Passage
from nld.finder.absorption.rules import RULES, Labels
from nld.finder.absorption.steps import Absorbed, RowShift, Shift, Step, Sums
from nld.finder.aten_families import CREATIONS, ZEROS
from nld.finder.coupled import Coupled, Coupling
from nld.finder.linear_system import Form
from nld.finder.tape import Tape
from nld.finder.windows import Window

REASON = "what it adds to the activations, the same in all places, a later bias takes away"


def absorptions(tape: Tape, trainable: set[str]) -> list[Coupled]:
    """One symmetry for each parameter whose constant others absorb."""
    known = Constants(tape, trainable)
    biases = _declared(tape, known)
    _propagate(tape, known, {tape.parameters[name].index: unknowns for name, unknowns in biases.items()})
    known.close()
    solved = _Solved(known, biases)
    result = [solved.absorbed(name) for name in solved.free]
    return [absorbed for absorbed in result if absorbed is not None]


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
    for call in tape.calls:
        carried = {ref.index: labels[ref.index] for ref in call.inputs if ref.index in labels}
        begins = call.name in ("mm", "addmm") and any(ref.index in known.gained for ref in call.inputs)
        if call.name in CREATIONS | ZEROS or not (carried or begins):
            continue
        rule = RULES.get(call.name)
        results = None if rule is None else rule(known, call, carried)
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


class _Solved:
    """All unknowns as sums of free ones and of what comes out of passages, sorted by the parameter that is free.

    ``free`` has for each parameter that moves on its own the unknowns that nothing determines.
    """

    def __init__(self, known: Constants, biases: dict[str, torch.Tensor]):
        self._known = known
        moving: dict[str | tuple[Window, str], list[Form]] = {
            name: self._forms(unknowns.reshape(-1).tolist()) for name, unknowns in biases.items()
        }
        moving |= {row: self._forms(unknowns) for row, unknowns in known.rows.items()}
        self.free = self._sorted(moving)
        owners: dict[int, set[str]] = {u: {name} for name, free in self.free.items() for u in free}
        self._passages: dict[str, list[tuple[Passage, list[Form]]]] = defaultdict(list)
        for passage in known.passages:
            forms = self._forms(passage.inputs)
            names = _owning(forms, owners)
            owners.update(dict.fromkeys(passage.outputs, names))
            for name in sorted(names):
                self._passages[name].append((passage, forms))
        self._moving: dict[str, list[tuple[str | tuple[Window, str], list[Form]]]] = defaultdict(list)
        for what, forms in moving.items():
            for name in sorted(_owning(forms, owners)):
                self._moving[name].append((what, forms))

    def _forms(self, unknowns: Iterable[int]) -> list[Form]:
        return [self._known.equations.reduce({unknown: 1}) if unknown else {} for unknown in unknowns]

    def _sorted(self, moving: dict[str | tuple[Window, str], list[Form]]) -> dict[str, list[int]]:
        """What nothing determines, by the parameter that it moves first."""
        seen = {output for passage in self._known.passages for output in passage.outputs}
        result: dict[str, list[int]] = defaultdict(list)
        for what, forms in moving.items():
            free = dict.fromkeys(unknown for form in forms for unknown in form if unknown not in seen)
            if free:
                result[what if isinstance(what, str) else what[0].parameter] += free
                seen |= free.keys()
        return result

    def absorbed(self, name: str) -> Coupled | None:
        """The symmetry of what is free of one parameter; None if no weight lies between it and what absorbs it."""
        place = {unknown: number for number, unknown in enumerate(self.free[name])}
        steps = []
        for passage, forms in self._passages[name]:
            inputs = Sums.of(forms, place)
            fresh = range(len(place), len(place) + len(passage.outputs))
            place |= dict(zip(passage.outputs, fresh, strict=True))
            steps.append(Step(passage.layer, inputs, torch.tensor(fresh)))
        if not steps:
            return None
        shifts: list[Shift | RowShift] = []
        for what, forms in self._moving[name]:
            if isinstance(what, str):
                entries = [entry for entry, form in enumerate(forms) if not place.keys().isdisjoint(form)]
                shifts.append(Shift(what, torch.tensor(entries), Sums.of([forms[e] for e in entries], place)))
            else:
                shifts.append(RowShift(what[0], Sums.of(forms, place), what[1]))
        flow = Absorbed(len(self.free[name]), len(place), tuple(steps), tuple(shifts))
        if set(flow.moved) & set(flow.read):
            return None
        others = [other for other in flow.moved if other != name]
        return Coupled(Coupling.ABSORPTION, f"{name} → {', '.join(others)}", flow, REASON)


def _owning(forms: Iterable[Form], owners: dict[int, set[str]]) -> set[str]:
    """The parameters that own an unknown of these forms."""
    return set().union(*(owners[unknown] for form in forms for unknown in form if unknown in owners))
