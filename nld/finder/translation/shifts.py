"""How activations answer to constant shifts of parameters: the search for translation symmetries.

A shift of a parameter by an unknown vector v along one axis makes an activation answer by v[i] t[j] at each entry: i
and j are labels that travel with the activation (``index_tensors``). The values t behind two different labels j
are taken as unrelated, label 0 is the constant 1. An operation that subtracts a mean or is a softmax forgets answers
that do not vary along its axis (if the v there are equal); a linear operation passes answers on; any other operation,
and what the model returns, must not be reached by an answer, so v must vanish.

Two families of shifts are tried. Full: W + v ⊗ t with any t along the other axes, such as one vector added to every
row of a weight matrix. Even: t = 1, which may cancel between parameters, such as token and position embeddings.
"""

from collections.abc import Iterable
from fractions import Fraction

import torch

from nld.finder.aten_families import CONTRACTIONS, COPIES, CREATIONS, MOVES, ZEROS
from nld.finder.index_tensors import compress, core, distinct, varies
from nld.finder.linear_system import ZERO, Axis, Equations
from nld.finder.tape import Call, Ref, Tape
from nld.finder.translation.responses import Answer
from nld.finder.translation.rules import rule_of


class Shifts:
    """Interprets a tape; afterwards ``equations`` hold what the network demands of ``full`` and ``even`` shifts."""

    def __init__(self, tape: Tape, trainable: set[str]):
        self.equations = Equations()
        self.answers: dict[int, list[Answer]] = {}
        self.full: list[Axis] = []
        self.even: list[Axis] = []
        self.reached: set[int] = set()  # unknowns whose answer some operation has met
        self.bundles: dict[int, list[int]] = {}  # an unknown that stands for several, all zero or all free
        self.labels_used = 1
        weights, looked_up = _used(tape, CONTRACTIONS), _used(tape, {"embedding"})
        self.centred = _centred(tape)
        self.parameters = {ref.index for ref in tape.parameters.values()}
        for name, ref in tape.parameters.items():
            if name in trainable:
                self._declare(name, ref, ref.index in weights - looked_up)
        for call in tape.calls:
            self._interpret(call)
        for ref in tape.results:
            self.vanish(self._of(ref))
        for bundle in sorted(self.bundles, reverse=True):
            if bundle in self.equations.touched or bundle not in self.reached:
                self.equations.vanish_all(self.bundles[bundle])
            else:
                self.reached.update(self.bundles[bundle])
        for axis in (*self.full, *self.even):
            self.equations.vanish_all(u for u in axis.unknowns.tolist() if u not in self.reached)

    def _declare(self, name: str, ref: Ref, weight: bool) -> None:
        shape = ref.shape
        answers = []
        last = len(shape) - 1 if len(shape) < 4 else 1
        for axis in [a for a in range(len(shape)) if shape[a] > 1 or a == last][: 2 if len(shape) > 3 else None]:
            place = [shape[a] if a == axis else 1 for a in range(len(shape))]
            others = [1 if a == axis else shape[a] for a in range(len(shape))]
            if torch.Size(others).numel() > 1 and shape[axis] > 1:
                unknowns = self.equations.new((shape[axis],))
                self.full.append(Axis(name, shape, (axis,), unknowns))
                answers.append(Answer(unknowns.reshape(place).expand(shape), self.fresh(others).expand(shape)))
            first = axis == 0 and len(shape) > 2  # the filters of a weight that is centred before it is used
            if not weight and (first or axis == last):
                unknowns = self.equations.new((shape[axis],))
                if self.even and self.even[-1].parameter == name:  # one constant on all entries is in both
                    self.equations.vanish({int(unknowns[0]): 1})
                self.even.append(Axis(name, shape, (axis,), unknowns))
                answers.append(Answer(unknowns.reshape(place).expand(shape), torch.tensor(0).expand(shape)))
        self.answers[ref.index] = answers

    # -- answers

    def fresh(self, shape: Iterable[int]) -> torch.Tensor:
        shape = tuple(shape)
        count = torch.Size(shape).numel()
        self.labels_used += count
        return torch.arange(self.labels_used - count, self.labels_used).reshape(shape)

    def _of(self, ref) -> list[Answer]:
        """Answers of a tensor that may still be different from zero."""
        if not isinstance(ref, Ref) or ref.index not in self.answers:
            return []
        alive = [a for a in self.answers[ref.index] if self._alive(a)]
        self.answers[ref.index] = alive
        return alive

    def _alive(self, answer: Answer) -> bool:
        return any(self.equations.reduce({unknown: 1}) for unknown in core(answer.unknowns).unique().tolist())

    def vanish(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            unknowns = core(answer.unknowns).unique().tolist()
            self.reached.update(unknowns)
            self.equations.vanish_all(unknowns)

    def forget(self, answers: Iterable[Answer], axes: Iterable[int]) -> None:
        """The operation does not notice what is constant along these axes."""
        for answer in answers:
            if self.constant(answer, axes):
                self.reached.update(core(answer.unknowns).unique().tolist())

    def constant(self, answer: Answer, axes: Iterable[int]) -> bool:
        """Demand that an answer is constant along axes; False where that leaves nothing of it."""
        axes = [axis % answer.labels.ndim for axis in axes]
        if any(varies(answer.labels, axis) for axis in axes):
            self.vanish([answer])
            return False
        small = core(answer.unknowns)
        kept = [axis for axis in range(small.ndim) if axis not in axes]
        rows = small.permute(*kept, *axes).reshape(torch.Size([small.shape[a] for a in kept]).numel(), -1)
        if rows.shape[1] > 1:
            for row in torch.unique(rows, dim=0).tolist():
                self.reached.update(row)
                self.equations.tie(dict.fromkeys(row))
        return True

    def merged(self, answers: list[Answer], shape: tuple[int, ...]) -> list[Answer]:
        """Answers with the same labels become one answer with the sum of their unknowns."""
        groups: list[list[Answer]] = []
        for answer in (a.expand(shape) for a in answers):
            for group in groups:
                if _same(group[0].labels, answer.labels):
                    group.append(answer)
                    break
            else:
                groups.append([answer])
        return [group[0] if len(group) == 1 else self._fold(group) for group in groups]

    def _fold(self, group: list[Answer]) -> Answer:
        rows, inverse, _ = distinct(*(answer.unknowns for answer in group))
        names = []
        for row in rows.tolist():
            form: dict = {}
            for unknown, answer in zip(row, group, strict=True):
                form[unknown] = form.get(unknown, 0) + answer.coefficient
            form = self.equations.reduce({unknown: Fraction(c) for unknown, c in form.items()})
            self.reached.update(row)
            if list(form.values()) == [1]:
                names.append(next(iter(form)))
            elif not form:
                names.append(ZERO)
            else:
                names.append(int(self.equations.new()))
                self.equations.solved[names[-1]] = form
        return Answer(compress(torch.tensor(names)[inverse].expand(group[0].unknowns.shape)), group[0].labels)

    def bundle(self, unknowns: torch.Tensor, axis: int) -> torch.Tensor:
        """Unknowns mixed along an axis by generic numbers: one unknown in their place, the axis removed."""
        if not varies(unknowns, axis):
            return unknowns.select(axis, 0)
        small = core(unknowns).movedim(axis, -1)
        rows, inverse = torch.unique(small.reshape(-1, small.shape[-1]), dim=0, return_inverse=True)
        names = self.equations.new((len(rows),))
        for name, row in zip(names.tolist(), rows.tolist(), strict=True):
            self.bundles[name] = row
        shape = unknowns.movedim(axis, -1).shape[:-1]
        return compress(names[inverse].reshape(small.shape[:-1]).expand(shape))

    def unrelated(self, shape: tuple[int, ...], along: Iterable[bool]) -> torch.Tensor:
        """Unrelated values along the axes named, constant along the others."""
        return self.fresh(n if use else 1 for n, use in zip(shape, along, strict=True)).expand(shape)

    # -- operations

    def _interpret(self, call: Call) -> None:
        answers = {ref.index: self._of(ref) for ref in call.inputs}
        everything = [answer for found in answers.values() for answer in found]
        if not everything or call.name in CREATIONS | ZEROS:
            return
        if call.name in COPIES:
            self.answers[call.outputs[0].index] = everything
            return
        rule = rule_of(call)
        results = None if rule is None else rule(self, call, answers)
        if results is None:
            self.vanish(everything)
            return
        for ref, found in zip(call.outputs, results, strict=False):
            self.answers[ref.index] = found


def _same(left: torch.Tensor, right: torch.Tensor) -> bool:
    if core(left).shape != core(right).shape:
        return False
    return bool((core(left) == core(right)).all())


def _used(tape: Tape, names: set[str]) -> set[int]:
    """Parameters that some operation of these names (or, for products, a convolution) uses as its weight."""
    origin = {ref.index: ref.index for ref in tape.parameters.values()}
    found = set()
    for call in tape.calls:
        if call.name in MOVES | COPIES:
            for ref in call.inputs:
                if ref.index in origin:
                    origin.update({output.index: origin[ref.index] for output in call.outputs})
        elif call.name == "embedding" in names:
            found.update({call.arguments["weight"].index} & origin.keys())
        elif call.name in names:
            refs = [v for v in call.arguments.values() if isinstance(v, Ref)][-2:]
            found.update(origin[ref.index] for ref in refs if ref.index in origin)
        elif call.name == "convolution" and names is CONTRACTIONS and call.arguments["weight"].index in origin:
            found.add(origin[call.arguments["weight"].index])
    return found


def _centred(tape: Tape) -> set[int]:
    """Activations that sum to zero over their last axis."""
    found: set[int] = set()
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
                found.add(output.index)
        elif call.name == "sub" and len(call.inputs) == 2 and means.get(call.inputs[1].index) == source.index:
            found.add(output.index)
        elif source.index in found:
            same = call.name in COPIES or (call.name in MOVES and "view" in call.name)
            scaled = call.name in ("mul", "div") and (len(call.inputs) == 1 or call.inputs[1].shape[-1:] in ((), (1,)))
            if (same or scaled) and output.shape[-1:] == source.shape[-1:]:
                found.add(output.index)
    return found
