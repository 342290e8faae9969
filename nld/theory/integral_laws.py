"""The integral laws of Neural Mechanics: a charge is a damped oscillator that kinetic symmetry breaking drives.

The charge x that gradient flow conserves is <q, n> for a translation, |q|^2 for a scale and |q_in|^2 - |q_out|^2 for
a rescale symmetry; d is its degree in q, 1 or 2. Under heavy ball with weight decay k, m q'' + mu q' + g + k q = 0,

    x'' + 2 gamma x' + omega^2 x = 2 <q', A q'>,    2 gamma = mu/m,  omega^2 = d k/m,

with no drive for a translation. From rest, x(t) = free(t) x(0) + 2 int kernel(t - s) <q', A q'> ds.
Reference: Kunin, Sagastuy-Brena, Ganguli, Yamins and Tanaka 2021. It is Eq 12 with weight decay.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import exprel

from nld.errors import InvalidInput
from nld.learning_rules.rules import LearningRule
from nld.series import Prediction
from nld.theory.solutions import predict_linear_charge, predict_quadratic_charge

DEGREE = {"translation": 1, "scale": 2, "rescale": 2, "general_linear": 2}


@dataclass(frozen=True)
class Oscillator:
    """x'' + 2 gamma x' + omega^2 x = force; gamma >= 0 and omega >= 0 in 1/time."""

    gamma: float
    omega: float

    @property
    def regime(self) -> str:
        """Its damping by name, "underdamped", "critical" or "overdamped": gamma below, at or above omega."""
        if self.gamma == self.omega:
            return "critical"
        return "underdamped" if self.gamma < self.omega else "overdamped"

    def free(self, time):
        """x(t) from x(0) = 1, x'(0) = 0 without force.

        Underdamped, W = sqrt(omega^2 - gamma^2): e^{-gamma t} (cos W t + (gamma/W) sin W t); critical:
        e^{-gamma t} (1 + gamma t); overdamped, a, b = -gamma +- sqrt(gamma^2 - omega^2): (a e^{bt} - b e^{at})/(a - b).
        """
        t, gap, slow = self._parts(time)
        if self.regime == "underdamped":
            return np.exp(-self.gamma * t) * (np.cos(gap * t) + self.gamma * t * np.sinc(gap * t / np.pi))
        return np.exp(-slow * t) * (1 + slow * t * exprel(-2 * gap * t))

    def kernel(self, time):
        """x(t) from x(0) = 0, x'(0) = 1 without force: the answer to a kick.

        Underdamped: e^{-gamma t} sin(W t)/W; critical: t e^{-gamma t}; overdamped: (e^{at} - e^{bt})/(a - b).
        """
        t, gap, slow = self._parts(time)
        if self.regime == "underdamped":
            return t * np.exp(-self.gamma * t) * np.sinc(gap * t / np.pi)
        return t * np.exp(-slow * t) * exprel(-2 * gap * t)

    def _parts(self, time):
        """Time, sqrt|gamma^2 - omega^2| and the slower rate of an overdamped one: no growing exponential, no 0/0."""
        gap = math.sqrt(abs((self.gamma - self.omega) * (self.gamma + self.omega)))
        slow = self.omega**2 / (self.gamma + gap) if self.gamma else 0.0
        return np.asarray(time, float), gap, slow


def oscillator(rule: LearningRule, kind: str) -> Oscillator:
    """The oscillator that a charge of this kind of symmetry is: gamma = mu/(2 m), omega^2 = d k/m.

    Raises:
        ValueError: no charge of this kind.
    """
    return Oscillator(rule.friction / (2 * rule.mass), math.sqrt(_degree(kind) * rule.weight_decay / rule.mass))


def critical_weight_decay(rule: LearningRule, kind: str) -> float:
    """The weight decay above which a charge oscillates, mu^2/(4 d m) = (1 - beta)^2/(2 d eta (1 + beta)), in ℓ/w^2.

    In steps rather than continuous time it is (1 - sqrt(beta))^2/(d eta).
    """
    return rule.friction**2 / (4 * _degree(kind) * rule.mass)


def first_velocity(rule: LearningRule, kind: str, initial):
    """x'(0) = -d k x(0)/(1 + beta): what the first steps from an empty buffer look like to the oscillator.

    It follows from q'(0) = -(g + k q)/(1 + beta), the start from which Eq 3 follows heavy ball to second order, and
    the laws with it. The published laws start at rest, x'(0) = 0, and are of first order for that.
    """
    return -_degree(kind) * rule.weight_decay / (1 + rule.momentum) * np.asarray(initial, float)


def predict_charge(rule: LearningRule, kind: str, squared_velocity, initial, initial_velocity=0.0) -> Prediction:
    """The charge under momentum: x(t) = free x(0) + kernel x'(0) + 2 int kernel(t - s) v^2(s) ds.

    Velocities are measured and held over each step. Without momentum the published law uses gradients instead:
    ``solutions.predict_quadratic_charge``.

    Args:
        rule: heavy ball or gradient descent.
        kind: of the symmetry; a translation's charge takes the number of steps from ``squared_velocity`` only.
        squared_velocity: <v, A v> with v = (q_{n+1} - q_n)/eta, in ℓ^2/w^2, shape (steps,) or (steps, units).
        initial: x(0), one number or shape (units,).
        initial_velocity: x'(0), likewise: 0 as published, or ``first_velocity``.

    Returns:
        Prediction with value (steps + 1,) or (steps + 1, units).
    """
    if _degree(kind) == 1:
        law, given = predict_linear_charge(rule, len(squared_velocity), initial), ()
    else:
        # chi |g|^2/(1 - beta^2) stands for the squared velocity there; here it is given
        held = 1 - rule.momentum**2
        law = predict_quadratic_charge(rule, squared_velocity, initial, held, inertia=True)
        given = ("squared_velocity",)
    velocity = np.broadcast_to(initial_velocity, law.value.shape[1:])
    value = law.value + np.multiply.outer(oscillator(rule, kind).kernel(law.time), velocity)
    return Prediction(law.quantity, law.time, value, "integral law", law.unit, given)


def predict_charge_of_gradient_flow(rule: LearningRule, kind: str, steps: int, initial) -> Prediction:
    """What is left without kinetic symmetry breaking, (1 - beta) q' = -g - k q: x(t) = e^{-d k t/(1 - beta)} x(0)."""
    degree, time = _degree(kind), np.arange(steps + 1) * rule.learning_rate
    decay = np.exp(-degree * rule.weight_decay / rule.friction * time)
    value = np.multiply.outer(decay, np.asarray(initial, float))
    name, unit = ("linear_charge", "w") if degree == 1 else ("quadratic_charge", "w^2")
    return Prediction(name, time, value, "gradient flow", unit)


def _degree(kind: str) -> int:
    if kind not in DEGREE:
        raise InvalidInput(
            f"expected a symmetry with a charge of its own, {', '.join(DEGREE)}, got {kind!r}; choose one"
        )
    return DEGREE[kind]
