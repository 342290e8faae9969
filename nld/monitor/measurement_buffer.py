"""From measurements on the device to finished steps on the host, a chunk at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nld.finder.block import Block
from nld.monitor.charge_balance import BARE, DECAY, MATRIX_COLUMNS, TERMS, matrix_terms, scalar_terms
from nld.monitor.inner_products.products import COLUMNS
from nld.monitor.quantities import PER_BLOCK, derived
from nld.monitor.tracked_parameters import Ledger

_BUDGET = 2**24  # bytes of measurements to keep on the device before they are moved


@dataclass(frozen=True)
class Chunk:
    """Finished steps: their numbers, and for each of record.VARIABLES (steps, units) or (steps, blocks)."""

    steps: np.ndarray
    values: dict[str, np.ndarray]

    @staticmethod
    def join(chunks: Sequence["Chunk"]) -> "Chunk":
        names = chunks[0].values
        return Chunk(
            np.concatenate([c.steps for c in chunks]),
            {name: np.concatenate([c.values[name] for c in chunks]) for name in names},
        )

    def means(self, blocks: Sequence[Block]) -> "Chunk":
        """One value a block: the mean over its units; of relative_residual and violation the maximum."""
        edges = np.cumsum([0, *(block.units for block in blocks)])[:-1]
        counts = np.array([block.units for block in blocks])
        values = {}
        for name, value in self.values.items():
            if name in PER_BLOCK:
                values[name] = value
            elif name in ("relative_residual", "violation"):
                values[name] = np.maximum.reduceat(value, edges, axis=1)
            else:
                values[name] = (np.add.reduceat(value, edges, axis=1) / counts).astype(value.dtype)
        return Chunk(self.steps, values)


@dataclass(frozen=True)
class _Pass:
    """What the host knows of one measurement."""

    step: int  # the step that begins
    fresh: bool  # whether no step ends
    numbers: list[np.ndarray]  # per sheet
    hyperparameters: list[tuple]  # per parameter group


class Passes:
    """A ring of measurements for each account, turned into steps when it is full.

    No step waits for the device: measurements stay there until ``finished`` moves them.
    """

    def __init__(self, ledger: Ledger):
        widths = [
            len(COLUMNS) * a.rows.count if a.size == 1 else len(MATRIX_COLUMNS) * a.rows.units for a in ledger.accounts
        ]
        per_pass = max(8 * sum(widths), 1)
        self.length = int(np.clip(_BUDGET // per_pass, 2, 256))
        sheets = [ledger.sheets[account.sheet] for account in ledger.accounts]
        self._rings = [
            torch.zeros(self.length, width, device=sheet.device, dtype=sheet.dtype)
            for sheet, width in zip(sheets, widths, strict=True)
        ]
        self._passes: list[_Pass] = []
        self._skips: list[torch.Tensor | None] = []
        # While something is measured: how many measurements lie whole in the rings. And whether some were dropped.
        self._whole: int | None = None
        self._lost = False
        self._uploaded: dict[int, tuple] = {}
        # Kept from one chunk to the next: the last two measurements, the last step handed out,
        # and what the windows of chi reach back to.
        self._carry: tuple[list[_Pass], list[np.ndarray], np.ndarray] | None = None
        self._handed_out = -1
        self._history: tuple | None = None

    @property
    def full(self) -> bool:
        return len(self._passes) == self.length

    @property
    def last_step(self) -> int:
        """The step that the last measurement began, -1 before the first."""
        passes = self._passes or (self._carry[0] if self._carry else [])
        return passes[-1].step if passes else -1

    def take(self, ledger: Ledger, rules: tuple, step: int, fresh: bool, keep: bool, final: bool = False) -> None:
        """Measure: end the step before ``step`` and, unless ``final``, begin ``step`` with the given rules."""
        skipped = None if final else getattr(ledger.optimizer, "found_inf", None)
        scale = None if final else getattr(ledger.optimizer, "grad_scale", None)
        states = [ledger.state(index, rules) for index in range(len(ledger.sheets))]
        for sheet, state in zip(ledger.sheets, states, strict=True):
            sheet.check(*state[:3])
        self._begin(ledger)
        if self._lost:
            ledger.remember()
            fresh = True
        slot, numbers, ready = len(self._passes), [state[3] for state in states], []
        for sheet, (gradients, momenta, parameters, _) in zip(ledger.sheets, states, strict=True):
            if final:
                gradients = [None] * len(gradients)
            ready.append(sheet.measure(gradients, momenta, parameters, scale, skipped, remember=keep))
        self._read(ledger, ready, slot + 1)
        for i, account in enumerate(ledger.accounts):
            sheet, out = ledger.sheets[account.sheet], self._rings[i][slot]
            if account.books is not None:
                weights = self._weights(i, account, numbers[account.sheet], sheet)
                if skipped is not None:
                    still = torch.from_numpy(_skip(weights.cpu().numpy(), np.array([True]))).to(weights)
                    weights = torch.where((skipped > 0).to(weights.device), still, weights)
                squares = sheet.squares[account.size].flatten(1)
                account.books.measure(sheet.matrices[account.size], squares, weights, out.view(len(MATRIX_COLUMNS), -1))
        self._passes.append(_Pass(step, fresh, numbers, ledger.hyperparameters(rules)))
        self._skips.append(None if skipped is None else skipped.detach().clone())
        self._whole, self._lost = None, False

    def _begin(self, ledger: Ledger) -> None:
        """Before tensors are touched: what an interruption left half measured the last time is dropped."""
        if self._whole is not None:
            del self._passes[self._whole :], self._skips[self._whole :]
            for sheet in ledger.sheets:
                sheet.drop()
            self._lost = True
        self._whole = len(self._passes) - max((sheet.waiting for sheet in ledger.sheets), default=0)

    def settle(self, ledger: Ledger) -> None:
        """Have everything multiplied that was measured."""
        self._begin(ledger)
        self._read(ledger, [sheet.settle() for sheet in ledger.sheets], len(self._passes))
        self._whole = None

    def _read(self, ledger: Ledger, ready: Sequence[int], end: int) -> None:
        """Move what is ready on each sheet to the rings, up to place ``end``."""
        for account, ring in zip(ledger.accounts, self._rings, strict=True):
            count = ready[account.sheet]
            if count and account.books is None:
                ledger.sheets[account.sheet].read(count, out=ring[end - count : end].view(-1))

    def remember(self, ledger: Ledger) -> None:
        """Copy all positions: the last step's displacement is not known, and starts from here."""
        self.settle(ledger)
        ledger.remember()

    def _weights(self, i: int, account, numbers: np.ndarray, sheet) -> torch.Tensor:
        """The numbers of a matrix account's rows on the device, uploaded when they change."""
        known = self._uploaded.get(i)
        if known is None or known[0] is not numbers:
            rows = torch.from_numpy(account.rows.spread(numbers)).to(sheet.device, sheet.dtype)
            known = self._uploaded[i] = (numbers, rows)
        return known[1]

    def provisional(self, ledger: Ledger, due: Callable[[int], bool]) -> list[Chunk]:
        """The last step as far as it is known now; the books are as before when this returns."""
        books = [account.books for account in ledger.accounts if account.books is not None]
        states = [b.state for b in books]
        mine = self._carry, self._handed_out, self._history
        try:
            self.take(ledger, ledger.rules(), self.last_step + 1, fresh=False, keep=False, final=True)
            chunk = self.finished(ledger, due)
        finally:
            for b, state in zip(books, states, strict=True):
                b.state = state
            self._carry, self._handed_out, self._history = mine
            self._passes, self._skips = [], []
        return [chunk] if chunk is not None else []

    def finished(self, ledger: Ledger, due: Callable[[int], bool]) -> Chunk | None:
        """Empty the rings: the steps among them that are whole and due, or None if there are none."""
        self.settle(ledger)
        if not self._passes:
            return None
        chunk, *kept = self._steps(ledger, due)
        self._carry, self._handed_out, self._history = kept  # only now: whoever is interrupted before can try again
        self._passes, self._skips = [], []
        return chunk

    @np.errstate(invalid="ignore", over="ignore")  # a diverged run has no finite books
    def _steps(self, ledger: Ledger, due: Callable[[int], bool]) -> tuple:
        """The steps as from ``finished``, and what to keep for the next: _carry, _handed_out and _history."""
        count = len(self._passes)
        carried = [ring[:0].cpu() for ring in self._rings] if self._carry is None else self._carry[1]
        measured = [_after(rows, ring[:count]) for rows, ring in zip(carried, self._rings, strict=True)]
        skips = np.array([False if s is None else float(s) > 0 for s in self._skips])
        passes = self._passes
        if self._carry is not None:
            passes = [*self._carry[0], *passes]
            skips = np.concatenate([self._carry[2], skips])
        carry = passes[-2:], [m[-2:].copy() for m in measured], skips[-2:]
        steps = np.array([p.step for p in passes])
        fresh = np.array([p.fresh for p in passes])
        pairs = np.flatnonzero((np.diff(steps) == 1) & ~fresh[1:])
        if not pairs.size:
            return None, carry, self._handed_out, self._history
        starts, ends = _slice(pairs), _slice(pairs + 1)
        terms = {name: np.zeros((len(pairs), ledger.units)) for name in TERMS}
        for account, values in zip(ledger.accounts, measured, strict=True):
            mine = [passes[i].numbers[account.sheet] for i in pairs]
            if all(numbers is mine[0] for numbers in mine) and not skips[pairs].any():
                numbers = account.rows.spread(mine[0][None])  # the same at every step
            else:
                numbers = account.rows.spread(_skip(np.stack(mine), skips[pairs, None]))
            if account.size == 1:
                values = values.reshape(len(passes), len(COLUMNS), -1)
                joined = np.concatenate([[False], np.diff(pairs) == 1])
                mine = scalar_terms(account.rows, values[starts], values[ends], numbers, joined)
            else:
                values = values.reshape(len(passes), len(MATRIX_COLUMNS), -1)
                mine = matrix_terms(account.rows, values[starts], values[ends], numbers)
            for name in TERMS:
                terms[name][:, account.columns] = mine[name]
        groups = _floats([passes[i].hyperparameters for i in pairs])
        groups = np.concatenate([groups, np.full_like(groups[:, :1], np.nan)], axis=1)  # not in the optimizer
        chosen = [-1 if (group := ledger.group[i]) is None else group for i in ledger.first_parameter]
        new = np.array([step > self._handed_out and due(int(step)) for step in steps[pairs]], dtype=bool)
        if not new.any():
            return None, carry, self._handed_out, self._history
        terms = {name: value[new] for name, value in terms.items()}
        values, history = derived(steps[pairs][new], terms, groups[new][:, chosen], ledger.blocks, self._history)
        single = all(sheet.dtype == torch.float32 for sheet in ledger.sheets)
        kind = np.float32 if single else np.float64
        chunk = Chunk(steps[pairs][new], {name: value.astype(kind) for name, value in values.items()})
        return chunk, carry, int(chunk.steps[-1]), history


