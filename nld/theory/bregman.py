"""Bregman divergence, the kinetic energy made of it, and the Bregman Lagrangian, in sympy.

A distance-generating function h is a callable on a sequence of expressions. Paper: Eq 2, 5, 11
and Table 1; Wibisono, Wilson and Jordan 2016 for the Lagrangian.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from nld.learning_rules.rules import LearningRule
from nld.theory.lagrangian import inner, velocities

DistanceGenerator = Callable[[Sequence], Any]


@dataclass(frozen=True)
class Scaling:
    """The functions alpha_t, beta_t, gamma_t of a Bregman Lagrangian (a row of Table 1)."""

    alpha: Any
    beta: Any
    gamma: Any


def euclidean(x: Sequence):
    """|x|^2/2."""
    return inner(x, x) / 2


def entropy(x: Sequence):
    """sum x log x - x."""
    return sp.Add(*(part * sp.log(part) - part for part in x))


def burg(x: Sequence):
    """-sum log x, whose divergence sees only ratios: scale and rescale are its isometries."""
    return -sp.Add(*(sp.log(part) for part in x))


def p_norm(p) -> DistanceGenerator:
    """sum x^p / (p (p - 1)) on x > 0."""
    return lambda x: sp.Add(*(part**p for part in x)) / (p * (p - 1))


def quadratic_form(matrix) -> DistanceGenerator:
    """x.M x/2 with M symmetric."""
    return lambda x: sp.expand((sp.Matrix([x]) * sp.Matrix(matrix) * sp.Matrix(x))[0] / 2)


def generic() -> DistanceGenerator:
    """An undetermined function: what is proved with it holds for every h."""
    return lambda x: sp.Function("h")(*x)


def damped_scaling(mass, friction, time) -> Scaling:
    """alpha = -log m, beta = log m, gamma = mu t/m. Paper: Table 1, row 2."""
    return Scaling(-sp.log(mass), sp.log(mass), friction * time / mass)


def nesterov_scaling(time) -> Scaling:
    """alpha = log 2 - log t, beta = 2 log t + log 1/4, gamma = 2 log t: q'' + 3/t q' + grad f = 0.

    Paper: Table 1, row 1; the polynomial scaling of exponent 2.
    """
    return polynomial_scaling(2, sp.Rational(1, 4), time)


def polynomial_scaling(exponent, constant, time) -> Scaling:
    """alpha = log p - log t, beta = p log t + log C, gamma = p log t: q'' + (p + 1)/t q' + C p^2 t^{p-2} grad f = 0.

    The loss above its minimum falls at least as t^-p. Ideal scaling; Wibisono, Wilson and Jordan 2016.
    """
    p = exponent
    return Scaling(sp.log(p) - sp.log(time), p * sp.log(time) + sp.log(constant), p * sp.log(time))


def dilated(scaling: Scaling, time: sp.Symbol, clock) -> Scaling:
    """The scaling whose motion is that of ``scaling``, read at the time ``clock``, an increasing function of t.

    alpha(clock) + log clock', beta(clock), gamma(clock). Wibisono, Wilson and Jordan 2016.
    """
    alpha, beta, gamma = (sp.sympify(x).subs(time, clock) for x in (scaling.alpha, scaling.beta, scaling.gamma))
    return Scaling(alpha + sp.log(sp.diff(clock, time)), beta, gamma)


def ideal_scaling(mass, friction, time) -> Scaling:
    """alpha = -log(m/mu), beta = log(m/mu^2), gamma = mu t/m: the damped particle with dgamma/dt = e^alpha.

    For Euclidean h it is ``damped_scaling`` times a constant. For every other h it differs, and it
    is this one whose motion, m z'' + mu z' = -grad f + O(m^2) with z = grad h(q), a mirror
    descent with momentum follows to second order in the learning rate.
    """
    return Scaling(-sp.log(mass / friction), sp.log(mass / friction**2), friction * time / mass)


def rule_scaling(rule: LearningRule, time) -> Scaling:
    """``damped_scaling`` with m = eta (1 + beta)/2 and mu = 1 - beta. Paper: Table 1, row 4."""
    return damped_scaling(rule.mass, rule.friction, time)


def gradient(h: DistanceGenerator, x: Sequence) -> tuple:
    """grad h at x, taken at independent variables first so that x may be any expressions."""
    dummies = _dummies(x)
    value = h(dummies)
    return tuple(_at(sp.diff(value, dummy), dummies, x) for dummy in dummies)


def hessian(h: DistanceGenerator, x: Sequence) -> sp.Matrix:
    """The metric F = Hessian of h at x."""
    dummies = _dummies(x)
    value = h(dummies)
    return sp.Matrix([[_at(sp.diff(value, a, b), dummies, x) for b in dummies] for a in dummies])


def divergence(h: DistanceGenerator, y: Sequence, x: Sequence):
    """D_h(y, x) = h(y) - h(x) - <grad h(x), y - x>."""
    return h(y) - h(x) - inner(gradient(h, x), [b - a for a, b in zip(x, y, strict=True)])


def ahead(q: Sequence, scaling: Scaling, time: sp.Symbol) -> tuple:
    """q + e^{-alpha_t} q', the point that the velocity leads to."""
    return tuple(part + sp.exp(-scaling.alpha) * v for part, v in zip(q, velocities(q, time), strict=True))


def kinetic_energy(h: DistanceGenerator, q: Sequence, scaling: Scaling, time: sp.Symbol):
    """T_h = e^{alpha_t} D_h(q + e^{-alpha_t} q', q). Paper: Eq 5."""
    return sp.exp(scaling.alpha) * divergence(h, ahead(q, scaling, time), q)


def bregman_lagrangian(h: DistanceGenerator, loss, q: Sequence, scaling: Scaling, time: sp.Symbol):
    """L = e^{alpha_t + gamma_t} (D_h(q + e^{-alpha_t} q', q) - e^{beta_t} f). Paper: Eq 2."""
    energy = divergence(h, ahead(q, scaling, time), q) - sp.exp(scaling.beta) * loss
    return sp.exp(scaling.alpha + scaling.gamma) * energy


def dual_displacement(h: DistanceGenerator, q: Sequence, scaling: Scaling, time: sp.Symbol) -> tuple:
    """Delta_h = grad h(q + e^{-alpha_t} q') - grad h(q), e^{-gamma_t} dL/dq'. Paper: Eq 11."""
    far, near = gradient(h, ahead(q, scaling, time)), gradient(h, q)
    return tuple(b - a for a, b in zip(near, far, strict=True))


def _dummies(x: Sequence) -> list:
    return [sp.Dummy(f"x_{i}", positive=True) for i, _ in enumerate(x)]


def _at(expression, variables: Sequence, point: Sequence):
    return expression.subs(list(zip(variables, point, strict=True)), simultaneous=True)
