"""A positive quantity that drifts ever more slowly, from its means in windows: level and slope with their errors.

The mean over units of a block is fitted by log s_w = a + b (x_w - mean of x), in x = (1 - (n/m)^-DAMPING)/DAMPING: near
the middle m of the windows a power of the step n, and later less, as learning slows (a damped trend; Gardner and
McKenzie 1985). A prior draws b to zero: what does not drift by more than its noise is extrapolated as a constant. The
level of each unit is its own mean, drawn to that of the block by as much as the units differ no more than their windows
do (James and Stein 1961, in its empirical form).
"""

from dataclasses import dataclass

import numpy as np

DAMPING = 0.5  # from selection seeds of a language model: 0 would continue powers of the step
PRIOR = 0.1  # standard deviation of b before a run is seen
UNSEEN = 0.25  # of what the trend does not follow, for each unit of x
FLOOR = 0.02  # of a level, relative to that of the block, and to the mean of magnitudes: it is positive by definition
WIDEST = 2.0  # relative error of a level of which nothing is known but that


@dataclass(frozen=True)
class DampedTrend:
    """level exp(slope (x(n) - centre)), with independent relative errors of level and slope.

    Args:
        level: of each unit, (units,).
        slope: of the block, d log s/d log n at the middle of the windows.
        level_error: relative standard deviation of the levels, (units,).
        slope_error: standard deviation of the slope.
        middle: m, the step at which x is zero.
        centre: x at which the two errors are independent.
        scatter: relative variance of a single step about the law, as windows show it.
    """

    level: np.ndarray
    slope: float
    level_error: np.ndarray
    slope_error: float
    middle: float
    centre: float
    scatter: float

    def at(self, step: np.ndarray, level: float = 0.0, slope: float = 0.0) -> np.ndarray:
        """The value, (steps, units), with level and slope moved by so many standard deviations."""
        x = slowing(step, self.middle)[:, None] - self.centre
        return self.level * np.exp(level * self.level_error + x * (self.slope + slope * self.slope_error))

    def log_error(self, step: np.ndarray) -> np.ndarray:
        """Standard deviation of the logarithm, (steps, units)."""
        x = slowing(step, self.middle)[:, None] - self.centre
        return np.sqrt(self.level_error**2 + (x * self.slope_error) ** 2)


def slowing(step: np.ndarray, middle: float) -> np.ndarray:
    """x = (1 - (n/m)^-DAMPING)/DAMPING of steps n > 0; log(n/m) if there is no damping."""
    ratio = np.asarray(step, float) / middle
    return (1 - ratio**-DAMPING) / DAMPING if DAMPING else np.log(ratio)


def damped_trend(
    steps: np.ndarray, means: np.ndarray, length: float = 1.0, prior: float = PRIOR, unseen: float = UNSEEN
) -> DampedTrend:
    """The trend of a quantity of which means over windows are known.

    Args:
        steps: the middle of each window, (windows,), at least three.
        means: of each window, (windows, units).
        length: of a window, in steps.
        prior: standard deviation of the slope before a run is seen; 0 keeps the mean.
        unseen: standard deviation of what the trend does not follow, for each unit of x.
    """
    windows, units = means.shape
    least = max(FLOOR * float(np.abs(means).mean()), 1e-300)
    of_block = max(float(means.mean()), least)
    middle = float(np.exp(np.log(steps).mean()))
    x = slowing(steps, middle)
    centre, x = float(x.mean()), x - x.mean()
    logs = np.log(np.maximum(means.mean(1) / of_block, FLOOR))
    spread = float(np.square(x).sum())
    raw = float(x @ logs) / spread
    sampling = float(np.square(logs - logs.mean() - raw * x).sum()) / (windows - 2) / spread
    weight = prior**2 / (prior**2 + sampling) if prior else 0.0

    shape = np.exp(weight * raw * x)[:, None]
    of_units = means.sum(0) / shape.sum()
    of_block = max(float(of_units.mean()), least)
    residual = (means - of_units * shape) / of_block
    variance = float(np.square(residual).sum() / units / max(windows - 2, 1))  # of a window
    error = variance / windows  # of a unit's mean
    differing = max(float(np.var(of_units / of_block)) - error, 0.0)
    own = differing / (differing + error) if units > 1 and differing > 0 else float(units == 1)
    level = np.maximum(of_block + own * (of_units - of_block), FLOOR * of_block)
    level_error = np.minimum(np.sqrt(max(own, 1 / units) * error) * of_block / level, WIDEST)
    slope_error = float(np.sqrt(weight * sampling + unseen**2))
    scatter = min(variance, WIDEST**2) * length
    return DampedTrend(level, weight * raw, level_error, slope_error, middle, centre, scatter)
