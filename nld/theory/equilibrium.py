"""Where a scale-invariant block settles: its norm and the angle it turns by in a step.

Stationary |q|^2 in the exact law of ``nld.theory.discrete`` balances kinetic symmetry breaking against weight decay.
References: Kosson, Messmer and Jaggi 2024, whose gradients are white.
"""

import math

from nld.learning_rule import LearningRule


def angular_step(rule: LearningRule, squared_gradient: float | None = None, size: int | None = None) -> float:
    """Stationary |q_{n+1} - q_n|/|q_n|.

    Heavy ball: sqrt(2 eta k/(1 + beta)), exact whatever the gradients. AdamW: sqrt(2 eta k (1 - beta)/(1 + beta))
    for white gradients. Adam with coupled decay: eta sqrt(C (1 - beta)/(1 + beta))/|q|, which depends on the
    gradients, so that layers turn at different rates. Arguments as in ``squared_norm``.
    """
    eta, beta, k = rule.learning_rate, rule.momentum, rule.weight_decay
    if rule.square_decay is None:
        return math.sqrt(2 * eta * k / (1 + beta))
    if rule.decoupled:
        return math.sqrt(2 * eta * k * (1 - beta) / (1 + beta))
    norm = squared_norm(rule, squared_gradient, size)
    return eta * math.sqrt(_given("size", size, rule) * (1 - beta) / (1 + beta) / norm)


def squared_norm(
    rule: LearningRule, squared_gradient: float | None = None, size: int | None = None, chi: float = 1
) -> float:
    """Stationary |q|^2.

    Heavy ball: sqrt(chi eta |g^|^2/(2 k (1 - beta))). AdamW: eta C/(2 k). Adam with coupled decay:
    (eta sqrt(C) |g^|/(2 k))^{2/3}.

    Args:
        squared_gradient: E|g^|^2 at unit norm (heavy ball, Adam).
        size: C, the number of coordinates (AdamW, Adam), whose squared gradients are taken to be equal.
        chi: correlation sum of the gradients, 1 if white and (1 + beta)/(1 - beta) if smooth, as in Eq 17.

    Raises:
        ValueError: without weight decay, or without an argument that the rule needs.
    """
    eta, k = rule.learning_rate, rule.weight_decay
    if not k > 0:
        raise ValueError(f"expected weight_decay > 0, got {k}; without it the norm grows for ever")
    if rule.square_decay is None:
        return math.sqrt(chi * eta * _given("squared_gradient", squared_gradient, rule) / (2 * k * rule.friction))
    if rule.decoupled:
        return eta * _given("size", size, rule) / (2 * k)
    length = math.sqrt(_given("size", size, rule) * _given("squared_gradient", squared_gradient, rule))
    return (eta * length / (2 * k)) ** (2 / 3)


def _given(name: str, value: float | None, rule: LearningRule) -> float:
    if value is None:
        raise ValueError(f"expected {name} for the equilibrium of {rule.name}, got None; pass it")
    return value
