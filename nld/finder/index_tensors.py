"""Integer tensors that travel through a network in place of its activations.

An entry names an unknown of ``Equations`` (or any label). A tensor of labels has the shape of the activation it
stands for; axes along which nothing changes have stride 0, so that it is as small as its structure. Operations that
only move entries (view, permute, slice, cat, ...) are applied to it as they are: PyTorch itself keeps the books.
"""

import torch
from torch.utils._pytree import tree_map_only

from nld.finder.tape import Call, Ref


def core(labels: torch.Tensor) -> torch.Tensor:
    """The labels with every constant (stride 0) axis shortened to one entry."""
    for axis, stride in enumerate(labels.stride()):
        if stride == 0 and labels.shape[axis] > 1:
            labels = labels.narrow(axis, 0, 1)
    return labels


def compress(labels: torch.Tensor) -> torch.Tensor:
    """The same labels with stride 0 along every axis on which they are constant."""
    small = core(labels)
    for axis in range(small.ndim):
        if small.shape[axis] > 1:
            first = small.narrow(axis, 0, 1)
            if bool((small == first).all()):
                small = first
    return small.expand(labels.shape)


def varies(labels: torch.Tensor, axis: int) -> bool:
    """Whether labels differ along an axis."""
    return labels.shape[axis] > 1 and labels.stride(axis) != 0


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


def reduced_axes(call: Call) -> list[int]:
    """The axes of its input that a reduction sums over, counted from the first; all if it names none."""
    count = len(call.arguments["self"].shape)
    axes = call.arguments.get("dim")
    if axes is None or axes == []:
        axes = list(range(count))
    return [axis % max(count, 1) for axis in ([axes] if isinstance(axes, int) else axes)]


def reduced(labels: torch.Tensor, call: Call) -> torch.Tensor:
    """Labels that are constant along the axes of a reduction, behind it."""
    keep = len(call.outputs[0].shape) == labels.ndim
    for axis in sorted(reduced_axes(call), reverse=True) if labels.ndim else ():
        labels = labels.narrow(axis, 0, 1) if keep else labels.select(axis, 0)
    return labels


def distinct(*tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, tuple[int, ...]]:
    """Distinct tuples of entries of labels of one shape.

    Returns the tuples (count, tensors), the number of the tuple at every entry of the common core, and its shape.
    """
    small = torch.broadcast_tensors(*(core(t) for t in tensors))
    stacked = torch.stack([t.reshape(-1) for t in small], dim=1)
    rows, inverse = torch.unique(stacked, dim=0, return_inverse=True)
    return rows, inverse.reshape(small[0].shape), tuple(small[0].shape)
