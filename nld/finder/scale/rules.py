"""How each operation passes on degrees: one function for each family of operations.

A rule is given what is known and a call; it states the equations that the operation demands and returns the degrees
of the outputs, as labels of unknowns or as terms, or an empty list where they are zero, or None if no input may scale.
"""

from collections.abc import Callable
from fractions import Fraction

import torch

from nld.finder import aten_families as aten
from nld.finder.call_axes import normalization, pooled_axes, reduced_axes
from nld.finder.index_tensors import compress, core, first_along, moved, reduced, varies
from nld.finder.linear_system import ZERO
from nld.finder.picked_stacks import picking
from nld.finder.scale import contractions
from nld.finder.scale.degrees import Degrees, taken
from nld.finder.tape import EPSILON, Call, Ref

FEW = 10_000  # more zeros than this are taken as numbers


def _copy(degrees: Degrees, call: Call):
    return [degrees.values[call.inputs[0].index]]


def _move(degrees: Degrees, call: Call):
    inputs = [ref for ref in call.inputs if ref.index in degrees.values]
    if len(call.inputs) == 1:
        parts = [moved(call, {inputs[0].index: labels}, ZERO) for labels, _ in degrees.values[inputs[0].index]]
        factors = [factor for _, factor in degrees.values[inputs[0].index]]
        return [list(zip(outputs, factors, strict=True)) for outputs in zip(*parts, strict=True)]
    labels = {ref.index: degrees.labels(ref) for ref in inputs}
    for ref in call.inputs:  # zeros between activations have whatever degree their place needs
        if ref.index in degrees.zeros and torch.Size(ref.shape).numel() <= FEW:
            labels[ref.index] = degrees.equations.new(ref.shape)
    return moved(call, labels, ZERO)


def _complex(degrees: Degrees, call: Call):
    labels = degrees.labels(call.arguments["self"])
    if call.name == "view_as_real":
        return [labels.unsqueeze(-1).expand(call.outputs[0].shape)]
    return [degrees.tie(labels, [-1])[..., 0]]


def _embedding(degrees: Degrees, call: Call):
    weight, indices = call.arguments["weight"], call.arguments["indices"]
    shape = (*indices.shape, weight.shape[1])
    return [[(labels[0].expand(shape), factor) for labels, factor in degrees.tied(weight, 0)]]


def _index(degrees: Degrees, call: Call):
    """Rows picked by an index: which ones may depend on data, so all must have one degree.

    Whole matrices of stacks keep their own where the same index picks them all, as that of the expert of each token:
    whatever it is for other data, matrices that meet are of one expert.
    """
    source = call.arguments["self"]
    one = picking(call) if source.index in degrees.picked else None
    if one is not None and one.value is not None:
        rows = one.value.cpu()
        return [[(taken(labels, 0, rows), factor) for labels, factor in degrees.values[source.index]]]
    labels = degrees.labels(source)
    if "indices" in call.arguments:
        indices = call.arguments["indices"]
        chosen = ([None if index is None else index.value for index in indices],)
        axes = [axis for axis, index in enumerate(indices) if index is not None]
    else:
        chosen = (call.arguments["dim"], call.arguments["index"].value)
        axes = [call.arguments["dim"]]
    if source.index in degrees.parameters or any(varies(labels, axis % labels.ndim) for axis in axes):
        labels = degrees.tie(labels, axes)
    degrees.values[source.index] = [(labels, 1)]
    return [compress(call.function(labels, *chosen))]


def _same(degrees: Degrees, call: Call):
    for ref in call.inputs[1:]:
        degrees.vanish(ref)
    return [degrees.labels(call.inputs[0]).expand(call.outputs[0].shape)]


def _compare(degrees: Degrees, call: Call):
    """A comparison with zero gives the same answer whatever the scale."""
    return []


