"""The d x d matrices of heads: Σ left right^T over the features of each unit, straight from the tensors.

Everything else about a unit is a number, which the back ends take down; a matrix is a product of matrices, and what a
library for them does best. Tensors are read where they are, and only the displacement of one parameter is formed.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch

from nld.monitor.inner_products import numba_heads
from nld.monitor.inner_products.layout import Use, heads_as_view
from nld.monitor.inner_products.products import DISPLACEMENT, GRADIENT, MATRICES, MOMENTUM, NOW, POSITION

_WITH_GRADIENT = "gradient_now"
_OF_NEXT = (_WITH_GRADIENT, "momentum_moved")  # what only the step that begins asks for
_OF_LAST = ("position_generator",)  # what only the step that ends does


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


class Heads:
    """How a contiguous tensor of a parameter's shape becomes (units, d, features), as a view where there is one."""

    def __init__(self, use: Use, shape: torch.Size):
        self._member, lying = use.member, heads_as_view(use, shape)
        self.is_view = lying is not None
        if lying is None:
            return
        self._offset = int(lying.storage_offset())
        (units, d, features), (a, b, c) = lying.shape, lying.stride()
        self._places = ((units, d, features), (a, b, c)), ((units, features, d), (a, c, b))

    def __call__(self, tensor: torch.Tensor, turned: bool) -> torch.Tensor:
        """The heads of a tensor, or if ``turned`` the transpose of each."""
        if self.is_view:
            return tensor.as_strided(*self._places[turned], tensor.storage_offset() + self._offset)
        rows = self._member.rows(tensor)
        return rows.transpose(1, 2) if turned else rows


class _Factors:
    """What products take of one vector of a parameter: views of its tensor, made anew only for another tensor."""

    def __init__(self, dtype: torch.dtype):
        self._dtype, self._asked = dtype, []
        self._tensor: torch.Tensor | None = None
        self._address, self._views = 0, []

    def ask(self, heads: Heads, turned: bool) -> int:
        """Returns where these heads will be among all that `of` returns."""
        self._asked.append((heads, turned))
        return len(self._asked) - 1

    def of(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        if tensor is not self._tensor or tensor.data_ptr() != self._address or not tensor.is_contiguous():
            plain = tensor.detach().to(self._dtype).contiguous()  # the tensor itself as a rule
            self._views = [heads(plain, turned) for heads, turned in self._asked]
            views = plain.data_ptr() == tensor.data_ptr() and all(heads.is_view for heads, _ in self._asked)
            self._tensor, self._address = (tensor, plain.data_ptr()) if views else (None, 0)
        return self._views


@dataclass(frozen=True)
class _Product:
    """One of MATRICES for the units of a use."""

    out: torch.Tensor
    needs: int  # its first factor, which may vanish
    left: tuple[int, int]  # the vector on the left, and which of its factors
    right: tuple[int, int]
    coefficient: float


class _OfParameter:
    """The products of one parameter, and their factors.

    Args:
        uses: its uses with a matrix, and for each where MATRICES go.
        position: where a back end keeps its position before the last step.
        moved: room for its displacement.
    """

    def __init__(self, uses: Sequence[tuple[Use, Sequence[torch.Tensor]]], position: torch.Tensor, moved: torch.Tensor):
        self._position, self._moved = position, moved
        self._factors = {which: _Factors(moved.dtype) for which in (GRADIENT, MOMENTUM, POSITION, DISPLACEMENT, NOW)}
        self._products: dict[str, list[_Product]] = {name: [] for name in MATRICES}
        for use, out in uses:
            heads, coefficient = Heads(use, position.shape), use.member.coefficient
            for (name, (left, right)), target in zip(MATRICES.items(), out, strict=True):
                # B q has the charge π q^T; -B^T q has -(π q^T)^T = -q π^T.
                a, b = (left, right) if coefficient > 0 else (right, left)
                sides = (a, self._factors[a].ask(heads, False)), (b, self._factors[b].ask(heads, True))
                self._products[name].append(_Product(target, left, *sides, coefficient))

    def measure(self, gradient, momentum, parameter, names: Iterable[str]) -> None:
        """Fill the named ones of MATRICES."""
        tensors = {GRADIENT: gradient, MOMENTUM: momentum, POSITION: self._position, NOW: parameter}
        products = [product for name in names for product in self._products[name]]
        if any(DISPLACEMENT in (product.left[0], product.right[0]) for product in products):
            tensors[DISPLACEMENT] = torch.sub(parameter.detach(), self._position, out=self._moved)
        views = {w: self._factors[w].of(tensor) for w, tensor in tensors.items() if tensor is not None}
        for product in products:
            if product.needs not in views:
                product.out.zero_()
                continue
            (a, left), (b, right), out = product.left, product.right, product.out
            torch.baddbmm(out, views[a][left], views[b][right], beta=0, alpha=product.coefficient, out=out)


class MatrixProducts:
    """MATRICES of all units that have d x d matrices.

    Args:
        parameters: the tracked parameters.
        uses: members that have a matrix.
        positions: of each parameter with such a use, where a back end keeps its position before the last step.
        targets: for each d the matrices of all rows, (len(MATRICES), rows, d, d), are written to.
        compile: whether the compiled loop takes what it can.
    """

    def __init__(
        self,
        parameters: Sequence[torch.Tensor],
        uses: Sequence[Use],
        positions: Mapping[int, torch.Tensor],
        targets: Mapping[int, torch.Tensor],
        compile: bool,
    ):
        dtype = next(iter(targets.values())).dtype
        longest = max(position.numel() for position in positions.values())
        room = torch.empty(longest, device=parameters[0].device, dtype=dtype)
        outs = [targets[use.size][:, use.row : use.row + use.member.units].unbind() for use in uses]
        self._of: dict[int, _OfParameter] = {}
        compiled = numba_heads.compilable(parameters, uses) if compile else []
        self.numba_heads = None
        if compiled:
            whole = [targets[use.size][:, use.row : use.row + use.member.units] for use in compiled]
            self.numba_heads = numba_heads.NumbaHeads(parameters, compiled, positions, whole)
        for index, position in positions.items():
            own = [
                (use, out)
                for use, out in zip(uses, outs, strict=True)
                if use.parameter == index and use not in compiled
            ]
            if not own:
                continue
            shape = parameters[index].shape
            moved = room[: position.numel()].view(shape)
            self._of[index] = _OfParameter(own, position.view(shape), moved)
        place = list(MATRICES).index(_WITH_GRADIENT)
        self._of_gradients = [out[place] for out in outs]
        self._device, self._dtype = parameters[0].device.type, dtype

    @torch.no_grad()
    def measure(self, gradients, momenta, parameters, scale, skipped, begins: bool = True, ends: bool = True) -> None:
        """Fill the matrices; arguments as for InnerProducts.measure. Positions must still be those of the last call."""
        names = [name for name in MATRICES if begins or name not in _OF_NEXT]
        names = [name for name in names if ends or name not in _OF_LAST]
        if self.numba_heads is not None:
            self.numba_heads.measure(gradients, momenta, parameters, names)
        with own_precision(self._device, self._dtype):
            for index, of_parameter in self._of.items():
                of_parameter.measure(gradients[index], momenta[index], parameters[index], names)
            for each in self._of_gradients if scale is not None or skipped is not None else ():
                if scale is not None:
                    each.div_(scale)
                if skipped is not None:
                    each.masked_fill_(skipped > 0, 0.0)
