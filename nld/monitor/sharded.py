"""Tensors that lie in pieces on several processes, as ``fully_shard`` and tensor parallelism leave them."""

from collections.abc import Sequence
from typing import Any

import torch


def is_sharded(tensor: torch.Tensor) -> bool:
    """Whether it is a DTensor, of which each process holds a piece."""
    return hasattr(tensor, "full_tensor")


def gathered(tensors: Sequence[Any]) -> list[Any]:
    """Each tensor whole, None as it is; every process must call this, with the same tensors in the same order."""
    return [t.detach().full_tensor() if t is not None and is_sharded(t) else t for t in tensors]


def local(tensor: torch.Tensor) -> torch.Tensor:
    """The piece that this process holds; a tensor that is whole as it is."""
    return tensor.detach().to_local() if is_sharded(tensor) else tensor  # pyright: ignore[reportAttributeAccessIssue]
