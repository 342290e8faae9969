"""The spheres that units of a scale symmetry are held on: norms, retraction, and the tangential part of a gradient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from nld.errors import InvalidInput
from nld.finder import Block


@dataclass(frozen=True)
class Sphere:
    """One sphere for each unit of a scale block; a unit is all entries that the block multiplies together.

    Args:
        label: of the block, as in a monitor's record.
        block: a scale symmetry that multiplies all its entries alike.
        parameters: the tensors that it moves.
    """

    label: str
    block: Block
    parameters: Mapping[str, torch.Tensor]

    def norms(self) -> torch.Tensor:
        """|q| of every unit, (units,), in float64 where the device has it."""
        return self._sum([_wide(rows).square().flatten(1).sum(1) for rows in self.block.point(self.parameters)]).sqrt()

    @torch.no_grad()
    def multiply(self, factors: torch.Tensor) -> None:
        """Multiply every unit in place; factors (units,)."""
        self._multiply(self.parameters, factors)

    @torch.no_grad()
    def multiply_gradients(self, factors: torch.Tensor) -> None:
        """Multiply the gradient of every unit in place; factors (units,)."""
        self._multiply(self._gradients(), factors)

    @torch.no_grad()
    def retract(self, radii: torch.Tensor) -> torch.Tensor:
        """q <- r q/|q|, in place; radii r and the result, the norms |q| before, have shape (units,)."""
        norms = self.norms()
        self.multiply(torch.where(norms > 0, radii / norms, 1.0))
        return norms

    @torch.no_grad()
    def project_gradients(self) -> None:
        """g <- g - q <g, q>/|q|^2, in place: what the epsilon of a normalization leaves along q is taken away."""
        gradients = self._gradients()
        if len(gradients) < len(self.parameters):
            return
        pairs = list(zip(self.block.point(gradients), self.block.point(self.parameters), strict=True))
        along = self._sum([(_wide(g) * _wide(q)).flatten(1).sum(1) for g, q in pairs]) / self.norms().square()
        for member, (g, q) in zip(self.block.members, pairs, strict=True):
            member.write(gradients[member.parameter], (_wide(g) - along[:, None] * _wide(q)).to(g))

    def _gradients(self) -> dict[str, torch.Tensor]:
        """Gradients in one piece; a sparse one is left as it is."""
        gradients = {name: p.grad for name, p in self.parameters.items()}
        return {name: g for name, g in gradients.items() if g is not None and not g.is_sparse}

    def _multiply(self, tensors: Mapping[str, torch.Tensor], factors: torch.Tensor) -> None:
        for member in self.block.members:
            if member.parameter in tensors:
                rows = member.rows(tensors[member.parameter])
                member.write(tensors[member.parameter], (_wide(rows) * factors[:, None]).to(rows))

    @staticmethod
    def _sum(parts: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.stack(list(parts)).sum(0)


def require_positive(sphere: Sphere) -> None:
    """See that no unit is zero, for then it has no direction to keep.

    Raises:
        ValueError: one is.
    """
    zero = int((sphere.norms() == 0).sum())
    if zero:
        raise InvalidInput(
            f"expected units of a positive norm in {sphere.label}, got {zero} of {sphere.block.units} that are zero; "
            "initialize them, or train a step before their norms are held"
        )


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    """In float64, or in float32 on a device that has no more: sums of squares are not to round in half precision."""
    return tensor.detach().to(torch.float32 if tensor.device.type == "mps" else torch.float64)