def _after(rows, measured: torch.Tensor) -> np.ndarray:
    """What was measured behind the rows that are kept from the last chunk, in double precision."""
    both = np.empty((len(rows) + len(measured), measured.shape[1]))
    both[: len(rows)] = rows
    torch.from_numpy(both)[len(rows) :].copy_(measured)
    return both


def _slice(index: np.ndarray) -> np.ndarray | slice:
    """The same selection without a copy, if the indices follow one another."""
    return slice(index[0], index[-1] + 1) if index[-1] - index[0] == len(index) - 1 else index


def _floats(hyperparameters: Sequence[list[tuple]]) -> np.ndarray:
    """Hyperparameters of each step as numbers, (steps, groups, 4); equal ones are read once."""
    known, rows = (None, None), []
    for groups in hyperparameters:
        if any(isinstance(value, torch.Tensor) for group in groups for value in group) or groups != known[0]:
            known = groups, [[float(value) for value in group] for group in groups]
        rows.append(known[1])
    # An optimizer may be given more groups: before that they have no numbers.
    missing = [[np.nan] * 4]
    longest = max(map(len, rows))
    return np.array([row + missing * (longest - len(row)) for row in rows])


def _skip(numbers, skipped):
    """The numbers of a step that is not taken: nothing decays, nothing is added. (..., 4, rows)."""
    still = np.zeros_like(numbers)
    still[..., DECAY, :] = 1 - numbers[..., BARE, :]
    still[..., BARE, :] = numbers[..., BARE, :]
    return np.where(skipped[..., None], still, numbers)


def empty(ledger: Ledger) -> Chunk:
    """No steps."""
    terms = {name: np.zeros((0, ledger.units)) for name in TERMS}
    values, _ = derived(np.zeros(0, int), terms, np.zeros((0, len(ledger.blocks), 4)), ledger.blocks, None)
    return Chunk(np.zeros(0, int), values)
