"""How contractions pass on degrees: matrix and vector products, grouped products, convolutions.

In each, the degrees of the factors add up, and the sums over the contracted axis must have one degree.
"""

import torch

from nld.finder.index_tensors import compress
from nld.finder.linear_system import ZERO
from nld.finder.scale.degrees import Degrees, Term, taken
from nld.finder.tape import Call, Ref


def matrix(degrees: Degrees, call: Call):
    """mm, bmm and their like, and what is added to the product: its degree must be the product's."""
    left, right = [call.arguments[n] for n in call.arguments if isinstance(call.arguments[n], Ref)][-2:]
    result = None
    if left.index not in degrees.zeros and right.index not in degrees.zeros:
        batch = len(left.shape) - 2 if call.name in ("bmm", "baddbmm") else 0
        terms = []
        rows, columns = left.shape[-2:-1], right.shape[-1:]
        space = (*left.shape[:batch], *rows, *columns, left.shape[-1])
        for labels, factor in degrees.values.get(left.index, []):
            terms.append((labels.unsqueeze(-2).expand(space), factor))
        for labels, factor in degrees.values.get(right.index, []):
            terms.append((labels.transpose(-1, -2).unsqueeze(-3).expand(space), factor))
        result = degrees.contract(terms, len(space) - 1) if terms else torch.tensor(ZERO).expand(space[:-1])
    extra = call.arguments.get("self") if call.name in ("addmm", "baddbmm") else None
    if extra is None or extra.index in degrees.zeros:
        return [result]
    extra = degrees.labels(extra).expand(call.outputs[0].shape)
    if result is not None:
        degrees.vanishing_sum([(result, 1), (extra, -1)])
    return [extra if result is None else result]


def grouped(degrees: Degrees, call: Call):
    """Rows of one matrix, each times the one of several matrices whose group it is in, as routed to experts."""
    rows, matrices, ends = (call.arguments[name] for name in ("self", "mat2", "offs"))
    if not isinstance(ends, Ref) or ends.value is None or len(rows.shape) != 2 or len(matrices.shape) != 3:
        return None
    groups = torch.searchsorted(ends.value, torch.arange(rows.shape[0]).to(ends.value), right=True)
    groups = groups.clamp_max(matrices.shape[0] - 1).cpu()
    space = (rows.shape[0], matrices.shape[2], rows.shape[1])
    terms = [(labels.unsqueeze(1).expand(space), factor) for labels, factor in degrees.values.get(rows.index, [])]
    terms += [(taken(labels, 0, groups).mT, factor) for labels, factor in degrees.values.get(matrices.index, [])]
    return [degrees.contract(terms, 2)]


def vector(degrees: Degrees, call: Call):
    """mv and dot."""
    left, right = call.inputs[0], call.inputs[1]
    terms = [(labels, factor) for labels, factor in degrees.values.get(left.index, [])]
    terms += [(labels.expand(left.shape), factor) for labels, factor in degrees.values.get(right.index, [])]
    return [degrees.contract(terms, len(left.shape) - 1)]


def convolution(degrees: Degrees, call: Call):
    """A convolution of any dimension, transposed or not, by groups, with its bias."""
    source, weight = call.arguments["input"], call.arguments["weight"]
    groups, transposed = call.arguments["groups"], call.arguments["transposed"]
    output = call.outputs[0].shape
    batch, channels = output[0], output[1]
    kernel = tuple(weight.shape[2:])
    space = (batch, groups, channels // groups, source.shape[1] // groups, *kernel)
    terms: list[Term] = []
    if source.index in degrees.values:
        labels = degrees.labels(source)
        labels = degrees.tie(labels, list(range(2, labels.ndim)))
        labels = labels[(..., *[0] * (labels.ndim - 2))].reshape(batch, groups, 1, -1)
        terms.append((compress(labels).reshape(batch, groups, 1, -1, *[1] * len(kernel)).expand(space), 1))
    for labels, factor in degrees.values.get(weight.index, []):
        labels = labels.reshape(groups, -1, *weight.shape[1:])
        labels = labels.transpose(1, 2) if transposed else labels
        terms.append((compress(labels).unsqueeze(0).expand(space), factor))
    result = degrees.contract(terms, 3) if terms else torch.tensor(ZERO).expand(space[:3])
    result = compress(result.reshape(batch, channels)).reshape(batch, channels, *[1] * len(kernel)).expand(output)
    bias = call.arguments.get("bias")
    if isinstance(bias, Ref):
        offset = degrees.labels(bias).reshape(1, -1, *[1] * len(kernel)).expand(output)
        degrees.vanishing_sum([(result, 1), (offset, -1)])
    return [result]
