"""How strongly each activation scales when parameters are scaled: the search for scale and rescale symmetries.

Multiply every entry of every parameter by exp(s d), its degree d unknown. Each activation that answers by a factor
exp(s D) has degree D, and every operation states linear equations between degrees: a product adds them, a
sum needs equal ones, a positively homogeneous function passes them on, a normalization returns zero, any other
function needs zero, and so does what the model returns. What solves all equations is a symmetry, with
residual connections, tied weights and shared modules taken into account by construction.

A parameter's degree is a sum of unknowns over its axes (row and column of a matrix): more is never possible in a
contraction with generic entries. A stack of matrices, as experts and heads are, has those of each matrix.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from nld.finder.aten_families import CONTRACTIONS, SMOOTH
from nld.finder.index_tensors import compress
from nld.finder.linear_system import Axis, Equations
from nld.finder.picked_stacks import picked_stacks
from nld.finder.propagation import Inputs, propagate
from nld.finder.scale.degrees import Degrees, Term
from nld.finder.scale.rules import rule_of
from nld.finder.tape import Call, Ref, Tape
from nld.finder.windows import windows


@dataclass(frozen=True)
class ScaleExponents:
    """What the network demands of the degrees of its parameters."""

    equations: Equations  # between the unknowns of the axes
    axes: list[Axis]  # of all trainable parameters
    unknown: dict[str, int]  # operations without a rule, and how often they met a parameter's influence
    picked: dict[str, int]  # stacks of which an index picks matrices, and the number of the tensor that does
    tied: list[str]  # trainable ones of such stacks whose matrices are taken as one
    unreached: list[str]  # stacks of which this pass used some matrices only


def scale_exponents(tape: Tape, trainable: set[str], as_one: Collection[str] = ()) -> ScaleExponents:
    """The equations between the degrees of the trainable parameters of a tape.

    Args:
        as_one: stacks of which an index picks matrices that are to have the same degrees.
    """
    degrees, axes, unknown = Degrees(tape), [], Counter()
    groups = {
        call.arguments["weight"].index: call.arguments["groups"]
        for call in tape.calls
        if call.name == "convolution" and not call.arguments["transposed"]
    }
    picked, tied = picked_stacks(tape)
    picked, tied = {name: picked[name] for name in picked if name not in as_one}, tied | set(as_one)
    stacks = _stacks(tape) | picked.keys()
    degrees.picked = {tape.parameters[name].index for name in picked}

    def follow(call: Call, inputs: Inputs) -> list[list[Term]] | None:
        rule = rule_of(call, degrees.denominators)
        if rule is None and call.name not in SMOOTH:
            unknown[call.name] += 1
        results = None if rule is None else rule(degrees, call)
        return None if results is None else [_terms(result) for result in results]

    for name, ref in tape.parameters.items():
        if name in trainable:
            axes += _declare(degrees, name, ref, groups.get(ref.index, 1), name in stacks)
    propagate(tape, degrees.values, follow, degrees.vanish)
    unreached = {axis.parameter for axis in axes if _close(degrees.equations, axis)}
    return ScaleExponents(degrees.equations, axes, dict(unknown), picked, sorted(tied & trainable), sorted(unreached))


def _terms(result) -> list[Term]:
    """What a rule returns of one output: terms, or labels alone, or None where the output does not scale."""
    if result is None:
        return []
    return result if isinstance(result, list) else [(result, 1)]


def _stacks(tape: Tape) -> set[str]:
    """Parameters of three axes whose slices along the first are each a matrix of its own in products."""
    views = windows(tape)
    used = [
        views[ref.index]
        for call in tape.calls
        if call.name in CONTRACTIONS | {"_grouped_mm"}
        for ref in call.inputs
        if ref.index in views
    ]
    stacks = set()
    for view in used:
        shape = tape.parameters[view.parameter].shape
        if len(shape) == 3 and min(shape) > 1:
            numel, layers = shape[1] * shape[2], list(zip(view.size, view.stride, strict=True))
            matrix = sorted(layers[-2:]) == sorted([(shape[1], shape[2]), (shape[2], 1)])
            if matrix and view.offset % numel == 0 and layers[:-2] in ([], [(shape[0], numel)]):
                stacks.add(view.parameter)
    return stacks


def _declare(degrees: Degrees, name: str, ref: Ref, groups: int, stacked: bool) -> list[Axis]:
    """New unknowns along the axes of a parameter."""
    shape, plan = (ref.shape, [(0, 1), (0, 2)]) if stacked else _plan(ref.shape, groups)
    declared, terms = [], []
    for axes in plan:
        sizes = [shape[axis] for axis in axes]
        unknowns = degrees.equations.new(tuple(sizes), eliminate_first=len(plan) > 1)
        declared.append(Axis(name, shape, axes, unknowns.reshape(-1)))
        labels = unknowns.reshape([shape[a] if a in axes else 1 for a in range(len(shape))]).expand(shape)
        terms.append((compress(labels if shape == ref.shape else labels.reshape(ref.shape)), 1))
        if axes is not plan[-1]:  # only the sum over axes has a meaning: fix the arbitrary constant between them
            degrees.equations.vanish_all(unknowns[:, 0].tolist() if len(axes) == 2 else [int(unknowns[0])])
    degrees.values[ref.index] = terms
    return declared


def _plan(shape: tuple[int, ...], groups: int) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """How to view a parameter, and the axes of this view (or pairs of them) with an unknown for each index.

    Of a kernel only outputs and inputs; if it has groups, the inputs of each group on their own.
    """
    if groups > 1 and len(shape) > 2:
        grouped = (groups, shape[0] // groups, *shape[1:])
        return grouped, [(0, 1)] + ([(0, 2)] if shape[1] > 1 else [])
    candidates = range(2) if len(shape) > 3 else range(len(shape))
    return shape, [(axis,) for axis in candidates if shape[axis] > 1] or [()]


def _close(equations: Equations, axis: Axis) -> bool:
    """Rows of a parameter that this pass never used follow those that it did; unused parameters stay put.

    So do whole matrices of a stack, as of experts that no token was sent to. Returns whether there are such.
    """
    unreached = False
    if len(axis.axes) == 2:
        layers = axis.unknowns.reshape(axis.shape[0], -1).tolist()
        used = [layer for layer in layers if not equations.touched.isdisjoint(layer[1:])]
        unreached = 0 < len(used) < len(layers)
        for layer in layers if used else ():
            if layer not in used:
                for unknown, other in zip(layer, used[0], strict=True):
                    equations.vanish({unknown: 1, other: -1})
    unknowns = axis.unknowns.tolist()
    used = [unknown for unknown in unknowns if unknown in equations.touched]
    for unknown in [unknown for unknown in unknowns if unknown not in equations.touched]:
        equations.vanish({unknown: 1, used[0]: -1} if used else {unknown: 1})
    return unreached
