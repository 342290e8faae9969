"""The rules that figures on orders of accuracy compare: gradient descent, heavy ball and Nesterov."""

from collections.abc import Callable

from nld.learning_rules.rules import LearningRule, gradient_descent, heavy_ball, nesterov


def by_name(momentum: float) -> dict[str, Callable[[float], LearningRule]]:
    """What makes each rule from its learning rate; ``momentum`` is that of the last two."""
    return {
        "gradient descent": gradient_descent,
        "heavy ball": lambda rate: heavy_ball(rate, momentum),
        "Nesterov": lambda rate: nesterov(rate, momentum),
    }
