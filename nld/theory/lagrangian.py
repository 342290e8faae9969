"""Learning as mechanics: Lagrangians and their Euler-Lagrange equations, in sympy.

Positions are sympy functions of time, ``coordinates("q", 2, t)``; a Lagrangian is an
expression in them and their first derivatives. Paper: Section 1, Eq 1 and 4.
"""

from collections.abc import Sequence

import sympy as sp
from sympy.calculus.euler import euler_equations

from nld.learning_rules.rules import LearningRule


def coordinates(name: str, size: int, time: sp.Symbol) -> tuple:
    """The functions of time q_1(t), ..., q_size(t)."""
    return tuple(sp.Function(f"{name}_{i}")(time) for i in range(1, size + 1))


def velocities(q: Sequence, time: sp.Symbol) -> tuple:
    """The derivatives dq_i/dt."""
    return tuple(sp.diff(part, time) for part in q)


def inner(a: Sequence, b: Sequence):
    """Euclidean product <a, b> of two sequences of expressions."""
    return sp.Add(*(x * y for x, y in zip(a, b, strict=True)))


def euler_lagrange(lagrangian, q: Sequence, time: sp.Symbol) -> tuple:
    """dL/dq_i - d/dt dL/dq_i', one expression a coordinate, zero on a trajectory.

    Paper: Eq 1. Derived by ``sympy.calculus.euler``.
    """
    return tuple(_left(equation) for equation in euler_equations(lagrangian, list(q), [time]))


def acceleration(lagrangian, q: Sequence, time: sp.Symbol) -> dict:
    """q_i'' on a trajectory, solved from the Euler-Lagrange equations: {q_i'': expression}."""
    second = [sp.diff(part, time, 2) for part in q]
    return sp.solve(euler_lagrange(lagrangian, q, time), second, dict=True)[0]


def damped_particle(loss, q: Sequence, mass, friction, time: sp.Symbol):
    """L = e^{mu t/m} (m |q'|^2/2 - f), whose motion is m q'' + mu q' = -grad f (Caldirola, Kanai)."""
    v = velocities(q, time)
    return sp.exp(friction / mass * time) * (mass * inner(v, v) / 2 - loss)


def heavy_ball_lagrangian(rule: LearningRule, loss, q: Sequence, time: sp.Symbol):
    """L = e^{2(1-beta)t/(eta(1+beta))} [eta(1+beta)/4 |q'|^2 - (f + k/2 |q|^2)].

    The damped particle with the mass and friction of the rule, in the loss with weight decay.
    Paper: Eq 4. Its motion is Eq 3, which the rule follows to second order in eta.
    """
    return damped_particle(loss + rule.weight_decay * inner(q, q) / 2, q, rule.mass, rule.friction, time)


def _left(equation):
    # sympy answers a plain True for a coordinate that does not appear
    return sp.Integer(0) if equation == True else equation.lhs - equation.rhs  # noqa: E712
