"""What a record holds of each step: one declaration a quantity, from the terms of the charge balance.

A new monitored quantity is a new row of QUANTITIES. It asks for no second pass over the parameters: a record must stay
cheap.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from nld.finder.block import Block

WINDOW = 5.0  # windows of chi, in units of 1 / (1 - beta) steps

Known = Mapping[str, Any]


@dataclass(frozen=True)
class Quantity:
    """A variable of records, (steps, units) or (steps, blocks): what it is, and its formula."""

    name: str
    units: str  # w is the unit of weights, ℓ of the loss
    long_name: str  # in letters of nld.monitor.charge_balance
    formula: Callable[[Known], np.ndarray]  # of all that ``quantities`` knows
    over_units: str = "mean"  # or "max": what stands for a block that is given one value; "one": it has no more
    since: int = 1  # the first format of records that has it; see monitor_record
    spare: int = 0  # digits fewer that say as much, where little but the size means anything; see significant_digits

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Dimensions beyond the step."""
        return ("block",) if self.over_units == "one" else ("block", "unit")


def angle(squared_norm: np.ndarray, radial_step: np.ndarray, squared_step: np.ndarray) -> np.ndarray:
    """Angle between q and q + Δq, from |q|^2, ⟨q, Δq⟩ and |Δq|^2; accurate for small angles. Radians."""
    with np.errstate(divide="ignore", invalid="ignore"):
        tangential = np.sqrt(np.maximum(squared_step - radial_step**2 / squared_norm, 0.0))
        angles = np.arctan2(tangential * np.sqrt(squared_norm), squared_norm + radial_step)
    return np.where(squared_norm > 0, angles, np.nan)


def ratio(above: np.ndarray, below: np.ndarray, otherwise: float = 0.0) -> np.ndarray:
    """A ratio where what is below is positive."""
    out = np.full(np.broadcast_shapes(above.shape, below.shape), otherwise)
    return np.divide(above, below, out=out, where=below > 0)


def _of_charge(name: str, long_name: str, spare: int = 0) -> Quantity:
    return Quantity(name, "ℓ (translation: ℓ/w)", long_name, itemgetter(name), spare=spare)


def _of_block(name: str, units: str, long_name: str) -> Quantity:
    return Quantity(name, units, f"{long_name} of the block's first member", itemgetter(name), over_units="one")


_ROWS = (
    _of_charge("charge", "Noether charge <pi_{n+1}, A(q_n)>"),
    _of_charge("dissipation", "(beta - 1) <pi_n, A(q_{n-1})>"),
    _of_charge("kinetic_symmetry_breaking", "beta <pi_n, DA (q_n - q_{n-1})>"),
    _of_charge("weight_decay_term", "c k <q_n, A(q_n)>, coupled decay only"),
    _of_charge("residual", "charge minus its prediction", spare=1),
    Quantity(
        "relative_residual",
        "1",
        "|residual| / (|pi_{n+1}| |A(q_n)|); of one-entry units with a typical |pi|",
        lambda known: ratio(np.abs(known["residual"]), known["charge_bound"]),
        over_units="max",
        spare=1,
    ),
    Quantity(
        "violation", "1", "|<g_n, A(q_n)>| / (|g_n| |A(q_n)|)", itemgetter("violation"), over_units="max", spare=1
    ),
    Quantity("squared_norm", "w^2", "|q_n|^2", itemgetter("squared_norm")),
    Quantity(
        "imbalance",
        "w^2 (translation: w)",
        "<q_n, A(q_n)>: |q|^2 of one side minus that of the other; of matrices the norm",
        itemgetter("imbalance"),
        since=3,
    ),
    Quantity(
        "velocity_along_symmetry",
        "ℓ (translation: ℓ/w)",
        "<(q_{n+1} - q_n) / eta, A(q_n)> of linear generators, NaN of others; see nld.monitor.velocity",
        lambda known: ratio(known["generator_step"], known["unit_learning_rate"], np.nan),
        since=5,
    ),
    Quantity("squared_step", "w^2", "|q_{n+1} - q_n|^2", itemgetter("squared_step")),
    Quantity("squared_gradient", "ℓ^2/w^2", "|g_n|^2", itemgetter("squared_gradient")),
    Quantity(
        "angular_step",
        "rad",
        "angle between q_n and q_{n+1}",
        lambda known: angle(known["squared_norm"], known["radial_step"], known["squared_step"]),
    ),
    Quantity(
        "effective_learning_rate",
        "1/ℓ",
        "eta / |q_n|^2",
        lambda known: ratio(known["unit_learning_rate"], known["squared_norm"], np.nan),
    ),
    Quantity(
        "gradient_autocorrelation",
        "1",
        "chi: (1 - beta^2) mean |pi|^2 / (c^2 mean |g|^2) over the last 5/(1 - beta) steps",
        lambda known: ratio(known["summed_white_gradient"], known["summed_gradient"], np.nan),
    ),
    _of_block("learning_rate", "w^2/ℓ", "eta"),
    _of_block("momentum", "1", "beta"),
    _of_block("coefficient", "1", "c"),
    _of_block("weight_decay", "ℓ/w^2 (decoupled: as learning_rate^-1)", "k"),
)
QUANTITIES: Mapping[str, Quantity] = {row.name: row for row in _ROWS}
# What the exact law adds up: charge - charge before = the sum of the others.
BALANCE = ("charge", "dissipation", "kinetic_symmetry_breaking", "weight_decay_term", "residual")


