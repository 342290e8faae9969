"""Integer tensors that travel through a network in place of its activations.

An entry names an unknown of ``Equations`` (or any label). A tensor of labels has the shape of the activation it
stands for; axes along which nothing changes have stride 0, so that it is as small as its structure. Operations that
only move entries (view, permute, slice, cat, ...) are applied to it as they are: PyTorch itself keeps the books.
"""

import math
from collections.abc import Iterable

import torch
from torch.utils._pytree import tree_map_only

from nld.finder.call_axes import reduced_axes
from nld.finder.tape import Call, Ref


def core(labels: torch.Tensor) -> torch.Tensor:
    """The labels with every constant (stride 0) axis shortened to one entry."""
    stride = labels.stride()
    if 0 not in stride:
        return labels
    shape = [1 if step == 0 and size > 1 else size for size, step in zip(labels.shape, stride, strict=True)]
    return labels.as_strided(shape, stride)


def compress(labels: torch.Tensor) -> torch.Tensor:
    """The same labels with stride 0 along every axis on which they are constant."""
    small = core(labels)
    for axis in range(small.ndim):
        if small.shape[axis] > 1:
            first = small.narrow(axis, 0, 1)
            if bool((small == first).all()):
                small = first
    return small.expand(labels.shape)


def varies(labels: torch.Tensor, *axes: int) -> bool:
    """Whether labels differ along one of these axes."""
    return any(labels.shape[axis] > 1 and labels.stride(axis) != 0 for axis in axes)


def first_along(labels: torch.Tensor, axes: Iterable[int]) -> torch.Tensor:
    """The labels at the first index of these axes."""
    for axis in axes:
        labels = labels.narrow(axis, 0, 1)
    return labels


def rows_along(labels: torch.Tensor, axes: Iterable[int]) -> torch.Tensor:
    """The core as a matrix: a column for each index of these axes, a row for each of the others."""
    small, axes = core(labels), list(axes)
    others = [axis for axis in range(small.ndim) if axis not in axes]
    sizes = (math.prod(small.shape[axis] for axis in some) for some in (others, axes))
    return small.permute(*others, *axes).reshape(*sizes)


def moved(call: Call, stand_in: dict[int, torch.Tensor], default: int) -> list[torch.Tensor]:
    """Labels of the outputs of a moving call, given those of its inputs (``default`` where there are none)."""

    def labels_of(ref: Ref) -> torch.Tensor:
        if ref.index in stand_in:
            return stand_in[ref.index]
        return torch.tensor(default).expand(ref.shape)

    arguments = tree_map_only(Ref, labels_of, call.arguments)
    try:
        result = call.function(**arguments)
    except RuntimeError:  # a view that joins a varying axis to a constant one needs memory
        result = call.function(**tree_map_only(torch.Tensor, torch.Tensor.contiguous, arguments))
    return [compress(leaf) for leaf in (result if isinstance(result, (tuple, list)) else [result])]


def reduced(labels: torch.Tensor, call: Call) -> torch.Tensor:
    """Labels that are constant along the axes of a reduction, behind it."""
    keep = len(call.outputs[0].shape) == labels.ndim
    for axis in sorted(reduced_axes(call), reverse=True) if labels.ndim else ():
        labels = labels.narrow(axis, 0, 1) if keep else labels.select(axis, 0)
    return labels


def distinct(*tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Distinct tuples of entries of labels of one shape.

    Returns the tuples (count, tensors), and the number of the tuple at every entry of the common core.
    """
    small = torch.broadcast_tensors(*(core(t) for t in tensors))
    stacked = torch.stack([t.reshape(-1) for t in small], dim=1)
    rows, inverse = torch.unique(stacked, dim=0, return_inverse=True)
    return rows, inverse.reshape(small[0].shape)
