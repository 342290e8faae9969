"""Normalization as adaptive optimization: polar coordinates, the norm's equation and the RMSProp dictionary.

Paper: Section 4, Eq 14 to 18. Symbols and numbers both work where nothing else is said.
"""

from collections.abc import Sequence

import sympy as sp

from nld.learning_rules.rules import LearningRule
from nld.theory.lagrangian import inner, velocities


def polar_lagrangian(radius, direction: Sequence, loss, mass, friction, weight_decay, multiplier, time: sp.Symbol):
    """L = e^{mu t/m} [m r'^2/2 + (m |n'|^2/2 - k/2) r^2 - f(n)] + lambda (|n|^2 - 1), q = r n.

    Paper: Eq 14. The loss f is a function of the direction n alone: scale invariance.
    """
    turning = velocities(direction, time)
    kinetic = mass / 2 * (sp.diff(radius, time) ** 2 + inner(turning, turning) * radius**2)
    potential = weight_decay / 2 * radius**2 + loss
    constraint = multiplier * (inner(direction, direction) - 1)
    return sp.exp(friction / mass * time) * (kinetic - potential) + constraint


def radial_equation(radius, squared_angular_speed, mass, friction, weight_decay, time: sp.Symbol):
    """m r'' + mu r' - (m |n'|^2 - k) r, zero on a trajectory: centrifugal force against weight decay. Paper: Eq 14."""
    rate = sp.diff(radius, time)
    return mass * sp.diff(rate, time) + friction * rate - (mass * squared_angular_speed - weight_decay) * radius


def angular_equation(radius, direction: Sequence, unit_gradient: Sequence, mass, friction, time: sp.Symbol) -> tuple:
    """m n'' + mu n' + g^/r^2, tangentially zero to first order in m and k: the learning rate is eta/r^2. Paper: Eq 15.

    Exactly, m n'' + (mu + 2 m r'/r) n' + m |n'|^2 n + g^/r^2 = 0. The third term, along n, keeps |n| = 1 and is of
    first order too: Eq 15 speaks of the tangential components.
    """
    return tuple(
        mass * sp.diff(n, time, 2) + friction * sp.diff(n, time) + g / radius**2
        for n, g in zip(direction, unit_gradient, strict=True)
    )


def squared_norm_equation(squared_norm, unit_squared_gradient, mass, friction, weight_decay, time: sp.Symbol):
    """m (r^2)'' + mu (r^2)' + 2 k r^2 - 2 m |g^|^2/(mu^2 r^2), zero to leading order in m and k. Paper: Eq 16.

    It is 2 m |q'|^2 = m (r^2)'' + mu (r^2)' + 2 k r^2, which is exact, with q' = -g/mu.
    """
    rate = sp.diff(squared_norm, time)
    drive = 2 * mass * unit_squared_gradient / (friction**2 * squared_norm)
    return mass * sp.diff(rate, time) + friction * rate + 2 * weight_decay * squared_norm - drive


def fourth_power_solution(rule: LearningRule, unit_squared_gradient, initial, time: sp.Symbol, past: sp.Symbol):
    """r^4(t) = 2 eta (1+beta)/(1-beta)^3 int_0^t e^{-4k(t-s)/(1-beta)} |g^(s)|^2 ds + e^{-4kt/(1-beta)} r^4(0).

    Paper: Eq 17 squared, with r(0)^2 = ``initial`` and |g^(s)|^2 an expression in ``past``, s.
    ``solutions.predict_squared_norm`` is its numerical form.
    """
    rate = 4 * rule.weight_decay / rule.friction
    gain = 2 * rule.learning_rate * momentum_amplification(rule.momentum)
    memory = sp.Integral(sp.exp(-rate * (time - past)) * unit_squared_gradient, (past, 0, time))
    return gain * memory + sp.exp(-rate * time) * initial**2


def mean_square_solution(learning_rate, square_decay, squared_gradient, initial, time: sp.Symbol, past: sp.Symbol):
    """G(t) = (1-rho)/eta int_0^t e^{-(1-rho)(t-s)/eta} |g(s)|^2 ds + e^{-(1-rho)t/eta} G(0) of RMSProp.

    Paper: Eq 18 squared. ``solutions.predict_root_mean_square`` is its numerical form.
    """
    rate = (1 - square_decay) / learning_rate
    memory = sp.Integral(sp.exp(-rate * (time - past)) * squared_gradient, (past, 0, time))
    return rate * memory + sp.exp(-rate * time) * initial


def momentum_amplification(momentum):
    """(1 + beta)/(1 - beta)^3, the factor by which smooth gradients drive the norm: 1900 at beta = 0.9.

    For white gradients it is 1/(1 - beta)^2, 100 at beta = 0.9.
    """
    return (1 + momentum) / (1 - momentum) ** 3


def equivalent_square_decay(rule: LearningRule):
    """rho = 1 - 4 k eta/(1 - beta): the RMSProp whose memory a scale-invariant unit has; k = 0 is AdaGrad.

    Paper: the dictionary r^2 <-> sqrt(G), 4 k/(1 - beta) <-> (1 - rho)/eta between Eq 17 and 18.
    """
    return 1 - 4 * rule.weight_decay * rule.learning_rate / (1 - rule.momentum)


def effective_learning_rate(learning_rate, squared_norm):
    """eta/r^2, the learning rate of the direction. Paper: Eq 15."""
    return learning_rate / squared_norm
