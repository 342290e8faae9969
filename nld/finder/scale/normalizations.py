"""How normalizations pass on degrees: they forget them, if they are equal where it counts."""

import torch

from nld.finder.aten_families import NORMS
from nld.finder.index_tensors import compress
from nld.finder.linear_system import ZERO
from nld.finder.scale.degrees import Degrees
from nld.finder.tape import Call, Ref


def norm(degrees: Degrees, call: Call):
    """Layer, group, instance and batch normalization: degrees equal over what is normalized together are forgotten."""
    source = call.arguments["input"]
    weight, bias = call.arguments.get("weight"), call.arguments.get("bias")
    labels = degrees.labels(source)
    if call.name == "native_layer_norm":
        axes = list(range(labels.ndim - len(call.arguments["normalized_shape"]), labels.ndim))
        place = [1] * (labels.ndim - len(axes)) + list(call.arguments["normalized_shape"])
    else:
        axes = [axis for axis in range(labels.ndim) if axis != 1]
        place = [1, labels.shape[1]] + [1] * (labels.ndim - 2)
    if call.name == "native_group_norm":
        groups = call.arguments["group"]
        grouped = compress(labels.reshape(labels.shape[0], groups, -1))
        degrees.tie(grouped, [2])
    elif call.name in NORMS and call.arguments.get("training", call.arguments.get("train", True)) is False:
        degrees.vanish(source)
    else:
        degrees.tie(labels, axes)
    result = torch.tensor(ZERO).expand(source.shape)
    if isinstance(weight, Ref):
        result = degrees.labels(weight).reshape(place).expand(source.shape)
    if isinstance(bias, Ref):
        offset = degrees.labels(bias).reshape(place).expand(source.shape)
        degrees.vanishing_sum([(result, 1), (offset, -1)])
    return [compress(result)]


def weight_norm(degrees: Degrees, call: Call):
    """A weight as a length times a direction."""
    direction, gain, dim = (call.arguments[name] for name in ("v", "g", "dim"))
    labels = degrees.labels(direction)
    degrees.tie(labels, [axis for axis in range(labels.ndim) if axis != dim % labels.ndim])
    return [degrees.labels(gain).expand(direction.shape)]


def rms_norm(degrees: Degrees, call: Call):
    """Division by the root mean square."""
    source, weight = call.arguments["input"], call.arguments.get("weight")
    count = len(call.arguments["normalized_shape"])
    labels = degrees.labels(source)
    degrees.tie(labels, list(range(labels.ndim - count, labels.ndim)))
    return [degrees.labels(weight).expand(source.shape)] if isinstance(weight, Ref) else []
