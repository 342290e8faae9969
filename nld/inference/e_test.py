"""The sequential t-test: an e-value that may be looked at after every seed, and the interval that belongs to it.

For per-seed differences x_1 … x_n with t-statistic t and nu = n - 1

    E_n = (1 + n)^(-1/2) [(1 + t²/nu) / (1 + t²/((1 + n) nu))]^((nu + 1)/2)

is the ratio of the likelihood under an effect size distributed as N(0, 1) to that under none, with the right-Haar prior
on the scale. Under no effect, whatever the scale of normal differences, the chance that E_n *ever* reaches 1/alpha is
at most alpha. References: Lai, Ann. Statist. 4 (1976) 265; Pérez-Ortiz, Lardy, de Heide and Grünwald, Ann. Statist. 52
(2024) 1410.
"""

import math

import numpy as np

from nld.errors import InvalidInput

INTERVAL_AT = 20.0  # a mean belongs to the 95 % confidence sequence while its e-value is below


def log_e_process(samples) -> np.ndarray:
    """log E_k after each sample, k = 1 … n; zero after the first, which has no scale yet.

    Args:
        samples: differences in the order in which their seeds were run, shape (n,).

    Raises:
        ValueError: the samples are not one row of finite numbers.
    """
    x = finite_row(samples)
    count = np.arange(1, len(x) + 1)
    mean = np.cumsum(x) / count
    # The sum of squares about the running mean, by Welford's update: no difference of large numbers.
    before = np.concatenate([[0.0], mean[:-1]])
    scatter = np.cumsum((x - before) * (x - mean))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(scatter > 0, count * mean**2 / scatter, np.where(mean == 0, 0.0, np.inf))  # t²/nu
    return log_e_value(ratio, count)


def log_e_value(ratio, count) -> np.ndarray:
    """log E_n from t²/nu and n; the limit (n - 1)/2 log(1 + n) where differences have no scatter."""
    ratio, count = np.broadcast_arrays(np.asarray(ratio, float), np.asarray(count, float))
    with np.errstate(invalid="ignore"):
        grown = np.log1p(ratio) - np.log1p(ratio / (1 + count))
    grown = np.where(np.isinf(ratio), np.log1p(count), grown)
    return np.where(count > 1, count / 2 * grown - np.log1p(count) / 2, 0.0)


def first_crossing(samples, threshold: float) -> int | None:
    """How many samples it took for E to reach ``threshold`` first, or None: the moment at which a test stops."""
    reached = np.flatnonzero(log_e_process(samples) >= math.log(threshold))
    return int(reached[0]) + 1 if len(reached) else None


def confidence_sequence(samples, threshold: float = INTERVAL_AT) -> tuple[float, float]:
    """The means that E does not exclude, {mu : E_n(mu) < threshold}: mean ± s sqrt(nu x/n).

    x = (R - 1)/(1 - R/(1 + n)) with R = (threshold sqrt(1 + n))^(2/n) solves E_n = threshold for x = t²/nu. Holds at
    every n at once, with probability 1 - 1/threshold. Infinite while n is too small to exclude anything.
    """
    x = finite_row(samples)
    n = len(x)
    if n < 2:
        return -math.inf, math.inf
    factor = (threshold * math.sqrt(1 + n)) ** (2 / n)
    if factor >= 1 + n:
        return -math.inf, math.inf
    bound = (factor - 1) / (1 - factor / (1 + n))
    half = math.sqrt(float(((x - x.mean()) ** 2).sum()) * bound / n)
    return float(x.mean()) - half, float(x.mean()) + half


def samples_needed(mean: float, deviation: float, threshold: float, most: int = 100_000) -> int | None:
    """About how many samples it takes to stop, if mean and deviation stay what they are; None if more than ``most``."""
    if mean == 0:
        return None
    count = np.unique(np.geomspace(2, most, 4000).astype(int))
    ratio = np.inf if deviation == 0 else count * mean**2 / deviation**2 / (count - 1)
    reached = np.flatnonzero(log_e_value(ratio, count) >= math.log(threshold))
    return int(count[reached[0]]) if len(reached) else None


def finite_row(samples) -> np.ndarray:
    """The samples as one row of finite numbers.

    Raises:
        ValueError: they are not.
    """
    x = np.asarray(samples, float)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise InvalidInput(f"expected one row of finite differences, one a seed, got {x!r}; give diverged runs a value")
    return x
