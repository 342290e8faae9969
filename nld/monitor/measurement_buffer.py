"""Measurements that wait on the device until many of them are moved to the host at once, and finished there."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from nld.monitor.charge_balance import MATRIX_COLUMNS, RowNumbers
from nld.monitor.finished_steps import Carried, Entry, FinishedSteps, finish
from nld.monitor.inner_products.products import COLUMNS
from nld.monitor.tracked_parameters import ChargeGroup, TrackedParameters

_BUDGET = 2**24  # bytes of measurements to keep on the device before they are moved


class MeasurementBuffer:
    """A ring of measurements for each charge group, turned into steps when it is full.

    No step waits for the device: measurements stay there until ``finished`` moves them.
    """

    def __init__(self, tracked: TrackedParameters):
        self._tracked = tracked
        widths = [
            len(COLUMNS) * charges.rows.count if charges.size == 1 else len(MATRIX_COLUMNS) * charges.rows.units
            for charges in tracked.charge_groups
        ]
        self.length = int(np.clip(_BUDGET // max(8 * sum(widths), 1), 2, 256))
        self._rings = [
            torch.zeros(self.length, width, device=products.device, dtype=products.dtype)
            for products, width in zip(map(self._products_of, tracked.charge_groups), widths, strict=True)
        ]
        self._entries: list[Entry] = []
        # While something is measured: how many measurements lie whole in the rings. And whether some were dropped.
        self._whole: int | None = None
        self._lost = False
        self._uploaded: dict[int, tuple[np.ndarray, RowNumbers]] = {}
        self._carried = Carried([], [np.zeros((0, width)) for width in widths])

    def _products_of(self, charges: ChargeGroup):
        return self._tracked.inner_products[charges.measured_by]

    @property
    def full(self) -> bool:
        return len(self._entries) == self.length

    @property
    def last_step(self) -> int:
        """The step that the last measurement began, -1 before the first."""
        entries = self._entries or self._carried.entries
        return entries[-1].step if entries else -1

    def measure(self, updates: tuple, step: int, fresh: bool, keep: bool, final: bool = False) -> None:
        """End the step before ``step`` and, unless ``final``, begin ``step`` with the given updates of the momentum.

        Args:
            fresh: whether no step ends.
            keep: whether to keep the positions for the next measurement; if not, nothing will be asked of ``step``
                itself, and its gradient is not read.
        """
        tracked = self._tracked
        skipped, scale = (None, None) if final else tracked.skipping()
        states = [tracked.state(index, updates) for index in range(len(tracked.inner_products))]
        for products, (gradients, momenta, parameters, _) in zip(tracked.inner_products, states, strict=True):
            products.check(gradients, momenta, parameters)
        self._begin()
        if self._lost:
            tracked.remember()
            fresh = True
        place, ready = len(self._entries), []
        for products, (gradients, momenta, parameters, _) in zip(tracked.inner_products, states, strict=True):
            if not keep:
                gradients = [None] * len(gradients)
            ready.append(products.measure(gradients, momenta, parameters, scale, skipped, keep, not fresh))
        self._read(ready, place + 1)
        numbers = [state[3] for state in states]
        for index, charges in enumerate(tracked.charge_groups):
            if charges.balance is not None:
                products, of_rows = self._products_of(charges), self._numbers(index, numbers, skipped)
                out = self._rings[index][place].view(len(MATRIX_COLUMNS), -1)
                squares = products.squares(charges.size)
                charges.balance.measure(products.matrices[charges.size], squares, of_rows, out)
        held = None if skipped is None else skipped.detach().clone()
        self._entries.append(Entry(step, fresh, numbers, tracked.hyperparameters(updates), held))
        self._whole, self._lost = None, False

    def _begin(self) -> None:
        """Before tensors are touched: what an interruption left half measured the last time is dropped."""
        all_products = self._tracked.inner_products
        if self._whole is not None:
            del self._entries[self._whole :]
            for products in all_products:
                products.drop()
            self._lost = True
        self._whole = len(self._entries) - max((products.waiting for products in all_products), default=0)

    def settle(self) -> None:
        """Have everything multiplied that was measured."""
        self._begin()
        self._read([products.settle() for products in self._tracked.inner_products], len(self._entries))
        self._whole = None

    def _read(self, ready: Sequence[int], end: int) -> None:
        """Move what is ready of each of the inner products to the rings, up to place ``end``."""
        for charges, ring in zip(self._tracked.charge_groups, self._rings, strict=True):
            count = ready[charges.measured_by]
            if count and charges.balance is None:
                self._products_of(charges).read(count, out=ring[end - count : end].view(-1))

    def remember(self) -> None:
        """Copy all positions: the last step's displacement is not known, and starts from here."""
        self.settle()
        self._tracked.remember()

    def _numbers(self, index: int, numbers: Sequence[np.ndarray], skipped: torch.Tensor | None) -> RowNumbers:
        """The numbers of the rows of a charge group with matrices on the device, uploaded when they change."""
        charges = self._tracked.charge_groups[index]
        of_parameters, known = numbers[charges.measured_by], self._uploaded.get(index)
        if known is None or known[0] is not of_parameters:
            assert charges.balance is not None
            uploaded = charges.balance.numbers(charges.rows.spread(of_parameters))
            known = self._uploaded[index] = (of_parameters, uploaded)
        return known[1] if skipped is None else known[1].unless(skipped)

    def provisional(self, due: Callable[[int], bool]) -> list[FinishedSteps]:
        """The last step as far as it is known now; everything is as before when this returns."""
        balances = [charges.balance for charges in self._tracked.charge_groups if charges.balance is not None]
        states, carried = [balance.state for balance in balances], self._carried
        try:
            self.measure(self._tracked.updates(), self.last_step + 1, fresh=False, keep=False, final=True)
            finished = self.finished(due)
        finally:
            for balance, state in zip(balances, states, strict=True):
                balance.state = state
            self._carried, self._entries = carried, []
        return [finished] if finished is not None else []

    def finished(self, due: Callable[[int], bool]) -> FinishedSteps | None:
        """Empty the rings: the steps among them that are whole and due, or None if there are none."""
        self.settle()
        if not self._entries:
            return None
        measured = [ring[: len(self._entries)] for ring in self._rings]
        finished, carried = finish(self._tracked, due, self._entries, measured, self._carried)
        self._carried, self._entries = carried, []  # only now: whoever is interrupted before can try again
        return finished
