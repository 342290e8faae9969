"""Where a scale-invariant block settles: its norm and the angle it turns by in a step.

Stationary |q|^2 in the exact law of ``nld.theory.discrete`` balances kinetic symmetry breaking against weight decay.
Closed forms to leading order in eta k, for white gradients; ``nld.theory.rotation`` has them to all orders.
References: Kosson, Messmer and Jaggi 2024; beyond them, SGDP and AdamP.
"""

import math

from nld.errors import InvalidInput
from nld.learning_rules.rules import LearningRule


def angular_step(rule: LearningRule, squared_gradient: float | None = None, size: int | None = None) -> float:
    """Stationary |q_{n+1} - q_n|/|q_n|.

    Heavy ball: sqrt(2 eta k/(1 + beta)), exact whatever the gradients. AdamW: sqrt(2 eta k (1 - beta)/(1 + beta)).
    Lion: sqrt(pi eta k S), S = (1 - b)^2 + b^2 (1 - beta)/(1 + beta). SGDP: sqrt(2 eta k/(1 - beta)).
    AdamP: sqrt(2 eta k). Adam with coupled decay: eta sqrt(C (1 - beta)/(1 + beta))/|q|, which depends on the
    gradients, so that layers turn at different rates. Arguments as in ``squared_norm``.

    Raises:
        ValueError: another rule, or Adam without the gradient or the size that it needs.
    """
    eta, beta, k = rule.learning_rate, rule.momentum, rule.weight_decay
    match rule.name:
        case "gradient descent" | "heavy ball":
            square = 2 * eta * k / (1 + beta)
        case "AdamW":
            square = 2 * eta * k * (1 - beta) / (1 + beta)
        case "Adam":
            norm = squared_norm(rule, squared_gradient, size)
            square = eta**2 * given("size", size, rule) * (1 - beta) / (1 + beta) / norm
        case "Lion":
            square = math.pi * eta * k * squared_weights(rule)
        case "SGDP":
            square = 2 * eta * k / (1 - beta)
        case "AdamP":
            square = 2 * eta * k
        case _:
            raise unknown(rule)
    return math.sqrt(square)


def squared_norm(
    rule: LearningRule, squared_gradient: float | None = None, size: int | None = None, chi: float = 1
) -> float:
    """Stationary |q|^2.

    Heavy ball: sqrt(chi eta |g^|^2/(2 k (1 - beta))). AdamW: eta C/(2 k). Adam with coupled decay:
    (eta sqrt(C) |g^|/(2 k))^{2/3}. Lion: eta C/(pi k S). SGDP: sqrt(eta |g^|^2/(2 k (1 + beta))).
    AdamP: eta C (1 - beta)/(2 k (1 + beta)).

    Args:
        squared_gradient: E|g^|^2 at unit norm (heavy ball, Adam, SGDP).
        size: C, the number of coordinates (AdamW, Adam, Lion, AdamP), whose squared gradients are taken to be equal.
        chi: correlation sum of the gradients (heavy ball), 1 if white and (1 + beta)/(1 - beta) if smooth, as in
            Eq 17.

    Raises:
        ValueError: without weight decay, without an argument that the rule needs, or for a rule that is not above.
    """
    eta, beta, k = rule.learning_rate, rule.momentum, rule.weight_decay
    if not k > 0:
        raise InvalidInput(f"expected weight_decay > 0, got {k}; without it the norm grows for ever")
    match rule.name:
        case "gradient descent" | "heavy ball":
            return math.sqrt(chi * eta * given("squared_gradient", squared_gradient, rule) / (2 * k * (1 - beta)))
        case "AdamW":
            return eta * given("size", size, rule) / (2 * k)
        case "Adam":
            length = math.sqrt(given("size", size, rule) * given("squared_gradient", squared_gradient, rule))
            return (eta * length / (2 * k)) ** (2 / 3)
        case "Lion":
            return eta * given("size", size, rule) / (math.pi * k * squared_weights(rule))
        case "SGDP":
            return math.sqrt(eta * given("squared_gradient", squared_gradient, rule) / (2 * k * (1 + beta)))
        case "AdamP":
            return eta * given("size", size, rule) * (1 - beta) / (2 * k * (1 + beta))
    raise unknown(rule)


def squared_weights(rule: LearningRule):
    """S = (1 - b)^2 + b^2 (1 - beta)/(1 + beta): squared weights of past gradients in a step of Lion or Muon, summed.

    Without an interpolation b is beta, and S that of a mean, (1 - beta)/(1 + beta).
    """
    beta = rule.momentum
    b = beta if rule.interpolation is None else rule.interpolation
    return (1 - b) ** 2 + b**2 * (1 - beta) / (1 + beta)


def given(name: str, value: float | None, rule: LearningRule) -> float:
    """The value, or an error that says which rule needs it.

    Raises:
        ValueError: the value is None.
    """
    if value is None:
        raise InvalidInput(f"expected {name} for the equilibrium of {rule.name}, got None; pass it")
    return value


def unknown(rule: LearningRule) -> InvalidInput:
    """The error for a rule without a known equilibrium."""
    return InvalidInput(
        f"expected heavy ball, Adam, AdamW, Lion, SGDP or AdamP, got {rule.name}: its equilibrium is not known here; "
        "measure it with nld.experiment.studies.random_walk"
    )
