"""How strongly each activation scales when parameters are scaled: the search for scale and rescale symmetries.

Multiply every entry of every parameter by exp(s d), its degree d unknown. Each activation that answers by a factor
exp(s D) has degree D, and every operation states linear equations between degrees: a product adds them, a
sum needs equal ones, a positively homogeneous function passes them on, a normalization returns zero, any other
function needs zero, and so does what the model returns. What solves all equations is a symmetry, with
residual connections, tied weights and shared modules taken into account by construction.

A parameter's degree is a sum of unknowns over its axes (row and column of a matrix): more is never possible in a
contraction with generic entries.
"""

from dataclasses import dataclass
from fractions import Fraction

import torch

from nld.finder.aten_families import COPIES, CREATIONS, HOMOGENEOUS, MOVES, SMOOTH, ZEROS
from nld.finder.index_tensors import compress, core, distinct, varies
from nld.finder.linear_system import ZERO, Equations, Form
from nld.finder.scale.rules import rule_of
from nld.finder.tape import Call, Ref, Tape

Term = tuple[torch.Tensor, int | Fraction]  # labels of unknowns and the factor in front of them
LARGEST = 4_000_000  # more distinct equations than this for one operation are not followed


@dataclass(frozen=True)
class Axis:
    """Unknown degrees of a parameter along ``axes`` of its view of this shape, flattened; one for each index."""

    parameter: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    unknowns: torch.Tensor


