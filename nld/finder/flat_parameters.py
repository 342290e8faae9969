"""Parameters of any structure as one vector of coordinates, and back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from nld.errors import InvalidInput


@dataclass(frozen=True)
class FlatParameters:
    """Tensors in any structure (one, a mapping, a sequence) as a point of R^D in float64."""

    shapes: tuple[torch.Size, ...]
    structure: TreeSpec
    point: Tensor

    @classmethod
    def of(cls, theta: Any) -> "FlatParameters":
        """The coordinates of ``theta``, detached from any graph."""
        leaves, structure = tree_flatten(theta)
        if not leaves or not all(isinstance(leaf, Tensor) for leaf in leaves):
            raise InvalidInput(
                f"expected theta to be a tensor or a mapping or sequence of tensors, got {type(theta).__name__} with "
                f"{sorted({type(leaf).__name__ for leaf in leaves})}; pass dict(model.named_parameters())"
            )
        return cls(tuple(leaf.shape for leaf in leaves), structure, flat([leaf.detach().double() for leaf in leaves]))

    def leaves(self, point: Tensor) -> tuple[Tensor, ...]:
        """The tensors that the coordinates stand for, in order."""
        parts = point.split([shape.numel() for shape in self.shapes])
        return tuple(part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True))

    def theta(self, point: Tensor) -> Any:
        """The tensors in their structure."""
        return tree_unflatten(list(self.leaves(point)), self.structure)

    def outputs(self, phi: Callable[[Any], Any]) -> Callable[[Tensor], Tensor]:
        """phi as a function of coordinates, all its outputs in one vector."""
        return lambda point: flat(phi(self.theta(point)))

    def nearby(self, random: torch.Generator) -> Tensor:
        """A random point beside it: every coordinate moved by about one per cent, zeros by as much as the others."""
        size = self.point.abs()
        size = torch.where(size > 0, size, size.mean() if float(size.max()) > 0 else 1.0)
        return self.point + 0.01 * size * torch.randn(len(size), generator=random, dtype=size.dtype)


def flat(tensors: Any) -> Tensor:
    """All entries of all tensors, one after the other."""
    return torch.cat([tensor.reshape(-1) for tensor in tree_leaves(tensors)])
