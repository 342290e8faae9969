r"""How far the norm of a scale-invariant block falls behind a learning rate that goes to zero on a straight line.

Under decoupled decay the squared norm obeys dR/dn = -2 η k R + η² s, under heavy ball, with h = η/(1 - β), its square
obeys dR²/dn = -4 h k R² + 2 h² S (``nld.advice.norm_dynamics``). From equilibrium at the rate η, and with the rate x η,
x = 1 - n/M, in the M steps to come, y = R or R² obey one equation, and y over its first value is

    x + e^{a x²} ∫_x^1 exp(-a u²) du,    a = η k M or 2 h k M,

where a is what weight decay still has to act; at the end it is √π erf(√a) / (2 √a). The equilibrium itself goes to zero
with the rate; y does not follow it to the end, since decay acts in proportion to the rate, too. Beyond Defazio 2025
(arXiv 2506.02285).
"""

import math

from nld.errors import InvalidInput
from nld.learning_rules.rules import LearningRule


def remaining_decay(rule: LearningRule, steps: int) -> float:
    """a: η k M under AdamW, 2 η k M/(1 - β) under heavy ball or gradient descent.

    Raises:
        ValueError: another rule, or no steps.
    """
    if steps < 1:
        raise InvalidInput(f"expected at least one step in which the rate falls, got {steps}")
    acting = rule.learning_rate * rule.weight_decay * steps
    match rule.name:
        case "AdamW":
            return acting
        case "gradient descent" | "heavy ball":
            return 2 * acting / (1 - rule.momentum)
    raise InvalidInput(f"expected gradient descent, heavy ball or AdamW, got {rule.name}; no law is known here")


def norm_after_linear_decay(rule: LearningRule, steps: int, left: float = 0.0) -> float:
    """‖q‖ at the end over ‖q‖ before, if the rate falls to zero on a straight line in so many steps.

    Args:
        rule: with the rate before it falls.
        steps: M, until it is zero.
        left: share x of the rate that is still left, 0 at the end.

    Holds if the block was in equilibrium, its source stays as it was, and η k ≪ 1. With an unchanged gradient at unit
    norm, the gradient rises by the reciprocal.

    >>> from nld.learning_rules.rules import heavy_ball
    >>> round(norm_after_linear_decay(heavy_ball(0.1, 0.9, 5e-3), 400), 3)
    0.815
    """
    a = remaining_decay(rule, steps)
    if a == 0:
        return 1.0
    root = math.sqrt(a)
    integral = math.sqrt(math.pi) / (2 * root) * (math.erf(root) - math.erf(root * left))
    return (left + math.exp(a * left**2) * integral) ** (0.5 if rule.name == "AdamW" else 0.25)
