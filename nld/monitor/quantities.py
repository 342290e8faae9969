"""What follows from the books' terms: angles, effective learning rates, gradient autocorrelation."""

from collections.abc import Sequence

import numpy as np

from nld.finder.block import Block

PER_BLOCK = ("learning_rate", "momentum", "coefficient", "weight_decay")
WINDOW = 5.0  # windows of chi, in units of 1 / (1 - beta) steps


def angle(squared_norm: np.ndarray, radial_step: np.ndarray, squared_step: np.ndarray) -> np.ndarray:
    """Angle between q and q + Δq, from |q|^2, ⟨q, Δq⟩ and |Δq|^2; accurate for small angles. Radians."""
    with np.errstate(divide="ignore", invalid="ignore"):
        tangential = np.sqrt(np.maximum(squared_step - radial_step**2 / squared_norm, 0.0))
        angles = np.arctan2(tangential * np.sqrt(squared_norm), squared_norm + radial_step)
    return np.where(squared_norm > 0, angles, np.nan)


def windowed_sum(steps: np.ndarray, values: np.ndarray, widths: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Sum over the steps n - width < m <= n that are there, (steps, units); widths (steps, blocks)."""
    sums = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    left = np.searchsorted(steps, steps[:, None] - widths, side="right")
    return sums[1:] - np.take_along_axis(sums, np.repeat(left, counts, axis=1), 0)


def derived(steps: np.ndarray, terms: dict, groups: np.ndarray, blocks: Sequence[Block], history) -> tuple[dict, tuple]:
    """All of record.VARIABLES from the books' TERMS.

    Args:
        steps: (T,).
        terms: (T, units).
        groups: learning rate, momentum, coefficient, weight decay of each block, (T, blocks, 4).
        history: what the last call returned, for windows that reach back; None at first.

    Returns:
        The variables, (T, units) or (T, blocks), and the history for the next call.
    """
    counts = [block.units for block in blocks]
    rate, decay, coefficient, weight_decay = np.moveaxis(groups, 2, 0)
    per_unit = [np.repeat(value, counts, axis=1) for value in (rate, decay, coefficient)]
    unit_rate, unit_decay, unit_coefficient = per_unit
    norm = terms["squared_norm"]
    with np.errstate(divide="ignore", invalid="ignore"):
        white = terms["squared_momentum"] * (1 - unit_decay**2) / unit_coefficient**2
        white = np.where(unit_decay > 0, white, terms["squared_gradient"])
        effective = np.where(norm > 0, unit_rate / norm, np.nan)
        widths = np.nan_to_num(np.round(WINDOW / (1 - decay)), nan=WINDOW, posinf=1e9)
    past = (steps[:0], white[:0], white[:0]) if history is None else history
    all_steps = np.concatenate([past[0], steps])
    all_white = np.concatenate([past[1], white])
    all_gradient = np.concatenate([past[2], terms["squared_gradient"]])
    all_widths = np.concatenate([np.ones((len(past[0]), widths.shape[1])), widths])
    above = windowed_sum(all_steps, all_white, all_widths, counts)[len(past[0]) :]
    below = windowed_sum(all_steps, all_gradient, all_widths, counts)[len(past[0]) :]
    autocorrelation = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
    if len(steps):
        kept = all_steps > all_steps[-1] - min(widths.max(initial=1.0), 10_000)
        past = (all_steps[kept], all_white[kept], all_gradient[kept])
    bound = terms["charge_bound"]
    values = {
        name: terms[name]
        for name in ("charge", "dissipation", "kinetic_symmetry_breaking", "weight_decay_term", "residual", "violation")
    }
    values |= {name: terms[name] for name in ("squared_norm", "squared_step", "squared_gradient")}
    values["relative_residual"] = np.divide(np.abs(terms["residual"]), bound, out=np.zeros_like(bound), where=bound > 0)
    values["angular_step"] = angle(norm, terms["radial_step"], terms["squared_step"])
    values["effective_learning_rate"] = effective
    values["gradient_autocorrelation"] = autocorrelation
    values |= dict(zip(PER_BLOCK, (rate, decay, coefficient, weight_decay), strict=True))
    return values, past
