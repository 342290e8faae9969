"""Inner products of parameters that are gathered on pages, with batched products of tensors.

A page is a stack of vectors, each as long as the parameters that it holds: gradient, momentum, old
position, displacement, ones. What a network of few parameters costs here is not arithmetic but the
number of tensor operations, so the page of a small network is deep: it takes in what several
measurements have found, one after another, and multiplies all of it at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from nld.monitor.inner_products.layout import Piece, Use, arranged
from nld.monitor.inner_products.matrix_products import own_precision
from nld.monitor.inner_products.products import (
    DISPLACEMENT,
    GRADIENT,
    MOMENTUM,
    ONES,
    POSITION,
    VECTORS,
    vectors_of,
)

_CACHE_WAY, _OFFSET = 1024, 208  # elements: rows of the stack lie _OFFSET apart modulo _CACHE_WAY
DEEPEST = 8  # measurements on one page: beyond that it is no faster
_ELEMENTS = 2**18  # of a row of a deep page: beyond that it leaves the cache


def depth(pages: Sequence[Sequence[Piece]]) -> int:
    """How many measurements a page takes in: one, unless it is the only page, and small."""
    if len(pages) != 1:
        return 1
    return max(1, min(DEEPEST, _ELEMENTS // max(1, sum(piece.numel for piece in pages[0]))))


@dataclass(frozen=True)
class _Slot:
    """Where one measurement goes on a page."""

    targets: list[list[torch.Tensor]]  # for gradients, momenta and parameters the places of the page's pieces
    whole: list[int] | None  # the parameters that fill them, if none is cut


@dataclass(frozen=True)
class _Plan:
    """What to do with some measurements on a page, as views of the stack; all that does not change from time to time.

    A new parameter first lies where its displacement will. The old position of a measurement is the new parameter of
    the one before it, and that of the first is the copy of positions.
    """

    old: list[torch.Tensor]  # places of the measurements' old positions
    sources: list[torch.Tensor]  # what is copied there
    positions: list[torch.Tensor]  # the copy of positions
    last: list[torch.Tensor]  # new parameters of the last measurement
    last_but_one: list[torch.Tensor]  # those of the one before, if there is one; else the copy stays what it was
    new: torch.Tensor  # all new parameters, which become displacements as the old positions are subtracted
    subtracted: torch.Tensor
    multiplications: list[Callable[[], None]]  # the products of each member of a block


class TorchBackend:
    """The pages of parameters, and the copy of their positions.

    Args:
        pages: the pieces of parameters that each holds.
        shapes: of all parameters.
        uses: of all parameters.
        deep: how many measurements a page takes in; more than one only on an only page.
        products: for each use the Gram matrices that it fills, (deep, units, vectors, vectors).
    """

    def __init__(
        self,
        pages: Sequence[list[Piece]],
        shapes: Sequence[tuple[int, ...]],
        uses: Sequence[Use],
        deep: int,
        products: Mapping[Use, torch.Tensor],
        device: torch.device,
        dtype: torch.dtype,
    ):
        self.pages, self.deep, self._shapes, self._uses = pages, deep, shapes, uses
        self._products = products
        longest = deep * max(sum(piece.numel for piece in page) for page in pages)
        # Rows a multiple of a memory page apart would compete for the same lines of the cache.
        self._stack = torch.zeros(VECTORS, longest + (_OFFSET - longest) % _CACHE_WAY, device=device, dtype=dtype)
        self._stack[ONES] = 1.0
        self._spare = torch.zeros(VECTORS * longest, device=device, dtype=dtype)
        self._positions = torch.zeros(sum(p.numel for page in pages for p in page), device=device, dtype=dtype)
        self._slots = [[self._slot(page, number) for number in range(deep)] for page in pages]
        self.filled = 0  # measurements that the page has taken in
        self.adds = False  # whether products add up over pages, and have to be zero before
        self._plans = {deep: [self._plan(page, deep) for page in pages]}

    def _local(self, page: Sequence[Piece], piece: Piece) -> torch.Tensor:
        """A piece's part of the stack, (vectors, deep, *shape): its measurements lie side by side."""
        begin = self.deep * (piece.offset - page[0].offset)
        part = self._stack[:, begin : begin + self.deep * piece.numel]
        return part.view(VECTORS, self.deep, *piece.shape)

    def _slot(self, page: Sequence[Piece], number: int) -> _Slot:
        rows = (GRADIENT, MOMENTUM, DISPLACEMENT)
        targets = [[self._local(page, piece)[row, number] for piece in page] for row in rows]
        uncut = all(piece.shape == self._shapes[piece.parameter] for piece in page)
        return _Slot(targets, [piece.parameter for piece in page] if uncut else None)

    def _plan(self, page: Sequence[Piece], count: int) -> _Plan:
        """What to do with ``count`` measurements on a page."""
        base, total = page[0].offset, sum(piece.numel for piece in page)
        regions = [(0, total)] if self.deep == 1 else [(p.offset - base, p.offset - base + p.numel) for p in page]
        old, new = (
            [self._stack[row, self.deep * a : self.deep * b].view(self.deep, b - a) for a, b in regions]
            for row in (POSITION, DISPLACEMENT)
        )
        positions = [self._positions[base + a : base + b] for a, b in regions]
        return _Plan(
            old=[o[0] for o in old] + [o[1:count] for o in old if count > 1],
            sources=positions + [n[: count - 1] for n in new if count > 1],
            positions=positions,
            last=[n[count - 1] for n in new],
            last_but_one=[n[count - 2] for n in new] if count > 1 else [],
            new=self._stack[DISPLACEMENT, : self.deep * total],
            subtracted=self._stack[POSITION, : self.deep * total],
            multiplications=self._multiplications(page, count),
        )

    def _multiplications(self, page: Sequence[Piece], count: int) -> list[Callable[[], None]]:
        """The products of every member of a block that has a part on a page."""
        chosen = []
        for piece in page:
            local, length = self._local(page, piece)[:, :count], (self._shapes[piece.parameter] or (1,))[0]
            for use in self._uses:
                if use.parameter != piece.parameter:
                    continue
                part = arranged(local[: vectors_of(use.kind)], piece, length, use.member, self._spare)
                if part is not None:
                    chosen.append(self._rows_of(use, part, count))
        return chosen

    def _rows_of(self, use: Use, part, count: int) -> Callable[[], None]:
        """Gram matrices of one member's rows on one page."""
        rows = part.rows.squeeze(2)
        columns, vectors = rows.transpose(1, 2), vectors_of(use.kind)
        target = part.target(self._products[use][:count])
        out = target.view(rows.shape[0], vectors, vectors) if target.is_contiguous() else None
        beta = 1 if part.partial else 0
        self.adds = self.adds or part.partial

        def multiply():
            part.fetch()
            if out is not None:
                torch.baddbmm(out, rows, columns, beta=beta, out=out)
            elif part.partial:
                target.add_(torch.bmm(rows, columns).view(target.shape))
            else:
                target.copy_(torch.bmm(rows, columns).view(target.shape))

        return multiply

    def _pieces(self, page, tensors):
        """The page's pieces of the tensors; None where a tensor is missing."""
        for piece in page:
            tensor = tensors[piece.parameter]
            if tensor is None or (tensor.ndim and piece.shape[0] == tensor.shape[0]):
                yield tensor
            else:
                yield tensor.reshape(-1) if tensor.ndim == 0 else tensor[piece.start : piece.stop]

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

    def positions(self) -> dict[int, torch.Tensor]:
        """The positions of each parameter, flat: its pieces lie one after the other."""
        edges: dict[int, list[int]] = {}
        for page in self.pages:
            for piece in page:
                edges.setdefault(piece.parameter, []).extend((piece.offset, piece.offset + piece.numel))
        return {index: self._positions[places[0] : places[-1]] for index, places in edges.items()}

    def remember(self, parameters: Sequence[torch.Tensor]) -> None:
        """Copy the positions, without measuring anything; no measurement may be waiting."""
        for page in self.pages:
            targets = [self._positions[p.offset : p.offset + p.numel].view(p.shape) for p in page]
            torch._foreach_copy_(targets, [piece for piece in self._pieces(page, parameters) if piece is not None])

    @torch.no_grad()
    def measure(self, gradients, momenta, parameters, scale, skipped, remember: bool) -> int:
        """Take in a measurement; see InnerProducts.measure. Returns how many measurements were multiplied."""
        number, vectors = self.filled, (gradients, momenta, parameters)
        ready = number + 1 if number + 1 == self.deep or not remember else 0
        complete = not any(tensor is None for tensors in vectors[:2] for tensor in tensors)
        for page, pieces in enumerate(self.pages):
            slot = self._slots[page][number]
            targets = slot.targets
            if slot.whole is not None and complete:
                sources = [tensors[i] for tensors in vectors for i in slot.whole]
                torch._foreach_copy_([*targets[0], *targets[1], *targets[2]], sources)
            else:
                self._gather(pieces, targets, vectors)
            for view in targets[0] if scale is not None or skipped is not None else ():
                if scale is not None:
                    view.div_(scale)
                if skipped is not None:
                    view.masked_fill_(skipped > 0, 0.0)
            if ready:
                self._multiply(page, ready, remember)
        self.filled = 0 if ready else number + 1
        return ready

    @torch.no_grad()
    def settle(self) -> int:
        """Multiply what is waiting. Returns how many measurements that were."""
        ready, self.filled = self.filled, 0
        if ready:
            self._multiply(0, ready, True)
        return ready

    def _multiply(self, page: int, count: int, remember: bool) -> None:
        """All products of the measurements taken in; the last one's positions are kept if ``remember``."""
        if count not in self._plans:
            self._plans[count] = [self._plan(page, count) for page in self.pages]
        plan = self._plans[count][page]
        torch._foreach_copy_(plan.old, plan.sources)
        if new := plan.last if remember else plan.last_but_one:
            torch._foreach_copy_(plan.positions, new)
        plan.new.sub_(plan.subtracted)
        with own_precision(self._stack.device.type, self._stack.dtype):
            for multiply in plan.multiplications:
                multiply()
