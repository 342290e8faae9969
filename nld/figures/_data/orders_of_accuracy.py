"""What figures on orders of accuracy share: a loss without symmetry, three rules on it, and how an order is fitted."""

from collections.abc import Callable

import numpy as np

from nld.learning_rules.rules import LearningRule, gradient_descent, heavy_ball, nesterov

START = (1.7, 0.9)  # of runs on the loss
RESCALED_TIME = 1.2  # t/μ at which distances are measured: the same distance along gradient flow for every momentum


def potential(q):
    """An anharmonic loss without symmetry; shape (..., 2) to (...)."""
    x, y = q[..., 0], q[..., 1]
    return x**2 / 2 - x + x * y / 2 - 0.3 * np.cos(x) + y**2 - y + y**4 / 20


def gradient(q):
    """Gradient of ``potential``."""
    x, y = q[..., 0], q[..., 1]
    return np.stack([x - 1 + 0.5 * y + 0.3 * np.sin(x), 0.5 * x + 2 * (y - 0.5) + 0.2 * y**3], -1)


def three_rules(momentum: float) -> dict[str, Callable[[float], LearningRule]]:
    """What makes each rule from its learning rate; ``momentum`` is that of the last two."""
    return {
        "gradient descent": gradient_descent,
        "heavy ball": lambda rate: heavy_ball(rate, momentum),
        "Nesterov": lambda rate: nesterov(rate, momentum),
    }


def rule_and_steps(make: Callable[[float], LearningRule], relaxations: float) -> tuple[LearningRule, int]:
    """The rule that reaches ``RESCALED_TIME`` in so many steps over μ, and these steps."""
    friction = make(1.0).friction
    steps = round(relaxations / friction)
    return make(RESCALED_TIME * friction / steps), steps


def exponent(x, y) -> float:
    """Least-squares slope of log y over log x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
