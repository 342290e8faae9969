"""Adam: how large its updates can become, and what they do to the norm of a scale-invariant unit.

m <- beta m + (1 - beta) g, v <- rho v + (1 - rho) g^2, u_n = sqrt(1 - rho^n)/(1 - beta^n) m/sqrt(v) and
q <- (1 - eta k) q - eta u: beta is how gradients are remembered (momentum), rho how squares are (square decay).
Both are exact sums over the past, so the largest u and the sequence of gradients that attains it are exact too.

References: Gould and Tanaka 2024, in continuous time (``continuous_*``).
"""

from typing import Any

import numpy as np

from nld.errors import InvalidInput
from nld.learning_rules.rules import LearningRule
from nld.series import Prediction

CLOSURES = ("charge", "relaxed", "orthogonal")


def largest_update(momentum, square_decay, steps: Any = np.inf):
    """Largest |u_n| after ``steps`` steps over all sequences of gradients, attained by ``worst_gradients``.

    sqrt(1 - rho^n)/(1 - beta^n) (1 - beta)/sqrt(1 - rho) (sum_{k<n} (beta^2/rho)^k)^{1/2}

    By Cauchy and Schwarz. For n to infinity it is (1 - beta)/sqrt((1 - rho)(1 - beta^2/rho)) if beta < sqrt(rho), and
    infinite otherwise; it is 1, its minimum, at beta = rho. Arguments broadcast.
    """
    beta, rho, n = _checked(momentum, square_decay, steps)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        log = 2 * np.log(beta) - np.log(rho)
        total = np.where(np.abs(log) < 1e-14, n, np.expm1(n * log) / np.expm1(log))
        return _bias(beta, rho, n) * (1 - beta) * np.sqrt(total / (1 - rho))


def worst_gradients(momentum: float, square_decay: float, steps: int) -> np.ndarray:
    """g_k proportional to (beta/rho)^{n-k}, k = 1, ..., n, the largest being 1: what makes |u_n| largest."""
    beta, rho, _ = _checked(momentum, square_decay, steps)
    age = np.arange(steps)[::-1]
    if beta > rho:
        return (rho / beta) ** (steps - 1 - age)
    return (beta / rho) ** age


def growth_rate(momentum, square_decay):
    """ln beta - (1/2) ln rho, the rate a step at which updates fall or grow when gradients have stopped."""
    beta, rho, _ = _checked(momentum, square_decay)
    with np.errstate(divide="ignore"):
        return np.log(beta) - np.log(rho) / 2


def largest_stable_momentum(square_decay):
    """sqrt(rho), the geometric mean of rho and 1: below it updates are bounded for all gradients, above it not."""
    return np.sqrt(square_decay)


def largest_update_after_silence(momentum, square_decay):
    """(1 - beta)/sqrt(1 - rho), one gradient after infinitely many zeros. Kingma and Ba 2015, Section 2.1."""
    return (1 - np.asarray(momentum)) / np.sqrt(1 - np.asarray(square_decay))


def continuous_exponent(momentum, square_decay):
    """C = 2 (1 - beta)/beta - (1 - rho)/rho; updates are bounded in continuous time if C > 0."""
    beta, rho, _ = _checked(momentum, square_decay)
    return 2 * (1 - beta) / beta - (1 - rho) / rho


def continuous_largest_update(momentum, square_decay, steps: Any = np.inf):
    """The bound in continuous time, with averages as integrals over exponential kernels.

    sqrt(1 - rho^n)/(1 - beta^n) (1 - beta)/beta sqrt(rho/(1 - rho)) sqrt((1 - e^{-C n})/C)
    """
    beta, rho, n = _checked(momentum, square_decay, steps)
    exponent = continuous_exponent(beta, rho)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        total = np.where(np.abs(exponent) < 1e-14, n, -np.expm1(-exponent * n) / exponent)
        return _bias(beta, rho, n) * (1 - beta) / beta * np.sqrt(rho / (1 - rho) * total)


def continuous_largest_stable_momentum(square_decay):
    """2 rho/(1 + rho), the harmonic mean of rho and 1, where C = 0; never above the geometric mean."""
    return 2 * square_decay / (1 + square_decay)


def predict_squared_norm_from_updates(
    rule: LearningRule, squared_update, initial, closure: str = "charge"
) -> Prediction:
    """|q_n|^2 of a scale-invariant unit under Adam with decoupled decay, from the lengths of its updates.

    With R = |q|^2, U = eta u and X = <q, U>, the Noether charge, s = 1 - eta k:

        R_{n+1} = s^2 R_n - 2 s X_n + |U_n|^2,   X_{n+1} = b_n (s X_n - |U_n|^2),
        b_n = beta (1 - beta^n)/(1 - beta^{n+1})

    Holds if all coordinates of the unit have equal and constant v, so that u is parallel to m and <q, g> = 0 gives the
    second line; then it is exact. Closures: "charge" is these two lines; "relaxed" takes the charge at its stationary
    value, R_{n+1} = s^2 R_n + (1 + beta)/(1 - beta) |U_n|^2; "orthogonal" takes it to be zero, which is right for
    beta = 0: R_{n+1} = s^2 R_n + |U_n|^2 (Gould and Tanaka's Assumption 1).

    Args:
        rule: Adam with decoupled decay.
        squared_update: |U_n|^2, in w^2, shape (steps,) or (steps, units).
        initial: |q_0|^2, one number or shape (units,).
        closure: one of CLOSURES.

    Returns:
        Prediction with value (steps + 1,) or (steps + 1, units).

    Raises:
        ValueError: another rule or closure, or a wrong shape.
    """
    if closure not in CLOSURES:
        raise InvalidInput(f"expected closure in {CLOSURES}, got {closure!r}; choose one")
    if rule.name != "AdamW":
        raise InvalidInput(f"expected Adam with decoupled decay, got {rule.name}; use adam(..., decoupled=True)")
    source = np.asarray(squared_update, float)
    if source.ndim not in (1, 2) or not np.isfinite(source.sum()):
        raise InvalidInput(
            f"expected finite squared_update of shape (steps,) or (steps, units), got shape {source.shape}; "
            "put steps first"
        )
    beta, shrink = rule.momentum, 1 - rule.learning_rate * rule.weight_decay
    value = np.empty((len(source) + 1, *source.shape[1:]))
    value[0] = initial
    gain = (1 + beta) / (1 - beta) if closure == "relaxed" else 1
    charge = np.zeros(source.shape[1:])
    for n, now in enumerate(source, 1):
        value[n] = shrink**2 * value[n - 1] + gain * now
        if closure == "charge":
            value[n] -= 2 * shrink * charge
            charge = beta * (1 - beta**n) / (1 - beta ** (n + 1)) * (shrink * charge - now)
    time = np.arange(len(value)) * rule.learning_rate
    return Prediction("squared_norm", time, value, f"Adam, {closure} closure", "w^2", ("squared_update",))


def _bias(beta, rho, n):
    """sqrt(1 - rho^n)/(1 - beta^n)."""
    return np.sqrt(-np.expm1(n * np.log(rho))) / (1 - beta**n)


def _checked(momentum, square_decay, steps: Any = 1):
    beta, rho, n = (np.asarray(each, float) for each in (momentum, square_decay, steps))
    if not (np.all((beta >= 0) & (beta < 1)) and np.all((rho > 0) & (rho < 1)) and np.all(n >= 1)):
        raise InvalidInput(
            f"expected momentum in [0, 1), square_decay in (0, 1) and steps >= 1, got {momentum}, {square_decay} and "
            f"{steps}; change the one outside"
        )
    return beta, rho, n