class Degrees:
    """Interprets a tape; afterwards ``equations`` hold what the network demands of ``axes``."""

    def __init__(self, tape: Tape, trainable: set[str]):
        self.equations = Equations()
        self.values: dict[int, list[Term]] = {}
        self.nought: set[int] = set()  # tensors that are zero and so have every degree
        self.axes: list[Axis] = []
        self.unknown: dict[str, int] = {}  # operations without a rule, and how often they met a parameter's influence
        groups = {
            call.arguments["weight"].index: call.arguments["groups"]
            for call in tape.calls
            if call.name == "convolution" and not call.arguments["transposed"]
        }
        self.denominators = tape.denominators()
        self.parameters = {ref.index for ref in tape.parameters.values()}
        for name, ref in tape.parameters.items():
            if name in trainable:
                self._declare(name, ref, groups.get(ref.index, 1))
        for call in tape.calls:
            self._interpret(call)
        for ref in tape.results:
            self.vanish(ref)
        self._close()

    # -- parameters

    def _declare(self, name: str, ref: Ref, groups: int) -> None:
        shape = ref.shape
        if groups > 1 and len(shape) > 2:
            shape = (groups, shape[0] // groups, *shape[1:])
            plan = [(0, 1)] + ([(0, 2)] if shape[2] > 1 else [])
        else:
            axes = range(min(len(shape), 2) if len(shape) > 3 else len(shape))
            plan = [(axis,) for axis in axes if shape[axis] > 1] or [()]
        terms: list[Term] = []
        for axes in plan:
            sizes = [shape[axis] for axis in axes]
            unknowns = self.equations.new(tuple(sizes), eliminate_first=len(plan) > 1)
            self.axes.append(Axis(name, shape, axes, unknowns.reshape(-1)))
            labels = unknowns.reshape([shape[a] if a in axes else 1 for a in range(len(shape))]).expand(shape)
            if shape != ref.shape:
                labels = labels.reshape(ref.shape)
            terms.append((compress(labels), 1))
            if axes is not plan[-1]:  # only the sum over axes has a meaning: fix the arbitrary constant between them
                self.equations.vanish_all(unknowns[:, 0].tolist() if len(axes) == 2 else [int(unknowns[0])])
        self.values[ref.index] = terms

    def _close(self) -> None:
        """Rows of a parameter that this pass never used follow those that it did; unused parameters stay put."""
        for axis in self.axes:
            used = [u for u in axis.unknowns.tolist() if u in self.equations.touched]
            if len(used) < len(axis.unknowns):
                idle = [u for u in axis.unknowns.tolist() if u not in self.equations.touched]
                for unknown in idle:
                    self.equations.vanish({unknown: 1, used[0]: -1} if used else {unknown: 1})

    # -- equations between labels

    def labels(self, ref: Ref) -> torch.Tensor:
        """One label for each entry of an activation, folded from its terms."""
        terms = self.values.get(ref.index)
        if terms is None:
            return torch.tensor(ZERO).expand(ref.shape)
        if len(terms) > 1 or terms[0][1] != 1:
            terms = self.values[ref.index] = [(self.fold(terms), 1)]
        return terms[0][0]

    def fold(self, terms: list[Term]) -> torch.Tensor:
        """One label for each entry that stands for the sum of the terms."""
        rows, inverse, _ = distinct(*(labels for labels, _ in terms))
        names = []
        for row in rows.tolist():
            form: dict = {}
            for unknown, (_, factor) in zip(row, terms, strict=True):
                form[unknown] = form.get(unknown, 0) + factor
            self.equations.touched.update(form)
            form = self.equations.reduce(form)
            if not form:
                names.append(ZERO)
            elif list(form.values()) == [1]:
                names.append(next(iter(form)))
            else:
                names.append(int(self.equations.new()))
                self.equations.vanish({**form, names[-1]: -1})  # solved for a parameter's unknown if there is one
        return compress(torch.tensor(names)[inverse].expand(terms[0][0].shape))

    def tie(self, labels: torch.Tensor, axes: list[int]) -> torch.Tensor:
        """Demand equal degrees along axes; the labels with these axes constant."""
        axes = [axis % labels.ndim for axis in axes] if labels.ndim else []
        if not any(varies(labels, axis) for axis in axes):
            self.equations.touched.update(core(labels).reshape(-1).tolist())
            return labels
        small = core(labels)
        kept = [axis for axis in range(labels.ndim) if axis not in axes]
        for row in torch.unique(small.permute(*kept, *axes).reshape(-1, _size(small, axes)), dim=0).tolist():
            self.equations.tie(dict.fromkeys(row))
        for axis in axes:
            small = small.narrow(axis, 0, 1)
        return small.expand(labels.shape)

    def vanish(self, ref: Ref) -> None:
        """Demand that an activation does not scale."""
        if ref.index in self.values:
            for row in core(self.labels(ref)).unique().tolist():
                self.equations.vanish({row: 1})

    def vanishing_sum(self, terms: list[Term]) -> None:
        """Demand that the terms sum to zero at every index; terms that share no axis separate into constants."""
        clusters: list[tuple[set[int], list[Term]]] = []
        for labels, factor in terms:
            axes = {axis for axis in range(labels.ndim) if varies(labels, axis)}
            members = [(labels, factor)]
            for other in [c for c in clusters if c[0] & axes]:
                clusters.remove(other)
                axes, members = axes | other[0], members + other[1]
            clusters.append((axes, members))
        constants = [int(self.equations.new()) for _ in clusters[1:]]
        for position, (_, members) in enumerate(clusters):
            cores = [core(labels) for labels, _ in members]
            if torch.Size(torch.broadcast_shapes(*(c.shape for c in cores))).numel() > LARGEST:
                for labels in cores:
                    self.equations.vanish_all(labels.unique().tolist())
                continue
            rows, _, _ = distinct(*(labels for labels, _ in members))
            closing: Form = {constants[position - 1]: -1} if position else dict.fromkeys(constants, 1)
            for row in rows.tolist():
                form: Form = dict(closing)
                for unknown, (_, factor) in zip(row, members, strict=True):
                    form[unknown] = form.get(unknown, 0) + factor
                self.equations.vanish(form)

    def contract(self, terms: list[Term], kept: int) -> torch.Tensor:
        """Degrees of a sum of products: terms are aligned, the axes behind ``kept`` are summed over."""
        shape = terms[0][0].shape
        places = {}  # axis -> which of the distinct slices of the terms stands at each index
        for axis in (a for a in range(kept) if any(varies(labels, a) for labels, _ in terms)):
            slices = [core(labels).movedim(axis, 0).flatten(1) for labels, _ in terms if varies(labels, axis)]
            _, places[axis] = torch.unique(torch.cat(slices, 1), dim=0, return_inverse=True)
            firsts = torch.stack([(places[axis] == i).nonzero()[0, 0] for i in range(int(places[axis].max()) + 1)])
            terms = [(_take(labels, axis, firsts), factor) for labels, factor in terms]
        result = self.equations.new(tuple(terms[0][0].shape[a] if a in places else 1 for a in range(kept)))
        aligned = result.reshape(*result.shape, *[1] * (len(shape) - kept)).expand(terms[0][0].shape)
        self.vanishing_sum([*terms, (aligned, -1)])
        for axis, place in places.items():
            result = result.index_select(axis, place)
        return result.expand(shape[:kept])

    # -- operations

    def _interpret(self, call: Call) -> None:
        if call.name in ZEROS or (call.outputs and all(ref.constant == 0 for ref in call.outputs)):
            self.nought.update(ref.index for ref in call.outputs)
            return
        inputs = [ref for ref in call.inputs if ref.index in self.values]
        if not inputs or call.name in CREATIONS:
            zero = [ref.index in self.nought for ref in call.inputs]
            kept = call.name in MOVES | COPIES | HOMOGENEOUS and all(zero)
            if zero and (kept or (call.name == "mul" and any(zero)) or (call.name == "div" and zero[0])):
                self.nought.update(ref.index for ref in call.outputs)
            return
        if call.name in COPIES:
            self.values[call.outputs[0].index] = self.values[inputs[0].index]
            return
        rule = rule_of(call, self.denominators)
        if rule is None:
            if call.name not in SMOOTH:
                self.unknown[call.name] = self.unknown.get(call.name, 0) + 1
            for ref in inputs:
                self.vanish(ref)
            return
        results = rule(self, call)
        for ref, labels in zip(call.outputs, results, strict=False):
            if labels is not None:
                terms: list[Term] = labels if isinstance(labels, list) else [(labels, 1)]
                if all(terms[0][0].shape == t.shape for t, _ in terms) and tuple(terms[0][0].shape) == ref.shape:
                    self.values[ref.index] = terms
                else:
                    raise AssertionError(f"{call.name}: labels {tuple(terms[0][0].shape)} for a tensor {ref.shape}")


def _take(labels: torch.Tensor, axis: int, indices: torch.Tensor) -> torch.Tensor:
    """Slices of labels, constant axes kept constant."""
    if not varies(labels, axis):
        return labels.narrow(axis, 0, 1).expand(*labels.shape[:axis], len(indices), *labels.shape[axis + 1 :])
    small = core(labels).index_select(axis, indices)
    return small.expand(*labels.shape[:axis], len(indices), *labels.shape[axis + 1 :])


def _size(labels: torch.Tensor, axes: list[int]) -> int:
    size = 1
    for axis in axes:
        size *= labels.shape[axis]
    return size
