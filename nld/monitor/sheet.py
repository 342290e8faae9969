"""Inner products of gradient, momentum, position and displacement, unit by unit.

One sheet holds the tracked parameters of one device and precision. It keeps a copy of the
positions as they were before the last step, the only memory that grows with the model. At the
moment a new gradient exists and the next step has not begun, momentum, old position and
displacement are all at hand, and everything the exact law asks of them is an inner product.
"""

from collections.abc import Sequence
from contextlib import contextmanager, nullcontext
from itertools import accumulate

import torch

from . import fused
from .layout import VECTORS, Use, arranged, pages
from .products import COLUMNS, DISPLACEMENT, GRADIENT, MATRICES, MOMENTUM, ONES, PAIRS, POSITION, SQUARES

_CACHE_WAY, _OFFSET = 1024, 208  # elements: rows of the stack lie _OFFSET apart modulo _CACHE_WAY


@contextmanager
def _full_precision():
    """Inner products in the sheet's own precision, whatever the training loop allows its matmuls."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)


def _vectors(use: Use) -> int:
    """How many vectors a member's Gram matrix has: only translations need the ones."""
    return VECTORS if use.kind == "translation" else ONES


def _dense(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.layout == torch.strided else tensor.to_dense()


class Sheet:
    """The tracked parameters of one device and precision, and the inner products of their rows.

    Args:
        parameters: the tracked parameters.
        uses: the members of blocks that arrange them.
        capacity: elements of a page; memory beyond the copy of positions is ten pages.

    Large matrices on a CPU are measured by nld.monitor.fused from the beginning, small ones once so
    many steps have been measured that the compiler's time is likely to be won back.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], uses: Sequence[Use], capacity: int | None = None):
        device, dtype = parameters[0].device, parameters[0].dtype
        self.device, self.dtype = device, dtype if dtype == torch.float64 else torch.float32
        self.parameters, self._uses = list(parameters), list(uses)
        self._capacity = capacity or (2**16 if device.type == "cpu" else 2**22)
        self._measured = 0
        self._lay_out(fused.fusable(parameters, uses, fused.LEAST))

    def _lay_out(self, alone: Sequence[int]) -> None:
        """Buffers and plans, with some parameters for the compiled loop and the others on pages."""
        device, dtype, uses = self.device, self.dtype, self._uses
        shapes = [tuple(parameter.shape) for parameter in self.parameters]
        self.pages = pages(shapes, uses, self._capacity, but=alone)
        longest = max((sum(piece.numel for piece in page) for page in self.pages), default=1)
        # Rows a multiple of a memory page apart would compete for the same lines of the cache.
        stack = torch.zeros(VECTORS, longest + (_OFFSET - longest) % _CACHE_WAY, device=device, dtype=dtype)
        stack[ONES] = 1.0
        self.stack = stack
        self.spare = spare = torch.zeros(VECTORS * longest, device=device, dtype=dtype)
        paged = sum(piece.numel for page in self.pages for piece in page)
        self.positions = torch.zeros(paged, device=device, dtype=dtype)
        scalars = [use for use in uses if use.size == 1]
        self.rows = sum(use.member.units for use in scalars)
        # Gram matrices of all rows, and one more cell, always zero, for what a translation does not have.
        cells = [len(fused.PRODUCTS) if use.parameter in alone else _vectors(use) ** 2 for use in scalars]
        sizes = [use.member.units * each for use, each in zip(scalars, cells, strict=True)]
        self.products = torch.zeros(sum(sizes) + 1, device=device, dtype=dtype)
        ends = list(accumulate(sizes))
        self._regions = {use: slice(end - size, end) for use, size, end in zip(scalars, sizes, ends, strict=True)}
        self.columns = self._columns(scalars, alone).to(device)
        targets = {
            use: self.products[self._regions[use]].view(len(fused.PRODUCTS), -1)
            for use in scalars
            if use.parameter in alone
        }
        self._fused = fused.Fused(self.parameters, alone, targets) if alone else None
        self.matrix_rows = {
            size: sum(use.member.units for use in uses if use.size == size) for size in {u.size for u in uses} - {1}
        }
        self.matrices = {
            size: torch.zeros(len(MATRICES), rows, size, size, device=device, dtype=dtype)
            for size, rows in self.matrix_rows.items()
        }
        self.squares = {
            size: torch.zeros(len(SQUARES), rows, 1, 1, device=device, dtype=dtype)
            for size, rows in self.matrix_rows.items()
        }
        self._adds = bool(self.matrices)
        self._plans = [self._plan(page, uses, shapes, spare) for page in self.pages]

    def _compile(self) -> None:
        """Give the compiled loop all that it can take; the positions are kept."""
        alone = fused.fusable(self.parameters, self._uses, 0)
        if len(alone) == (len(self._fused.chosen) if self._fused else 0):
            return
        places = dict(zip(self._fused.chosen, self._fused.positions, strict=True)) if self._fused else {}
        lengths = {}
        for page in self.pages:
            for piece in page:
                lengths.setdefault(piece.parameter, []).append(
                    self.positions[piece.offset : piece.offset + piece.numel]
                )
        kept = places | {index: torch.cat(parts) for index, parts in lengths.items()}
        self._lay_out(alone)
        self.remember([kept[index].view(parameter.shape) for index, parameter in enumerate(self.parameters)])

    def _columns(self, uses: Sequence[Use], alone: Sequence[int]) -> torch.Tensor:
        """Where each of COLUMNS lies in the flat products, (len(COLUMNS) * rows)."""
        index = torch.full((len(COLUMNS), self.rows), self.products.numel() - 1)
        for use in uses:
            vectors, count = _vectors(use), use.member.units
            start, units = self._regions[use].start, torch.arange(count)
            for column, pair in enumerate(PAIRS["constant" if use.kind == "translation" else "linear"]):
                if pair is None:
                    continue
                gram = units * vectors**2 + pair[0] * vectors + pair[1]
                cell = fused.PRODUCTS.index(pair) * count + units if use.parameter in alone else gram
                index[column, use.row : use.row + count] = start + cell
        return index.flatten()

    def _plan(self, page, uses, shapes, spare):
        """Everything about a page that does not change from step to step: its views."""
        base, count = page[0].offset, sum(piece.numel for piece in page)
        stack = self.stack[:, :count]
        steps = []
        for piece in page:
            local = stack[:, piece.offset - base : piece.offset - base + piece.numel].view(VECTORS, *piece.shape)
            length = (shapes[piece.parameter] or (1,))[0]
            for use in uses:
                if use.parameter != piece.parameter:
                    continue
                part = arranged(local[: _vectors(use)], piece, length, use.member, spare)
                if part is not None:
                    steps.append(self._matrix_step(use, part) if use.size > 1 else self._row_step(use, part))
        targets = [
            [stack[row, p.offset - base : p.offset - base + p.numel].view(p.shape) for p in page]
            for row in (GRADIENT, MOMENTUM, DISPLACEMENT)
        ]
        uncut = all(piece.shape == shapes[piece.parameter] for piece in page)
        whole = [piece.parameter for piece in page] if uncut else None
        return stack, self.positions[base : base + count], targets, steps, whole

    def _row_step(self, use: Use, part):
        """Gram matrix of one member's rows on one page."""
        rows = part.rows.squeeze(2)
        columns, vectors = rows.transpose(1, 2), _vectors(use)
        target = part.target(self.products[self._regions[use]].view(-1, vectors, vectors))
        out = target.view(rows.shape[0], vectors, vectors) if target.is_contiguous() else None
        beta = 1 if part.partial else 0
        if part.partial:
            self._adds = True

        def step():
            if part.copied is not None:
                part.copied.copy_(part.source)
            if out is not None:
                torch.baddbmm(out, rows, columns, beta=beta, out=out)
            elif part.partial:
                target.add_(torch.bmm(rows, columns).view(target.shape))
            else:
                target.copy_(torch.bmm(rows, columns).view(target.shape))

        return step

    def _matrix_step(self, use: Use, part):
        """The matrices of one member's heads on one page; see Block for the sign of c."""
        rows, coefficient = part.rows, use.member.coefficient
        place = slice(use.row, use.row + use.member.units)
        targets = [part.target(matrix[place]) for matrix in self.matrices[use.size]]
        squares = [part.target(square[place]) for square in self.squares[use.size]]

        def step():
            if part.copied is not None:
                part.copied.copy_(part.source)
            for (left, right), target in zip(MATRICES, targets, strict=True):
                # B q has the charge π q^T; -B^T q has -(π q^T)^T = -q π^T.
                a, b = (left, right) if coefficient > 0 else (right, left)
                product = torch.bmm(rows[:, a], rows[:, b].transpose(1, 2))
                target.add_(product.view(target.shape), alpha=coefficient)
            for (left, right), target in zip(SQUARES, squares, strict=True):
                target.add_((rows[:, left] * rows[:, right]).sum((1, 2)).view(target.shape))

        return step

    def _gather(self, page, targets, vectors) -> None:
        """Copy the page's pieces of gradients, momenta and parameters to their places."""
        into, sources = [], []
        for target, tensors in zip(targets, vectors, strict=True):
            for view, piece in zip(target, self._pieces(page, tensors), strict=True):
                if piece is None:
                    view.zero_()
                else:
                    into.append(view)
                    sources.append(piece)
        torch._foreach_copy_(into, sources)

    @staticmethod
    def _pieces(page, tensors):
        """The page's pieces of the tensors; None where a tensor is missing."""
        for piece in page:
            tensor = tensors[piece.parameter]
            if tensor is None or (tensor.ndim and piece.shape[0] == tensor.shape[0]):
                yield tensor
            else:
                yield tensor.reshape(-1) if tensor.ndim == 0 else tensor[piece.start : piece.stop]

    @torch.no_grad()
    def remember(self, parameters: Sequence[torch.Tensor]) -> None:
        """Copy the positions, without measuring anything."""
        for page in self.pages:
            targets = [self.positions[p.offset : p.offset + p.numel].view(p.shape) for p in page]
            torch._foreach_copy_(targets, [piece for piece in self._pieces(page, parameters) if piece is not None])
        if self._fused is not None:
            self._fused.remember(parameters)

    def measure(self, gradients, momenta, parameters, scale=None, skipped=None, remember=True) -> None:
        """Fill ``products`` and ``matrices`` from the tensors as they are now.

        Args:
            gradients, momenta: one tensor per parameter, or None for a vanishing one.
            parameters: the parameters; their displacement is counted from the last call.
            scale: factor that the gradients carry (a 0-d tensor of a gradient scaler), or None.
            skipped: positive 0-d tensor if the coming step will not be taken; its gradient is not read.
            remember: whether to keep the present positions for the next call.
        """
        self._measured += 1
        if self._measured == fused.PATIENCE:
            self._compile()
        if {tensor.layout for tensor in (*gradients, *momenta) if tensor is not None} - {torch.strided}:
            gradients, momenta = ([None if t is None else _dense(t) for t in each] for each in (gradients, momenta))
        if self._adds:
            self.products.zero_()
        if self._fused is not None:
            self._fused.measure(gradients, momenta, parameters, scale, skipped, remember)
        if not self.pages:
            return
        exact = torch.get_float32_matmul_precision() == "highest" or self.dtype == torch.float64
        cast = torch.is_autocast_enabled(self.device.type)
        with (
            torch.no_grad(),
            nullcontext() if exact else _full_precision(),
            torch.autocast(self.device.type, enabled=False) if cast else nullcontext(),
        ):
            self._measure(gradients, momenta, parameters, scale, skipped, remember)

    def _measure(self, gradients, momenta, parameters, scale, skipped, remember):
        for size, matrix in self.matrices.items():
            matrix.zero_()
            self.squares[size].zero_()
        vectors = (gradients, momenta, parameters)
        complete = not any(tensor is None for tensors in vectors[:2] for tensor in tensors)
        for page, (stack, positions, targets, steps, whole) in zip(self.pages, self._plans, strict=True):
            if whole is not None and complete:
                sources = [tensors[i] for tensors in vectors for i in whole]
                torch._foreach_copy_([*targets[0], *targets[1], *targets[2]], sources)
            else:
                self._gather(page, targets, vectors)
            if scale is not None:
                stack[GRADIENT].div_(scale)
            if skipped is not None:
                stack[GRADIENT].masked_fill_(skipped > 0, 0.0)
            stack[POSITION].copy_(positions)
            if remember:
                positions.copy_(stack[DISPLACEMENT])
            stack[DISPLACEMENT].sub_(stack[POSITION])
            for step in steps:
                step()
