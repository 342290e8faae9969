"""Tests at a number of seeds that was fixed beforehand: agreement within a margin, and being no worse than a margin."""

import math

import numpy as np
from scipy import stats

from nld.errors import InvalidInput
from nld.inference.e_test import finite_row


def agreement(samples, margin: float) -> float:
    """p-value of two one-sided t-tests that the mean lies within ± margin.

    The larger of the two p-values; small means agreement. Reference: Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987).

    Raises:
        ValueError: fewer than two samples, or a margin that is not positive.
    """
    return max(_exceeds(samples, -margin, margin), _exceeds(-finite_row(samples), -margin, margin))


def non_inferiority(samples, margin: float) -> float:
    """p-value of the one-sided t-test that the mean is above -margin."""
    return _exceeds(samples, -margin, margin)


def interval(samples, level: float = 0.95) -> tuple[float, float]:
    """Student's interval of the mean at a fixed n."""
    x = finite_row(samples)
    if len(x) < 2:
        return -math.inf, math.inf
    half = float(stats.t.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    return float(x.mean()) - half, float(x.mean()) + half


def holm(p_values, size: int) -> np.ndarray:
    """p-values adjusted by Holm's step-down for a family of ``size`` tests, those not given counted as failures.

    Reference: Holm, Scand. J. Statist. 6 (1979) 65.

    Raises:
        ValueError: more p-values than the family has tests.
    """
    p = np.asarray(p_values, float)
    if len(p) > size:
        raise InvalidInput(f"expected at most {size} tests in the family, got {len(p)}; register them in a new family")
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * (size - np.arange(len(p)))))
    return adjusted


def runs_for_agreement(deviation: float, margin: float, alpha: float = 0.05, power: float = 0.9, most: int = 64) -> int:
    """Smallest n at which ``agreement`` succeeds with this power if the true mean is zero; from selection seeds.

    Raises:
        ValueError: more than ``most`` runs are needed; such a claim is not to be registered.
    """
    for n in range(2, most + 1):
        scale = deviation / math.sqrt(n)
        room = margin - float(stats.t.ppf(1 - alpha, n - 1)) * scale
        if room > 0 and (scale == 0 or 2 * stats.norm.cdf(room / scale) - 1 >= power):
            return n
    raise InvalidInput(
        f"expected a margin that {most} runs can resolve, got {margin:g} at a deviation of {deviation:g}; "
        "do not register this claim, and say so"
    )


def _exceeds(samples, bound: float, margin: float) -> float:
    """One-sided p-value that the mean exceeds a bound."""
    x = finite_row(samples)
    if margin <= 0:
        raise InvalidInput(f"expected a positive margin, got {margin:g}")
    if len(x) < 2:
        return 1.0
    error = x.std(ddof=1) / math.sqrt(len(x))
    if error == 0:
        return float(x.mean() <= bound)
    return float(stats.t.sf((x.mean() - bound) / error, len(x) - 1))