def _sum(degrees: Degrees, call: Call):
    """A sum, maximum or choice of tensors: equal degrees at every entry."""
    refs = [v for name, v in call.arguments.items() if isinstance(v, Ref) and name != "condition"]
    refs = [ref for ref in refs if ref.index not in degrees.zeros]
    if call.name == "where":
        refs = [ref for ref in refs if not aten.hides(ref.constant)]
    shape = call.outputs[0].shape
    constants = [v for k, v in call.arguments.items() if k in ("other", "self") and isinstance(v, (int, float))]
    small = call.outputs[0].index in degrees.denominators
    if any(c != 0 and not (small and isinstance(c, float) and 0 < c <= EPSILON) for c in constants):
        for ref in refs:
            degrees.vanish(ref)
        return []
    tied = [degrees.labels(ref).expand(shape) for ref in refs]
    for other in tied[1:]:
        degrees.vanishing_sum([(tied[0], 1), (other, -1)])
    return [compress(tied[0])] if tied else []


def _gather(degrees: Degrees, call: Call):
    """Rows added into the rows of another tensor that an index names."""
    axis, source = call.arguments["dim"], call.arguments["source" if call.name == "index_add" else "src"]
    labels = degrees.tie(degrees.labels(source), [axis]).narrow(axis, 0, 1).expand(call.outputs[0].shape)
    if call.arguments["self"].index not in degrees.zeros:
        degrees.vanishing_sum([(labels, 1), (degrees.labels(call.arguments["self"]), -1)])
    return [labels]


def _gated(degrees: Degrees, call: Call):
    """glu: one half times the sigmoid of the other."""
    half, gate = degrees.labels(call.arguments["self"]).chunk(2, call.arguments["dim"])
    degrees.equations.vanish_all(core(gate).unique().tolist())
    return [half]


def _product(degrees: Degrees, call: Call):
    left, right = (call.arguments.get(name) for name in ("self", "other"))
    if call.outputs[0].index in degrees.zeros:
        return []
    shape = call.outputs[0].shape
    sign = -1 if call.name == "div" else 1
    terms = []
    for ref, factor in ((left, 1), (right, sign)):
        if isinstance(ref, Ref) and ref.index in degrees.values:
            terms += [(labels.expand(shape), factor * f) for labels, f in degrees.values[ref.index]]
    if call.arguments.get("rounding_mode") is not None:
        return None
    return [terms if len(terms) < 3 else degrees.fold(terms)]


def _power(degrees: Degrees, call: Call):
    exponent = {"sqrt": 0.5, "rsqrt": -0.5, "reciprocal": -1, "square": 2}.get(call.name)
    if exponent is None:
        exponent = call.arguments.get("exponent")
    if not isinstance(exponent, (int, float)) or (2 * exponent) != int(2 * exponent):
        return None
    factor = int(exponent) if exponent == int(exponent) else Fraction(exponent)
    return [degrees.fold([(degrees.labels(call.arguments["self"]), factor)])]


def _reduce(degrees: Degrees, call: Call):
    if isinstance(call.arguments.get("other"), Ref):  # the larger of two tensors
        return _sum(degrees, call)
    labels = degrees.tie(degrees.labels(call.arguments["self"]), reduced_axes(call))
    result = reduced(labels, call).expand(call.outputs[0].shape)
    if call.name == "var_mean":
        return [degrees.fold([(result, 2)]), result]
    if call.name == "var":
        return [degrees.fold([(result, 2)])]
    return [result]


def _pool(degrees: Degrees, call: Call):
    if call.name == "constant_pad_nd" and call.arguments.get("value", 0) != 0:
        return None
    axes = pooled_axes(call)
    labels = degrees.tie(degrees.labels(call.arguments["self"]), list(axes))
    if call.name == "im2col":
        repeats = call.outputs[0].shape[-2] // labels.shape[-3]
        return [labels[..., 0, 0].repeat_interleave(repeats, -1).unsqueeze(-1).expand(call.outputs[0].shape)]
    return [first_along(labels, axes).expand(call.outputs[0].shape)]


