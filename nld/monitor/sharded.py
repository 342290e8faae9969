"""Tensors that lie in pieces on several processes, as ``fully_shard`` and tensor parallelism leave them."""

from collections.abc import Sequence
from typing import TypeVar

import torch

Perhaps = TypeVar("Perhaps", bound=torch.Tensor | None)


def is_sharded(tensor: torch.Tensor) -> bool:
    """Whether it is a DTensor, of which each process holds a piece."""
    return hasattr(tensor, "full_tensor")


def gathered(tensors: Sequence[Perhaps]) -> list[Perhaps]:
    """Each tensor whole; every process must call this, with the same tensors in the same order."""
    return [_whole(tensor) if tensor is not None and is_sharded(tensor) else tensor for tensor in tensors]


def local(tensor: torch.Tensor) -> torch.Tensor:
    """The piece that this process holds; a tensor that is whole as it is."""
    return tensor.detach().to_local() if is_sharded(tensor) else tensor  # pyright: ignore[reportAttributeAccessIssue]


def _whole(tensor):
    return tensor.detach().full_tensor()
