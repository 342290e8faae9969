"""From measurements on the host to finished steps: two that follow one another end the step between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nld.finder.block import Block
from nld.monitor.charge_balance import MATRIX_COLUMNS, TERMS, matrix_terms, place_in, runs, scalar_terms
from nld.monitor.charge_rows import BARE, DECAY, WEIGHT
from nld.monitor.inner_products.products import COLUMNS
from nld.monitor.quantities import QUANTITIES, History, quantities
from nld.monitor.tracked_parameters import ChargeGroup, TrackedParameters


@dataclass(frozen=True)
class FinishedSteps:
    """Finished steps: their numbers, and for each of QUANTITIES (steps, units) or (steps, blocks)."""

    steps: np.ndarray
    values: dict[str, np.ndarray]

    @staticmethod
    def join(parts: Sequence["FinishedSteps"]) -> "FinishedSteps":
        """One after the other."""
        names = parts[0].values
        return FinishedSteps(
            np.concatenate([part.steps for part in parts]),
            {name: np.concatenate([part.values[name] for part in parts]) for name in names},
        )

    def over_units(self, blocks: Sequence[Block]) -> "FinishedSteps":
        """One value a block, as each quantity's declaration says."""
        counts = np.array([block.units for block in blocks])
        edges = np.cumsum([0, *counts])[:-1]
        combine = {
            "one": lambda value: value,
            "max": lambda value: np.maximum.reduceat(value, edges, axis=1),
            "mean": lambda value: (np.add.reduceat(value, edges, axis=1) / counts).astype(value.dtype),
        }
        combined = {name: combine[QUANTITIES[name].over_units](value) for name, value in self.values.items()}
        return FinishedSteps(self.steps, combined)


@dataclass(frozen=True)
class Entry:
    """What the host knows of one measurement."""

    step: int  # that begins
    fresh: bool  # whether no step ends
    numbers: list[np.ndarray]  # for each of the inner products; see TrackedParameters.state
    hyperparameters: list[tuple]  # of each parameter group; see TrackedParameters.hyperparameters
    skipped: torch.Tensor | None  # positive if the step is not taken, where only the device knows


@dataclass(frozen=True)
class Carried:
    """What finishing some steps leaves for the next."""

    entries: list[Entry]  # of the last two measurements
    measured: list[np.ndarray]  # what these found, (2, columns) for each charge group
    last_step: int = -1  # that was handed out
    history: History | None = None


def finish(
    tracked: TrackedParameters,
    due: Callable[[int], bool],
    entries: Sequence[Entry],
    measured: Sequence[torch.Tensor],
    carried: Carried,
) -> tuple[FinishedSteps | None, Carried]:
    """The steps among some measurements that are whole and due, or None, and what to carry to the next call.

    Args:
        measured: what was found by the measurements of ``entries``, (measurements, columns) for each charge group.
        carried: from the call before.
    """
    entries = [*carried.entries, *entries]
    known = [(rows, new.cpu().numpy()) for rows, new in zip(carried.measured, measured, strict=True)]
    last_two = [np.concatenate([rows, new[-2:]])[-2:] for rows, new in known]
    last_two = Carried(entries[-2:], last_two, carried.last_step, carried.history)
    numbers = np.array([entry.step for entry in entries])
    fresh = np.array([entry.fresh for entry in entries])
    pairs = np.flatnonzero((np.diff(numbers) == 1) & ~fresh[1:])
    steps = numbers[pairs]
    new = np.array([step > carried.last_step and due(int(step)) for step in steps], dtype=bool)
    if not new.any():
        return None, last_two
    with np.errstate(invalid="ignore", over="ignore"):  # a diverged run has no finite balance
        terms = _terms(tracked, entries, known, pairs)
        terms = {name: values[_slice(np.flatnonzero(new))] for name, values in terms.items()}
        groups = _hyperparameters(tracked, [entries[i] for i in pairs])[new]
        values, history = quantities(steps[new], terms, groups, tracked.blocks, carried.history)
        single = all(products.dtype == torch.float32 for products in tracked.inner_products)
        values = {name: value.astype(np.float32 if single else np.float64) for name, value in values.items()}
    finished = FinishedSteps(steps[new], values)
    return finished, Carried(last_two.entries, last_two.measured, int(finished.steps[-1]), history)


def _terms(tracked: TrackedParameters, entries, known: Sequence[tuple], pairs: np.ndarray) -> dict:
    """TERMS of the steps between measurement i and the next, for each i of ``pairs``: (pairs, units)."""
    terms = {name: np.empty((len(pairs), tracked.units)) for name in TERMS}
    skipped = np.array([entries[i].skipped is not None and float(entries[i].skipped) > 0 for i in pairs])
    starts, ends = _slice(pairs), _slice(pairs + 1)
    for charges, measured in zip(tracked.charge_groups, known, strict=True):
        numbers = _numbers(charges, [entries[i].numbers[charges.measured_by] for i in pairs], skipped)
        if charges.size == 1:
            rows = [each.reshape(len(each), len(COLUMNS), charges.rows.count) for each in measured]
            joined = np.concatenate([[False], np.diff(pairs) == 1])
            scalar_terms(charges.rows, rows, starts, ends, numbers, joined, charges.columns, terms)
            continue
        rows = np.concatenate(measured, dtype=np.float64).reshape(len(entries), len(MATRIX_COLUMNS), -1)
        of_group, places = matrix_terms(charges.rows, rows[starts], rows[ends], numbers), runs(charges.columns)
        for name in TERMS:
            place_in(terms[name], places, of_group[name])
    return terms


def _numbers(charges: ChargeGroup, of_parameters: Sequence[np.ndarray], skipped: np.ndarray) -> np.ndarray:
    """Numbers of a charge group's rows at each step, or once if they are the same at all: (steps or 1, 4, rows)."""
    if all(numbers is of_parameters[0] for numbers in of_parameters) and not skipped.any():
        return charges.rows.spread(of_parameters[0][None])
    return charges.rows.spread(_of_skipped_steps(np.stack(of_parameters), skipped[:, None]))


def _of_skipped_steps(numbers: np.ndarray, skipped: np.ndarray) -> np.ndarray:
    """Numbers, (..., 5, rows), where steps that are not taken let nothing decay and add nothing."""
    still = np.zeros_like(numbers)
    still[..., DECAY, :] = 1 - numbers[..., BARE, :]
    still[..., [BARE, WEIGHT], :] = numbers[..., [BARE, WEIGHT], :]
    return np.where(skipped[..., None], still, numbers)


def _hyperparameters(tracked: TrackedParameters, entries: Sequence[Entry]) -> np.ndarray:
    """Learning rate, momentum, coefficient and weight decay of each block at each step, (steps, blocks, 4)."""
    groups = _floats([entry.hyperparameters for entry in entries])
    groups = np.concatenate([groups, np.full_like(groups[:, :1], np.nan)], axis=1)  # not in the optimizer
    chosen = [-1 if (group := tracked.group[i]) is None else group for i in tracked.first_parameter]
    return groups[:, chosen]


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


def _slice(index: np.ndarray) -> np.ndarray | slice:
    """The same selection without a copy, if the indices follow one another."""
    return slice(index[0], index[-1] + 1) if index[-1] - index[0] == len(index) - 1 else index


def no_steps(tracked: TrackedParameters) -> FinishedSteps:
    """No steps."""
    terms = {name: np.zeros((0, tracked.units)) for name in TERMS}
    values, _ = quantities(np.zeros(0, int), terms, np.zeros((0, len(tracked.blocks), 4)), tracked.blocks, None)
    return FinishedSteps(np.zeros(0, int), values)
