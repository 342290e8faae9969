"""Where a scale-invariant block settles: its norm and the angle it turns by in a step.

Stationary |q|^2 in the exact law of ``nld.theory.discrete`` balances kinetic symmetry breaking against weight decay.
References: Kosson, Messmer and Jaggi 2024 (white gradients); Neural Mechanics for the role of momentum.
"""

import math

from nld.learning_rule import LearningRule


def angular_step(rule: LearningRule, size: int | None = None, squared_gradient: float | None = None) -> float:
    """Stationary |q_{n+1} - q_n|/|q_n|.

    Heavy ball: sqrt(2 eta k/(1 + beta)), exact whatever the gradients. AdamW:
    sqrt(2 eta k (1 - beta)/(1 + beta)) for white gradients. Adam with coupled decay: depends on the gradients
    (``size``, ``squared_gradient`` as in ``squared_norm``), so layers turn at different rates.
    """
    eta, beta, k = rule.learning_rate, rule.momentum, rule.weight_decay
    if rule.square_decay is None:
        return math.sqrt(2 * eta * k / (1 + beta))
    if rule.decoupled:
        return math.sqrt(2 * eta * k * (1 - beta) / (1 + beta))
    squared = squared_norm(rule, squared_gradient, size)
    return eta * math.sqrt(size * (1 - beta) / (1 + beta) / squared)  # pyright: ignore[reportOptionalOperand]


def squared_norm(
    rule: LearningRule, squared_gradient: float | None = None, size: int | None = None, chi: float | None = None
) -> float:
    """Stationary |q|^2.

    Heavy ball: sqrt(chi eta |g^|^2/(2 k (1 - beta))), chi = 1 for white gradients (the default) and
    (1 + beta)/(1 - beta) for smooth ones, as in Eq 17. AdamW: eta C/(2 k). Adam with coupled decay:
    (eta sqrt(C) |g^|/(2 k))^{2/3}.

    Args:
        squared_gradient: E|g^|^2 at unit norm (heavy ball, Adam).
        size: C, the number of coordinates (AdamW, Adam), whose squared gradients are taken to be equal.
        chi: correlation sum of the gradients (heavy ball).
    """
    eta, beta, k = rule.learning_rate, rule.momentum, rule.weight_decay
    if not k > 0:
        raise ValueError(f"expected weight_decay > 0, got {k}; without it the norm grows for ever")
    needed = {"squared_gradient": squared_gradient} if rule.square_decay is None else {"size": size}
    if rule.square_decay is not None and not rule.decoupled:
        needed["squared_gradient"] = squared_gradient
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise ValueError(f"expected {' and '.join(missing)} for {rule.name}, got None; pass them")
    if rule.square_decay is None:
        return math.sqrt((1 if chi is None else chi) * eta * needed["squared_gradient"] / (2 * k * (1 - beta)))
    if rule.decoupled:
        return eta * needed["size"] / (2 * k)
    return (eta * math.sqrt(needed["size"] * needed["squared_gradient"]) / (2 * k)) ** (2 / 3)
