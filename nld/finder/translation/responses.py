"""How one activation answers to a shift of parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from nld.finder.index_tensors import core


@dataclass(frozen=True)
class Answer:
    """coefficient * v[unknowns] * t[labels] at each entry of an activation."""

    unknowns: torch.Tensor
    labels: torch.Tensor
    coefficient: float = 1.0

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Answer:
        """The answer after an operation that moves entries."""
        return Answer(function(self.unknowns), function(self.labels), self.coefficient)

    def expand(self, shape: tuple[int, ...]) -> Answer:
        """The same answer where an operation broadcasts."""
        return Answer(self.unknowns.expand(shape), self.labels.expand(shape), self.coefficient)

    @property
    def even(self) -> bool:
        """Whether t is the constant 1 at every entry."""
        return not bool(core(self.labels).any())
