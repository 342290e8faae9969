"""A positive quantity that drifts as a power of the step, from its means in windows: level and slope with their errors.

log s_w = a + b (x_w - x̄) + noise, x = log n, one level and one slope a unit; slopes are drawn towards the mean slope
of the block by how much they differ beyond their errors, and that towards zero by a prior: what does not drift by more
than its noise is extrapolated as a constant.
"""

from dataclasses import dataclass

import numpy as np

PRIOR = 0.3  # standard deviation of b before a run is seen: a factor of 1.6 over five times as many steps
UNSEEN = 0.1  # of what a power law does not follow, for each factor of e in the number of steps
FLOOR = 0.02  # smallest mean of a window, relative to the mean of all: it is positive, but for noise


@dataclass(frozen=True)
class PowerLaw:
    """exp(level + slope (log n - centre)) with independent errors of level and slope, each of shape (units,).

    Args:
        level, slope: the estimates.
        level_error, slope_error: their standard deviations.
        centre: log of the step at which the two errors are independent.
        end: log of the last step that was seen.
    """

    level: np.ndarray
    slope: np.ndarray
    level_error: np.ndarray
    slope_error: np.ndarray
    centre: float
    end: float

    def at(self, step: np.ndarray, level: float = 0.0, slope: float = 0.0) -> np.ndarray:
        """The value, (steps, units), with level and slope moved by so many standard deviations."""
        x = np.log(np.asarray(step, float))[:, None] - self.centre
        return np.exp(self.level + level * self.level_error + x * (self.slope + slope * self.slope_error))

    def log_error(self, step: np.ndarray) -> np.ndarray:
        """Standard deviation of the logarithm, (steps, units)."""
        x = np.log(np.asarray(step, float))[:, None]
        return np.sqrt(self.level_error**2 + ((x - self.centre) * self.slope_error) ** 2)


def power_law(steps: np.ndarray, means: np.ndarray) -> PowerLaw:
    """The power law of a quantity of which means over windows are known.

    Args:
        steps: the middle of each window, (windows,), at least three.
        means: of each window, (windows, units).
    """
    logs = np.log(np.maximum(means, np.maximum(FLOOR * np.abs(means.mean(0)), 1e-300)))
    x = np.log(steps)
    centre = float(x.mean())
    x = x - centre
    spread = float(np.square(x).sum())
    slopes = x @ logs / spread
    residual = logs - logs.mean(0) - x[:, None] * slopes
    freedom = len(steps) - 2
    variance = np.square(residual).sum(0).mean() / freedom  # of a window's logarithm; pooled over units
    sampling = variance / spread
    common = residual.mean(1)
    of_mean = np.square(common).sum() / freedom / spread if means.shape[1] > 1 else sampling
    weight = PRIOR**2 / (PRIOR**2 + of_mean)
    mean_slope = weight * slopes.mean()
    differing = max(float(slopes.var()) - sampling, 0.0)
    own = differing / (differing + sampling) if differing > 0 else 0.0
    slope = mean_slope + own * (slopes - slopes.mean())
    slope_error = np.sqrt(weight * of_mean + own * sampling + UNSEEN**2)
    level_error = np.sqrt(variance / len(steps))
    full = np.ones(means.shape[1])
    return PowerLaw(logs.mean(0), slope, level_error * full, slope_error * full, centre, float(np.log(steps[-1])))
