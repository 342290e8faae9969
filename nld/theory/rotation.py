"""Rotational equilibrium in the mean: norm and angle for white gradients, without the limit of small steps.

In equilibrium the charge <u, q> and the squared norm R = |q|^2 stand still. For a rule whose decay bypasses the
buffers, q' = (1 - d) q - eta u, with U = |u|^2 and rho_j the correlation of u_n and u_{n-j},

    R = eta^2 U K/(2 d - d^2),    K = 1 + 2 sum_{j>0} (1 - d)^j rho_j,    |q' - q|^2/R = (x - d^2)/(1 - d),

x = eta^2 U/R. K, the ``memory``, is what the charge adds: 1 if u has been projected. Means of products of R with
other quantities are taken to be products of means. Beyond Kosson, Messmer and Jaggi 2024, who have the limit d -> 0
and, for Lion, arcsin r ~ r.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from nld.errors import InvalidInput
from nld.learning_rules.rules import LearningRule
from nld.theory.equilibrium import given, squared_weights, unknown
from nld.theory.spectral_laws import polar_correlation


@dataclass(frozen=True)
class Equilibrium:
    """Where a scale-invariant unit settles.

    Args:
        squared_norm: R = |q|^2, in w^2.
        angular_step: angle between q_n and q_{n+1}, in radians.
        memory: K, by which the steps of a whole memory add up to more than their squares; 1 without memory.
    """

    squared_norm: float
    angular_step: float
    memory: float


def rotational_equilibrium(
    rule: LearningRule, squared_gradient: float | None = None, size: int | None = None
) -> Equilibrium:
    """Stationary norm and angle of heavy ball, Adam, AdamW, Lion, Muon, SGDP and AdamP.

    Args:
        rule: with weight decay.
        squared_gradient: E|g^|^2 at unit norm (heavy ball, Adam, SGDP).
        size: C, the number of coordinates (all but heavy ball and SGDP), whose gradients are normal (Lion) and of
            equal size. Of Muon, for which a unit is a square matrix or some of its rows, the number of these rows: each
            row of a polar factor has length one.

    Raises:
        ValueError: without weight decay, without an argument that the rule needs, or for another rule.
    """
    if not rule.weight_decay > 0:
        raise InvalidInput(f"expected weight_decay > 0, got {rule.weight_decay}; without it the norm grows for ever")
    eta, beta, k = rule.learning_rate, rule.momentum, rule.weight_decay
    average = (1 - beta) / (1 + beta)  # of white noise, by a mean with weights (1 - beta) beta^j
    match rule.name:
        case "gradient descent" | "heavy ball":
            square = given("squared_gradient", squared_gradient, rule)
            norm = math.sqrt(eta * square / (k * (1 - beta) * (2 - eta * k / (1 + beta))))
            return _turning(norm, 2 * eta * k / (1 + beta), 1 / average)
        case "Adam":
            square, count = given("squared_gradient", squared_gradient, rule), given("size", size, rule)
            norm = _coupled_squared_norm(rule, square, count)
            return _turning(norm, 2 * eta * k / _root_mean_square(rule, square, count, norm) * average, 1 / average)
        case "AdamW":
            factor = beta * (1 - eta * k)  # by which correlations fall in a step
            return _decoupled(rule, given("size", size, rule) * average, (1 + factor) / (1 - factor))
        case "Lion":
            return _decoupled(rule, given("size", size, rule), _memory(rule, lambda r: 2 / math.pi * np.arcsin(r)))
        case "Muon":
            return _decoupled(rule, given("size", size, rule), _memory(rule, polar_correlation))
        case "AdamP":
            return _projected(eta * k, beta, eta**2 * given("size", size, rule) * average, power=1)
        case "SGDP":
            square = given("squared_gradient", squared_gradient, rule)
            return _projected(eta * k / (1 - beta), beta, eta**2 * square / (1 - beta**2), power=2)
    raise unknown(rule)


def _turning(norm: float, squared_chord: float, memory: float) -> Equilibrium:
    """On a sphere a chord of length D belongs to the angle 2 arcsin(D/2)."""
    return Equilibrium(norm, 2 * math.asin(math.sqrt(squared_chord) / 2), memory)


def _decoupled(rule: LearningRule, squared_update: float, memory: float) -> Equilibrium:
    decay = rule.learning_rate * rule.weight_decay
    norm = rule.learning_rate**2 * squared_update * memory / (2 * decay - decay**2)
    share = rule.learning_rate**2 * squared_update / norm
    return _turning(norm, (share - decay**2) / (1 - decay), memory)


def _projected(decay: float, beta: float, source: float, power: int) -> Equilibrium:
    """x = 2 d - d^2; the buffer is longer than its projection P u: |u|^2 = |P u|^2 (1 + beta^2 x/(1 - beta(1 - d))^2).

    ``source`` is eta^2 |u|^2 R^{power - 1}: with power 2 gradients are shorter for longer q.
    """
    x = 2 * decay - decay**2
    longer = 1 + beta**2 * x / (1 - beta * (1 - decay)) ** 2
    return _turning((source / (x * longer)) ** (1 / power), 2 * decay, 1.0)


def _coupled_squared_norm(rule: LearningRule, squared_gradient: float, size: float) -> float:
    """Root R of 2 delta R (1 + beta delta/(1 + beta)) = eta^2 C, delta = eta k/sigma."""
    eta, beta, k = rule.learning_rate, rule.momentum, rule.weight_decay

    def excess(log_norm: float) -> float:
        norm = math.exp(log_norm)
        delta = eta * k / _root_mean_square(rule, squared_gradient, size, norm)
        return math.log(2 * delta * norm * (1 + beta * delta / (1 + beta)) / (eta**2 * size))

    leading = math.log((eta * math.sqrt(size * squared_gradient) / (2 * k)) ** (2 / 3))
    return math.exp(float(brentq(excess, leading - 5, leading + 5)))  # type: ignore[arg-type]


def _root_mean_square(rule: LearningRule, squared_gradient: float, size: float, norm: float) -> float:
    """sigma of a coordinate's gradient with its decay: sigma^2 = (|g^|^2/R + k^2 R)/C."""
    return math.sqrt((squared_gradient / norm + rule.weight_decay**2 * norm) / size)


def _memory(rule: LearningRule, of_directions: Callable[[np.ndarray], np.ndarray]) -> float:
    """K of signs or polar factors of normal variables with correlation r_j = r_1 beta^{j-1}, j > 0.

    Args:
        of_directions: correlation of the directions, given that of the momenta they are directions of.
    """
    b = rule.momentum if rule.interpolation is None else rule.interpolation
    beta, decay = rule.momentum, rule.learning_rate * rule.weight_decay
    first = b * (1 - b) * (1 - beta) + b**2 * beta * (1 - beta) / (1 + beta)
    lags = np.arange(1, 2 + math.ceil(-40 / math.log(max(beta * (1 - decay), 1e-18))))
    correlation = of_directions(first / squared_weights(rule) * beta ** (lags - 1.0))
    return float(1 + 2 * ((1 - decay) ** lags * correlation).sum())
