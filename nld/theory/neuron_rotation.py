"""Rotation of a unit whose own norm the loss may see, and by what chance a cosine takes it for one that it does not.

Beyond Kosson, Messmer and Jaggi 2024, whose units have a scale symmetry of their own; the criterion is that of Heo et
al. 2021.
"""

from typing import Any

from scipy import stats

from nld.errors import InvalidInput
from nld.learning_rules.rules import LearningRule


def squared_turn(rule: LearningRule, radial_force: Any = 0.0):
    """|Delta q|^2/|q|^2 = 2 eta (k + k_par)/(1 + beta) of heavy ball, in the mean, where norm and charge stand still.

    k_par = <q, g>/|q|^2 is what the gradient does along the unit: it adds to weight decay. For a unit with a scale
    symmetry it is zero. Where only a group of units has one, the sum of k_par |q|^2 over the group is zero, and some
    turn faster than others.

    Exact for any gradients: with P = |Delta q|^2 and c = <q, Delta q>, the balance of the norm is 2 c + P = 0, that of
    the charge c = beta (c + P) - eta (k + k_par) |q|^2.

    Args:
        rule: gradient descent or heavy ball.
        radial_force: k_par, in ℓ/w^2; arrays broadcast.

    Raises:
        ValueError: another rule.
    """
    if rule.name not in ("gradient descent", "heavy ball"):
        raise InvalidInput(f"expected gradient descent or heavy ball, got {rule.name}; its step is not its charge")
    return 2 * rule.learning_rate * (rule.weight_decay + radial_force) / (1 + rule.momentum)


def chance_of_projection(threshold: Any, size: Any):
    """P(|cos(q, g)| < threshold/sqrt(size)) for a gradient of any direction: how often the criterion errs by chance.

    cos^2 has the distribution Beta(1/2, (size - 1)/2). For large ``size`` it is erf(threshold/sqrt(2)): 8.0 % at 0.1.

    Args:
        threshold: delta; 0.1 in the source.
        size: number of coordinates, at least 2.
    """
    return stats.beta.cdf(threshold**2 / size, 0.5, (size - 1) / 2)