def windowed_sum(
    steps: np.ndarray, values: np.ndarray, widths: np.ndarray, counts: Sequence[int], before: int = 0
) -> np.ndarray:
    """Sum over the steps n - width < m <= n that are there, (steps, units), of all steps but the first ``before``.

    ``widths``: of each block at the steps that are asked for, (steps - before, blocks).
    """
    sums = np.zeros((len(values) + 1, *values.shape[1:]))
    for row, value in enumerate(values):  # what cumsum does, which takes unit by unit, each far from the next
        np.add(sums[row], value, out=sums[row + 1])
    left = np.searchsorted(steps, steps[before:, None] - widths, side="right")
    if left.size and (left == left[:, :1]).all():  # one momentum for all blocks
        return sums[before + 1 :] - sums[left[:, 0]]
    return sums[before + 1 :] - np.take_along_axis(sums, np.repeat(left, counts, axis=1), 0)


class History(NamedTuple):
    """What windows reach back to: steps, and of each step and unit |π|² (1 - β²)/c² and |g|², (steps, units)."""

    steps: np.ndarray
    white_gradient: np.ndarray
    squared_gradient: np.ndarray


def quantities(
    steps: np.ndarray, terms: dict, groups: np.ndarray, blocks: Sequence[Block], history: History | None
) -> tuple[dict[str, np.ndarray], History]:
    """All of QUANTITIES from the charge balance's TERMS.

    Formulas know the terms; ``learning_rate``, ``momentum``, ``coefficient`` and ``weight_decay`` of each block;
    ``unit_learning_rate``; and summed over chi's window ``summed_white_gradient`` and ``summed_gradient``,
    where white_gradient is the |g|² of uncorrelated gradients that would make |π|² in the mean.

    Args:
        steps: (T,).
        terms: (T, units).
        groups: learning rate, momentum, coefficient, weight decay of each block, (T, blocks, 4).
        history: what the last call returned, for windows that reach back; None at first.

    Returns:
        The variables, (T, units) or (T, blocks), and the history for the next call.
    """
    counts = [block.units for block in blocks]
    hyperparameters = ("learning_rate", "momentum", "coefficient", "weight_decay")
    of_blocks = dict(zip(hyperparameters, np.moveaxis(groups, 2, 0), strict=True))
    constant = len(steps) > 0 and np.array_equal(groups, np.broadcast_to(groups[:1], groups.shape), equal_nan=True)
    some = slice(0, 1) if constant else slice(None)  # then once for all steps
    beta, c = of_blocks["momentum"][some], of_blocks["coefficient"][some]
    with np.errstate(divide="ignore", invalid="ignore"):
        white = terms["squared_momentum"] * np.repeat(1 - beta**2, counts, axis=1)
        white /= np.repeat(c**2, counts, axis=1)
        if not (beta > 0).all():
            white = np.where(np.repeat(beta > 0, counts, axis=1), white, terms["squared_gradient"])
        widths = np.nan_to_num(np.round(WINDOW / (1 - of_blocks["momentum"])), nan=WINDOW, posinf=1e9)
    reached, before = History(steps, white, terms["squared_gradient"]), 0
    if history is not None:
        before = len(history.steps)
        reached = History(*(np.concatenate(both) for both in zip(history, reached, strict=True)))
    summed = functools.partial(windowed_sum, reached.steps, widths=widths, counts=counts, before=before)
    known = {
        **terms,
        **of_blocks,
        "unit_learning_rate": np.repeat(of_blocks["learning_rate"][some], counts, axis=1),
        "summed_white_gradient": summed(reached.white_gradient),
        "summed_gradient": summed(reached.squared_gradient),
    }
    if len(steps):
        oldest = int(np.searchsorted(reached.steps, steps[-1] - min(widths.max(initial=1.0), 10_000), side="right"))
        reached = History(*(values[oldest:] for values in reached))
    return {name: quantity.formula(known) for name, quantity in QUANTITIES.items()}, reached
