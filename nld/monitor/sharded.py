"""Tensors that lie in pieces on several processes, as ``fully_shard`` and tensor parallelism leave them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


def is_sharded(tensor: torch.Tensor) -> bool:
    """Whether it is a DTensor, of which each process holds a piece."""
    return hasattr(tensor, "full_tensor")


def gathered(tensors: Sequence[Any]) -> list[Any]:
    """Each tensor whole, None as it is; every process must call this, with the same tensors in the same order."""
    return [t.detach().full_tensor() if t is not None and is_sharded(t) else t for t in tensors]


def local(tensor: torch.Tensor) -> torch.Tensor:
    """The piece that this process holds; a tensor that is whole as it is."""
    return tensor.detach().to_local() if is_sharded(tensor) else tensor  # pyright: ignore[reportAttributeAccessIssue]


def is_first(tensors: Sequence[Any]) -> bool:
    """Whether this process is the first of those that share the sharded ones; True if none is sharded."""
    meshes = [tensor.device_mesh for tensor in tensors if is_sharded(tensor)]
    return not any(any(mesh.get_coordinate() or ()) for mesh in meshes)


def computed_in(module: nn.Module, parameters: Sequence[Any]) -> set[torch.dtype]:
    """The precisions that ``fully_shard`` was told to compute and to add up gradients of some parameters in.

    Its MixedPrecisionPolicy casts weights that it has gathered, so autograd never sees the float32 weights: no hook of
    theirs is called, and gradients that were added up in float32 show no trace of it.
    """
    shared, told = {id(tensor) for tensor in parameters if is_sharded(tensor)}, set()
    if not shared:
        return told
    owners: dict[int, Any] = {}  # of each parameter, the policy of the innermost module that was sharded
    for each in module.modules():  # parents first
        if (policy := getattr(_state(each), "_mp_policy", None)) is not None:
            owners |= {id(parameter): policy for parameter in each.parameters() if id(parameter) in shared}
    for policy in owners.values():
        told |= {policy.param_dtype, policy.reduce_dtype}
    return told - {None}


def _state(module: nn.Module) -> Any:
    """What ``fully_shard`` keeps with a module that it was called with; it offers no public way to ask."""
    ask = getattr(module, "_get_fsdp_state", None)
    return None if ask is None else ask()
