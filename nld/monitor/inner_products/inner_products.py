"""Inner products of gradient, momentum, position and displacement, unit by unit.

One sheet holds the tracked parameters of one device and precision. It keeps a copy of the
positions as they were before the last step, the only memory that grows with the model. At the
moment a new gradient exists and the next step has not begun, momentum, old position and
displacement are all at hand, and everything the exact law asks of them is an inner product.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch

from nld.monitor.inner_products import numba_backend
from nld.monitor.inner_products.layout import Use, pages
from nld.monitor.inner_products.products import COLUMNS, MATRICES, PAIRS, SQUARES, vectors_of
from nld.monitor.inner_products.torch_backend import Paged, depth


def _dense(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.layout == torch.strided else tensor.to_dense()


class Sheet:
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
        self._lay_out(numba_backend.fusable(parameters, uses, numba_backend.LEAST))

    def _lay_out(self, alone: Sequence[int]) -> None:
        """Buffers and plans, with some parameters for the compiled loop and the others on pages."""
        device, dtype, uses = self.device, self.dtype, self._uses
        shapes = [tuple(shape) for shape in self._shapes]
        packed = pages(shapes, uses, self._capacity, but=alone)
        deep = 1 if alone else depth(packed, uses)
        scalars = [use for use in uses if use.size == 1]
        self.rows = sum(use.member.units for use in scalars)
        # Gram matrices of all rows, and one more cell, always zero, for what a translation does not have.
        cells = [
            len(numba_backend.PRODUCTS) if use.parameter in alone else vectors_of(use.kind) ** 2 for use in scalars
        ]
        sizes = [deep * use.member.units * each for use, each in zip(scalars, cells, strict=True)]
        self.products = torch.zeros(sum(sizes) + 1, device=device, dtype=dtype)
        ends = list(accumulate(sizes))
        regions = {use: slice(end - size, end) for use, size, end in zip(scalars, sizes, ends, strict=True)}
        self._columns = self._cells(regions, alone, deep).to(device)
        targets = {
            use: self.products[place].view(len(numba_backend.PRODUCTS), -1)
            for use, place in regions.items()
            if use.parameter in alone
        }
        self._fused = numba_backend.Fused(self.parameters, alone, targets) if alone else None
        sizes = {use.size for use in uses} - {1}
        rows = {size: sum(use.member.units for use in uses if use.size == size) for size in sizes}
        self.matrices = {
            size: torch.zeros(len(MATRICES), count, size, size, device=device, dtype=dtype)
            for size, count in rows.items()
        }
        self.squares = {
            size: torch.zeros(len(SQUARES), count, 1, 1, device=device, dtype=dtype) for size, count in rows.items()
        }
        grams = {
            use: self.products[place].view(deep, use.member.units, vectors_of(use.kind), -1)
            for use, place in regions.items()
            if use.parameter not in alone
        }
        results = self.matrices, self.squares
        others = {
            use: [each[use.size][:, use.row : use.row + use.member.units].unbind() for each in results]
            for use in uses
            if use.size > 1
        }
        self._paged = Paged(packed, shapes, uses, deep, grams, others, device, dtype) if packed else None
        self._sums = [*self.matrices.values(), *self.squares.values()]
        if self._paged is not None and self._paged.adds:
            self._sums.append(self.products)

    def _compile(self) -> None:
        """Give the compiled loop all that it can take; the positions are kept, and nothing may be waiting."""
        alone = numba_backend.fusable(self.parameters, self._uses, 0)
        if len(alone) == (len(self._fused.chosen) if self._fused else 0):
            return
        kept = dict(zip(self._fused.chosen, self._fused.positions, strict=True)) if self._fused else {}
        if self._paged is not None:
            kept |= self._paged.kept()
        self._lay_out(alone)
        self.remember([kept[index].view(parameter.shape) for index, parameter in enumerate(self.parameters)])

    def _cells(self, regions: dict[Use, slice], alone: Sequence[int], deep: int) -> torch.Tensor:
        """Where each of COLUMNS of each measurement lies in the flat products, (measurements, len(COLUMNS), rows)."""
        index = torch.full((deep, len(COLUMNS), self.rows), self.products.numel() - 1)
        for use, region in regions.items():
            vectors, count = vectors_of(use.kind), use.member.units
            units = torch.arange(deep * count).view(deep, count)
            for column, pair in enumerate(PAIRS["constant" if use.kind.is_constant else "linear"]):
                if pair is None:
                    continue
                gram = units * vectors**2 + pair[0] * vectors + pair[1]
                cell = numba_backend.PRODUCTS.index(pair) * count + units if use.parameter in alone else gram
                index[:, column, use.row : use.row + count] = region.start + cell
        return index

    def read(self, count: int, out: torch.Tensor | None = None) -> torch.Tensor:
        """COLUMNS of the measurements that are ready, (count * len(COLUMNS) * rows)."""
        return torch.index_select(self.products, 0, self._columns[:count].view(-1), out=out)

    @property
    def waiting(self) -> int:
        """How many measurements a page has taken in that are not multiplied yet."""
        return self._paged.filled if self._paged is not None else 0

    def drop(self) -> None:
        """Forget the measurements that are waiting."""
        if self._paged is not None:
            self._paged.filled = 0

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
        for part in (self._paged, self._fused):
            if part is not None:
                part.remember(parameters)

    def measure(self, gradients, momenta, parameters, scale=None, skipped=None, remember=True) -> int:
        """Take down the tensors as they are now, for ``products`` and ``matrices``; see ``check`` for their shapes.

        Args:
            gradients, momenta: one tensor per parameter, or None for a vanishing one.
            parameters: the parameters; their displacement is counted from the last call.
            scale: factor that the gradients carry (a 0-d tensor of a gradient scaler), or None.
            skipped: positive 0-d tensor if the coming step will not be taken; its gradient is not read.
            remember: whether to keep the present positions for the next call.

        Returns:
            How many measurements, the last ones, are ready to be read: none while a page takes in more.
        """
        self._measured += 1
        if self._measured == numba_backend.PATIENCE and self._paged is not None and self._paged.deep == 1:
            self._compile()
        if {tensor.layout for tensor in (*gradients, *momenta) if tensor is not None} - {torch.strided}:
            gradients, momenta = ([None if t is None else _dense(t) for t in each] for each in (gradients, momenta))
        for each in self._sums:
            each.zero_()
        if self._fused is not None:
            self._fused.measure(gradients, momenta, parameters, scale, skipped, remember)
        if self._paged is None:
            return 1
        return self._paged.measure(gradients, momenta, parameters, scale, skipped, remember)

    def settle(self) -> int:
        """Multiply what a page has taken in. Returns how many measurements are ready to be read."""
        return self._paged.settle() if self._paged is not None else 0