def _norm(degrees: Degrees, call: Call):
    """Layer, group, instance and batch normalization: degrees equal over what is normalized together are forgotten."""
    source, weight, bias = call.arguments["input"], call.arguments.get("weight"), call.arguments.get("bias")
    view, axes, place = normalization(call)
    if axes is None:
        degrees.vanish(source)
    else:
        degrees.tie(compress(degrees.labels(source).reshape(view)), axes)
    result = torch.tensor(ZERO).expand(source.shape)
    if isinstance(weight, Ref):
        result = degrees.labels(weight).reshape(place).expand(source.shape)
    if isinstance(bias, Ref):
        offset = degrees.labels(bias).reshape(place).expand(source.shape)
        degrees.vanishing_sum([(result, 1), (offset, -1)])
    return [compress(result)]


def _weight_norm(degrees: Degrees, call: Call):
    """A weight as a length times a direction."""
    direction, gain, dim = (call.arguments[name] for name in ("v", "g", "dim"))
    labels = degrees.labels(direction)
    degrees.tie(labels, [axis for axis in range(labels.ndim) if axis != dim % labels.ndim])
    return [degrees.labels(gain).expand(direction.shape)]


def _rms_norm(degrees: Degrees, call: Call):
    """Division by the root mean square."""
    source, weight = call.arguments["input"], call.arguments.get("weight")
    degrees.tie(degrees.labels(source), list(range(-len(call.arguments["normalized_shape"]), 0)))
    return [degrees.labels(weight).expand(source.shape)] if isinstance(weight, Ref) else []


RULES: dict[str, Callable] = {
    **dict.fromkeys(aten.COPIES, _copy),
    **dict.fromkeys(aten.MOVES, _move),
    **dict.fromkeys(aten.POOLS, _pool),
    **dict.fromkeys(aten.NORMS, _norm),
    **dict.fromkeys(aten.REDUCTIONS, _reduce),
    **dict.fromkeys((*aten.HOMOGENEOUS, "native_dropout"), _same),
    **dict.fromkeys(("add", "sub", "rsub", "maximum", "minimum", "where"), _sum),
    **dict.fromkeys(("mul", "div"), _product),
    **dict.fromkeys(("index_add", "scatter_add"), _gather),
    **dict.fromkeys(("pow", "sqrt", "rsqrt", "reciprocal", "square"), _power),
    **dict.fromkeys(aten.CONTRACTIONS, contractions.matrix),
    **dict.fromkeys(("mv", "dot", "vdot"), contractions.vector),
    **dict.fromkeys(("index", "index_select"), _index),
    **dict.fromkeys(("view_as_complex", "view_as_real"), _complex),
    "convolution": contractions.convolution,
    "embedding": _embedding,
    "_fused_rms_norm": _rms_norm,
    "glu": _gated,
    "_grouped_mm": contractions.grouped,
    "_weight_norm_interface": _weight_norm,
}


def rule_of(call: Call, denominators: set[int]) -> Callable | None:
    """The rule that follows a call, None if there is none: then nothing that scales may reach it."""
    given = {name: v.constant if isinstance(v, Ref) else v for name, v in call.arguments.items()}
    if call.name in aten.COMPARISONS:
        return _compare if given.get("other") == 0 else None
    floor = given.get("min")
    floor = float(floor) if isinstance(floor, (int, float)) else -1.0
    small = bool(call.outputs) and call.outputs[0].index in denominators and 0 <= floor <= EPSILON
    homogeneous = {
        "clamp_min": floor == 0 or small,
        "clamp": (floor == 0 or small) and call.arguments.get("max") is None,
        "threshold": given.get("threshold") == 0 == given.get("value"),
        "masked_fill": given.get("value") == 0 or aten.hides(given.get("value")),
    }
    if homogeneous.get(call.name):
        return _same
    return RULES.get(call.name)
