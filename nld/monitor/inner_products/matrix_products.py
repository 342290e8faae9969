"""The d x d matrices of heads: Σ left right^T over the features of each unit, straight from the tensors.

Everything else about a unit is a number, which the back ends take down; a matrix is a product of matrices, and what a
library for them does best. Tensors are read where they are, and only the displacement of one parameter is formed.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, nullcontext

import torch

from nld.monitor.inner_products.layout import Use
from nld.monitor.inner_products.products import DISPLACEMENT, GRADIENT, MATRICES, MOMENTUM, NOW, POSITION

Heads = Callable[[torch.Tensor], torch.Tensor]


@contextmanager
def _full_precision():
    """Inner products in the tensors' own precision, whatever the training loop allows its matmuls."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)


@contextmanager
def own_precision(device: str, dtype: torch.dtype):
    """Products of this precision are neither rounded to a coarser one nor cast."""
    exact = torch.get_float32_matmul_precision() == "highest" or dtype == torch.float64
    cast = torch.is_autocast_enabled(device)
    with (
        nullcontext() if exact else _full_precision(),
        torch.autocast(device, enabled=False) if cast else nullcontext(),
    ):
        yield


def heads(use: Use, shape: torch.Size) -> Heads:
    """How a contiguous tensor of a parameter's shape becomes (units, d, features), as a view where there is one."""
    member = use.member
    lying = member.arranged(torch.empty(shape, device="meta"))
    try:
        lying = lying.view(member.units, use.size, -1)
    except RuntimeError:
        return member.rows
    size, stride, offset = lying.shape, lying.stride(), int(lying.storage_offset())
    return lambda tensor: tensor.as_strided(size, stride, tensor.storage_offset() + offset)


class MatrixProducts:
    """MATRICES of all units that have d x d matrices.

    Args:
        parameters: the tracked parameters.
        uses: members that have a matrix.
        positions: of each parameter with such a use, where a back end keeps its position before the last step.
        targets: for each d the matrices of all rows, (len(MATRICES), rows, d, d), are written to.
    """

    def __init__(
        self,
        parameters: Sequence[torch.Tensor],
        uses: Sequence[Use],
        positions: Mapping[int, torch.Tensor],
        targets: Mapping[int, torch.Tensor],
    ):
        self._positions = {index: positions[index].view(parameters[index].shape) for index in positions}
        self._uses: dict[int, list[tuple[Use, Heads, list[torch.Tensor]]]] = {index: [] for index in positions}
        for use in uses:
            out = targets[use.size][:, use.row : use.row + use.member.units].unbind()
            self._uses[use.parameter].append((use, heads(use, parameters[use.parameter].shape), list(out)))
        self._device, self._dtype = parameters[0].device.type, next(iter(targets.values())).dtype
        longest = max(position.numel() for position in positions.values())
        self._moved = torch.empty(longest, device=parameters[0].device, dtype=self._dtype)

    @torch.no_grad()
    def measure(self, gradients, momenta, parameters, scale, skipped) -> None:
        """Fill the matrices; arguments as for InnerProducts.measure. Positions must still be those of the last call."""
        with own_precision(self._device, self._dtype):
            for index, uses in self._uses.items():
                self._measure(uses, gradients[index], momenta[index], parameters[index], self._positions[index])
            for each in self._gradients if scale is not None or skipped is not None else ():
                if scale is not None:
                    each.div_(scale)
                if skipped is not None:
                    each.masked_fill_(skipped > 0, 0.0)

    @property
    def _gradients(self) -> list[torch.Tensor]:
        """What has the gradient as a factor."""
        place = [left for left, _ in MATRICES.values()].index(GRADIENT)
        return [out[place] for uses in self._uses.values() for _, _, out in uses]

    def _measure(self, uses, gradient, momentum, parameter, position) -> None:
        """All matrices of one parameter."""
        moved = self._moved[: position.numel()].view(position.shape)
        vectors = {
            GRADIENT: self._plain(gradient),
            MOMENTUM: self._plain(momentum),
            POSITION: position,
            NOW: self._plain(parameter),
            DISPLACEMENT: torch.sub(parameter.detach(), position, out=moved),
        }
        for use, arranged, out in uses:
            rows = {which: arranged(tensor) for which, tensor in vectors.items() if tensor is not None}
            coefficient = use.member.coefficient
            for (left, right), target in zip(MATRICES.values(), out, strict=True):
                if left not in rows:
                    target.zero_()
                    continue
                # B q has the charge π q^T; -B^T q has -(π q^T)^T = -q π^T.
                a, b = (left, right) if coefficient > 0 else (right, left)
                torch.baddbmm(target, rows[a], rows[b].transpose(1, 2), beta=0, alpha=coefficient, out=target)

    def _plain(self, tensor: torch.Tensor | None) -> torch.Tensor | None:
        """Contiguous and in the precision of the products; the tensor itself as a rule."""
        return None if tensor is None else tensor.detach().to(self._dtype).contiguous()
