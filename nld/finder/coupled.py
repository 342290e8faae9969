"""Symmetries whose generators depend on other weights than those that they move: what is known of each of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import torch

from nld.errors import InvalidInput
from nld.symmetry import Symmetry

Tensors = Mapping[str, torch.Tensor]


class Coupling(StrEnum):
    """The kinds of coupled symmetry; each is its own name."""

    ABSORPTION = "absorption"
    ROTATION = "rotation"


class Flow(Protocol):
    """How a coupled symmetry moves parameters, along a direction that it has ``dimension`` independent ones of."""

    @property
    def moved(self) -> tuple[str, ...]:
        """Names of the parameters that move."""
        ...

    @property
    def read(self) -> tuple[str, ...]:
        """Names of those that stay, and on which the generator depends."""
        ...

    @property
    def dimension(self) -> int:
        """Number of independent directions."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a direction."""
        ...

    def basis(self) -> Iterator[torch.Tensor]:
        """Independent directions, in float64."""
        ...

    def velocity(self, parameters: Tensors, direction: torch.Tensor, names: Sequence[str]) -> dict[str, torch.Tensor]:
        """A(q), of these of the parameters that move."""
        ...

    def transform(
        self, parameters: Tensors, direction: torch.Tensor, amount: float
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Q(q, s), parameter by parameter: each new value may be written before the next is asked for."""
        ...


@dataclass(frozen=True)
class Coupled:
    """A symmetry of the loss whose generator A(q) is a function of more weights than it moves.

    - absorption: a constant that is added to activations (a bias, that of a layer normalization, a value's) moves by u,
      and the next bias by -W u, W the weights in between. Or the row of a weight behind a layer normalization moves by
      t / gain, which adds t Σ bias / gain to its output, and the next bias takes that away. Or what weights write moves
      by t / λ in front of gains λ (LayerScale), behind which nothing notices the constant t.
    - rotation: the residual stream turns, x → R x. What writes into it turns along, and what reads it behind a
      normalization with gains Γ, W Γ x / |x|, turns by W → W Γ Rᵀ Γ⁻¹; what writes Λ W y into it behind gains Λ turns
      by W → Λ⁻¹ R Λ W; R leaves the vector of ones alone where the
      normalization subtracts a mean, whose bias turns by Γ R Γ⁻¹.

    The exact discrete law holds with this generator as with every smooth one (``nld.theory.discrete.charge_change`` of
    ``symmetry``). The monitor does not follow it: A(q_n) - A(q_{n-1}) is no inner product of what an optimizer keeps.

    Args:
        kind: a ``Coupling``.
        name: where in the model, for people.
        flow: what moves and how.
        reason: one sentence on why the loss cannot notice the transformation.
        prefix: what wrappers put before the names of parameters.
    """

    kind: Coupling
    name: str
    flow: Flow
    reason: str
    prefix: str = ""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that move."""
        return tuple(self.prefix + name for name in self.flow.moved)

    @property
    def dimension(self) -> int:
        """How many independent generators it has."""
        return self.flow.dimension

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a direction: (units,) of an absorption, (d, d) of a rotation."""
        return self.flow.shape

    def directions(self) -> Iterator[torch.Tensor]:
        """Independent directions, ``dimension`` of them."""
        return self.flow.basis()

    def point(self, tensors: Tensors) -> tuple[torch.Tensor, ...]:
        """What ``symmetry`` acts on: the parameters that move, then those that the generator only reads."""
        return tuple(tensors[self.prefix + name] for name in (*self.flow.moved, *self.flow.read))

    def symmetry(self, direction: torch.Tensor) -> Symmetry:
        """The one-parameter family along a direction, on ``point``.

        Raises:
            ValueError: the direction has another shape than ``shape``.
        """
        if tuple(direction.shape) != self.shape:
            raise InvalidInput(
                f"expected a direction of shape {self.shape} for {self.name!r}, got {tuple(direction.shape)}; "
                "take one of .directions(), or a sum of them"
            )
        names = (*self.flow.moved, *self.flow.read)

        def generator(q: Sequence[torch.Tensor]) -> tuple:
            velocity = self.flow.velocity(dict(zip(names, q, strict=True)), direction, self.flow.moved)
            return tuple(velocity.get(name, 0 * part) for name, part in zip(names, q, strict=True))

        def transform(q: Sequence[torch.Tensor], s: float) -> tuple:
            moved = dict(self.flow.transform(dict(zip(names, q, strict=True)), direction, s))
            return tuple(moved.get(name, part) for name, part in zip(names, q, strict=True))

        return Symmetry(self.kind.value, transform, generator)

    def describe(self) -> str:
        """The symmetry in words."""
        count = "one direction" if self.dimension == 1 else f"{self.dimension} directions"
        return f"{self.kind} in {count}: {self.name}; {self.reason}."
