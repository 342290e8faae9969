"""Inner products of gradient, momentum, position and displacement, unit by unit.

The tracked parameters of one device and precision are measured together, with a copy of their
positions as they were before the last step, the only memory that grows with the model. At the
moment a new gradient exists and the next step has not begun, momentum, old position and
displacement are all at hand, and everything the exact law asks of them is an inner product.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

import torch

from nld.monitor.inner_products import numba_backend
from nld.monitor.inner_products.layout import Use, pages
from nld.monitor.inner_products.matrix_products import MatrixProducts
from nld.monitor.inner_products.products import COLUMNS, MATRICES, PAIRS, SQUARES, pair, vectors_of
from nld.monitor.inner_products.torch_backend import TorchBackend, depth


def _as_rows(use: Use) -> Use:
    """A use with a matrix as the back ends see it: all features of a unit side by side."""
    return use if use.size == 1 else replace(use, member=replace(use.member, matrix_axis=None))


class InnerProducts:
    """The tracked parameters of one device and precision, and the inner products of their rows.

    Args:
        parameters: the tracked parameters.
        uses: the members of blocks that arrange them.
        capacity: elements of a page; memory beyond the copy of positions is ten pages.

    Large networks on a CPU are measured by numba_backend from the beginning, and those of middling
    size once so many steps have been measured that the compiler's time is likely to be won back. A small
    network lies on one page that takes in several measurements, and their products come all at once.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], uses: Sequence[Use], capacity: int | None = None):
        device, dtype = parameters[0].device, parameters[0].dtype
        self.device, self.dtype = device, dtype if dtype == torch.float64 else torch.float32
        self.parameters, self._uses = list(parameters), list(uses)
        self._capacity = capacity or (2**16 if device.type == "cpu" else 2**22)
        self._shapes = [parameter.shape for parameter in parameters]
        self._measured = 0
        self.rows = sum(use.member.units for use in uses if use.size == 1)
        self.matrices = self._room()
        rows = [_as_rows(use) for use in uses]
        self._lay_out(numba_backend.compilable(parameters, rows, numba_backend.LEAST))

    def _lay_out(self, compiled: Sequence[int]) -> None:
        """Buffers and plans, with some parameters for the compiled loop and the others on pages."""
        device, dtype, uses = self.device, self.dtype, [_as_rows(use) for use in self._uses]
        shapes = [tuple(shape) for shape in self._shapes]
        packed = pages(shapes, uses, self._capacity, but=compiled)
        matrices = [use for use in self._uses if use.size > 1]
        deep = 1 if compiled or matrices else depth(packed)  # matrices are booked measurement by measurement
        # Gram matrices of all rows, and one more cell, always zero, for what a translation does not have.
        cells = [len(PAIRS) if use.parameter in compiled else vectors_of(use.kind) ** 2 for use in uses]
        sizes = [deep * use.member.units * each for use, each in zip(uses, cells, strict=True)]
        self.products = torch.zeros(sum(sizes) + 1, device=device, dtype=dtype)
        ends = list(accumulate(sizes))
        regions = {use: slice(end - size, end) for use, size, end in zip(uses, sizes, ends, strict=True)}
        self._columns = self._cells(COLUMNS, 1, regions, compiled, deep)
        self._squares = {size: self._cells(SQUARES, size, regions, compiled, 1).view(-1) for size in self.matrices}
        cells_of = {use: self.products[region] for use, region in regions.items()}
        self.numba_backend = self.torch_backend = self._matrix_products = None
        positions: dict[int, torch.Tensor] = {}
        if compiled:
            targets = {u: cells.view(len(PAIRS), -1) for u, cells in cells_of.items() if u.parameter in compiled}
            self.numba_backend = numba_backend.NumbaBackend(self.parameters, compiled, targets)
            positions |= self.numba_backend.positions()
        if packed:
            grams = {
                use: cells.view(deep, use.member.units, vectors_of(use.kind), -1)
                for use, cells in cells_of.items()
                if use.parameter not in compiled
            }
            self.torch_backend = TorchBackend(packed, shapes, uses, deep, grams, device, dtype)
            positions |= self.torch_backend.positions()
        if matrices:
            of_heads = {use.parameter: positions[use.parameter] for use in matrices}
            self._matrix_products = MatrixProducts(self.parameters, matrices, of_heads, self.matrices, bool(compiled))

    def squares(self, size: int) -> torch.Tensor:
        """SQUARES of all units with d x d matrices, as last measured, (len(SQUARES), rows)."""
        return torch.index_select(self.products, 0, self._squares[size]).view(len(SQUARES), -1)

    def _room(self) -> dict[int, torch.Tensor]:
        """For each d the MATRICES of all units that have d x d matrices, (len(MATRICES), rows, d, d)."""
        rows: dict[int, int] = {}
        for use in self._uses:
            if use.size > 1:
                rows[use.size] = rows.get(use.size, 0) + use.member.units
        return {
            d: torch.zeros(len(MATRICES), count, d, d, device=self.device, dtype=self.dtype)
            for d, count in rows.items()
        }

    def _compile(self) -> None:
        """Give the compiled loop all that it can take; the positions are kept, and nothing may be waiting."""
        compiled = numba_backend.compilable(self.parameters, [_as_rows(use) for use in self._uses], 0)
        if len(compiled) == (len(self.numba_backend.chosen) if self.numba_backend else 0):
            return
        positions: dict[int, torch.Tensor] = {}
        for backend in (self.numba_backend, self.torch_backend):
            positions |= backend.positions() if backend is not None else {}
        self._lay_out(compiled)
        self.remember([positions[index].view(parameter.shape) for index, parameter in enumerate(self.parameters)])

    def _cells(
        self, names: Sequence[str], size: int, regions: Mapping[Use, slice], compiled: Sequence[int], deep: int
    ) -> torch.Tensor:
        """Where named products of units with d x d matrices lie in the flat ones, (measurements, len(names), rows)."""
        chosen = [use for use in self._uses if use.size == size]
        rows = sum(use.member.units for use in chosen)
        index = torch.full((deep, len(names), rows), self.products.numel() - 1)
        for use in chosen:
            region, vectors, count = regions[_as_rows(use)], vectors_of(use.kind), use.member.units
            units = torch.arange(deep * count).view(deep, count)
            for column, name in enumerate(names):
                factors = pair(name, use.kind.is_constant)
                if factors is None:
                    continue
                gram = units * vectors**2 + factors[0] * vectors + factors[1]
                cell = PAIRS.index(factors) * count + units if use.parameter in compiled else gram
                index[:, column, use.row : use.row + count] = region.start + cell
        return index.to(self.device, torch.int32)

    def read(self, count: int, out: torch.Tensor | None = None) -> torch.Tensor:
        """COLUMNS of the measurements that are ready, (count * len(COLUMNS) * rows)."""
        return torch.index_select(self.products, 0, self._columns[:count].view(-1), out=out)

    @property
    def waiting(self) -> int:
        """How many measurements a page has taken in that are not multiplied yet."""
        return self.torch_backend.filled if self.torch_backend is not None else 0

    def drop(self) -> None:
        """Forget the measurements that are waiting."""
        if self.torch_backend is not None:
            self.torch_backend.filled = 0

    def check(self, *vectors: Sequence[torch.Tensor | None]) -> None:
        """See that tensors fit: a page would broadcast others, and the compiled loop would read beyond their end.

        Args:
            vectors: gradients, momenta or parameters, None for a vanishing one.

        Raises:
            RuntimeError: one has another shape than its parameter had.
        """
        for tensors in vectors:
            for tensor, shape in zip(tensors, self._shapes, strict=True):
                if tensor is not None and tensor.shape != shape:
                    raise RuntimeError(
                        "expected parameters, gradients and momenta of the shapes that the monitor was made with, got "
                        f"{tuple(tensor.shape)} instead of {tuple(shape)}; close the monitor before a shape changes, "
                        "and make another one after"
                    )

    @torch.no_grad()
    def remember(self, parameters: Sequence[torch.Tensor]) -> None:
        """Copy the positions, without measuring anything; what is waiting must be settled before."""
        self.check(parameters)
        for part in (self.torch_backend, self.numba_backend):
            if part is not None:
                part.remember(parameters)

    def measure(self, gradients, momenta, parameters, scale=None, skipped=None, remember=True, ends=True) -> int:
        """Take down the tensors as they are now, for ``products`` and ``matrices``; see ``check`` for their shapes.

        Args:
            gradients, momenta: one tensor per parameter, or None for a vanishing one.
            parameters: the parameters; their displacement is counted from the last call.
            scale: factor that the gradients carry (a 0-d tensor of a gradient scaler), or None.
            skipped: positive 0-d tensor if the coming step will not be taken; its gradient is not read.
            remember: whether a step begins: the present positions are kept for the next call, and there are matrices
                that only it asks for.
            ends: whether a step ends, which asks for others.

        Returns:
            How many measurements, the last ones, are ready to be read: none while a page takes in more.
        """
        self._measured += 1
        if self._measured == numba_backend.PATIENCE and self.torch_backend is not None and self.torch_backend.deep == 1:
            self._compile()
        if {tensor.layout for tensor in (*gradients, *momenta) if tensor is not None} - {torch.strided}:
            gradients, momenta = ([None if t is None else t.to_dense() for t in each] for each in (gradients, momenta))
        if self._matrix_products is not None:
            self._matrix_products.measure(gradients, momenta, parameters, scale, skipped, remember, ends)
        if self.torch_backend is not None and self.torch_backend.adds:
            self.products.zero_()
        if self.numba_backend is not None:
            self.numba_backend.measure(gradients, momenta, parameters, scale, skipped, remember)
        if self.torch_backend is None:
            return 1
        return self.torch_backend.measure(gradients, momenta, parameters, scale, skipped, remember)

    def settle(self) -> int:
        """Multiply what a page has taken in. Returns how many measurements are ready to be read."""
        return self.torch_backend.settle() if self.torch_backend is not None else 0
