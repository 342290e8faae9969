"""From a discrete update to its modified equation, and numerical solutions of such equations.

The modified equation is derived by machine: buffers are eliminated from two steps of
``rule.step`` and the remaining recursion is Taylor-expanded. Paper: Eq 3; Kovachki and Stuart 2021
for momentum; Wibisono, Wilson and Jordan 2016 for the form that is integrated here.
"""

from collections.abc import Callable

import numpy as np
import sympy as sp
from scipy.integrate import solve_ivp

from nld.errors import InvalidInput
from nld.learning_rules.potentials import Potential
from nld.learning_rules.rules import LearningRule
from nld.series import Trajectory
from nld.theory.bregman import Scaling


def recursion(rule: LearningRule):
    """q_{n+1} minus what the rule makes of q_n, q_{n-1} and their gradients, with no buffers left.

    Returns:
        (expression, (q_{n-1}, q_n, q_{n+1}), (g_{n-1}, g_n)), the expression zero on iterates.

    Raises:
        ValueError: if the rule's buffers cannot be eliminated (RMSProp, Adam).
    """
    before, now, after, gradient_before, gradient_now, buffer = sp.symbols("q_- q_0 q_+ g_- g_0 b")
    if rule.square_decay is not None:
        raise InvalidInput(
            f"expected a rule with one linear buffer, got {rule.name}; "
            "its metric follows the gradients, so use nld.theory.discrete, which is exact"
        )
    first, state = rule.step(before, (buffer,), lambda q: gradient_before)
    second, _ = rule.step(now, state, lambda q: gradient_now)
    if first.has(buffer):
        second = second.subs(buffer, sp.solve(sp.Eq(first, now), buffer)[0])
    return sp.expand(after - second), (before, now, after), (gradient_before, gradient_now)


def modified_equation(rule: LearningRule, position, gradient, time: sp.Symbol, order: int = 1):
    """The differential equation that the rule's iterates obey up to O(eta^{order + 1}), zero on its solutions.

    For heavy ball at order 1: eta (1 + beta)/2 q'' + (1 - beta) q' + g + k q. Order 0 is the gradient flow.
    Paper: Eq 3.

    Args:
        rule: with a sympy symbol as its learning rate.
        position: q(t), one coordinate: the recursion is the same for each.
        gradient: g(t), the gradient along the trajectory.
        time: t, which advances by the learning rate in a step.
        order: highest power of the learning rate that is kept.
    """
    expression, (before, now, after), (gradient_before, gradient_now) = recursion(rule)
    shift = rule.learning_rate

    def taylor(function, sign):
        return sp.Add(*((sign * shift) ** j / sp.factorial(j) * sp.diff(function, time, j) for j in range(order + 2)))

    in_time = {
        before: taylor(position, -1),
        now: position,
        after: taylor(position, 1),
        gradient_before: taylor(gradient, -1),
        gradient_now: gradient,
    }
    series = sp.expand(expression.subs(in_time, simultaneous=True) / shift)
    return sp.Add(*(series.coeff(shift, j) * shift**j for j in range(order + 1)))


def gradient_flow(rule: LearningRule, gradient: Callable, start, time) -> Trajectory:
    """Solution of mu d/dt grad h(q) = -c (grad f(q) + k q), the limit m -> 0 of the rule (order eta).

    Euclidean h: gradient flow; any other: natural gradient flow, mu q' = -F^{-1} grad f. Paper: Table 1, row 3.

    Args:
        rule: gives h, mu, c, k; its learning rate enters only through ``time``.
        gradient: maps (coordinates,) to (coordinates,).
        start: q(0), shape (coordinates,).
        time: times of the solution, increasing from 0.
    """
    h = rule.potential

    def rate(t, z):
        q = h.inverse(z)
        return -rule.gradient_weight * (gradient(q) + rule.weight_decay * q) / rule.friction

    return Trajectory(np.asarray(time), h.inverse(integrate(rate, h.gradient(np.asarray(start, float)), time)))


def euler_lagrange_flow(rule: LearningRule, gradient: Callable, start, velocity, time) -> Trajectory:
    """Solution of the rule's Euler-Lagrange equation (order eta^2), for any Bregman potential.

    With w = grad h(q + (m/mu) q') the equation is a first-order system without a Hessian,

        w' = -c (grad f + k q)/mu,    q' = (mu/m) ((grad h)^{-1}(w) - q),

    Euclidean h: m q'' + mu q' + c (grad f + k q) = 0. A rule with a lookahead has its gradient at
    q + lookahead q'. Paper: Eq 3, 4; the scaling is ``bregman.ideal_scaling``.

    Args:
        velocity: q'(0); for iterates from an empty buffer see ``fresh_velocity``.
        gradient, start, time: as in ``gradient_flow``.
    """
    h, relaxation = rule.potential, rule.mass / rule.friction
    q0, size = np.asarray(start, float), len(start)

    def rate(t, state):
        q, w = state[:size], state[size:]
        v = (h.inverse(w) - q) / relaxation
        force = gradient(q + rule.lookahead * v) + rule.weight_decay * q
        return np.concatenate([v, -rule.gradient_weight * force / rule.friction])

    state = integrate(rate, np.concatenate([q0, h.gradient(q0 + relaxation * np.asarray(velocity))]), time)
    q, w = state[:, :size], state[:, size:]
    return Trajectory(np.asarray(time), q, (h.inverse(w) - q) / relaxation)


def fresh_velocity(rule: LearningRule, gradient: Callable, start) -> np.ndarray:
    """q'(0) = -c F^{-1} (grad f + k q)/(1 + beta), with which the flow meets iterates from an empty buffer.

    Both velocities relax to -c F^{-1} grad f/mu, the iterates' as beta^n, the flow's as e^{-mu t/m}. This start
    makes the displacement left behind the same and so keeps the order eta^2; a cold start, q'(0) = 0,
    loses it. With Nesterov's lookahead the factor is 1 + 2 lookahead/eta.
    """
    q = np.asarray(start, float)
    force = gradient(q) + rule.weight_decay * q
    factor = rule.gradient_weight * (1 + 2 * rule.lookahead / rule.learning_rate) / (1 + rule.momentum)
    return -factor * rule.potential.inverse_metric(q, force)


def bregman_flow(
    potential: Potential, scaling: Callable[[sp.Symbol], Scaling], gradient: Callable, start, velocity, time
) -> Trajectory:
    """Solution of the Bregman Lagrangian's motion under any scaling, without a Hessian.

    With w = grad h(q + e^{-alpha} q') the Euler-Lagrange equation of Eq 2 is the first-order system

        w' = (e^alpha - gamma') (w - grad h(q)) - e^{alpha + beta} grad f,    q' = e^alpha ((grad h)^{-1}(w) - q),

    whose first term vanishes under ideal scaling. Paper: Eq 2; Wibisono, Wilson and Jordan 2016.

    Args:
        potential: h.
        scaling: time symbol -> alpha, beta and gamma, such as ``partial(bregman.polynomial_scaling, 3, 1)``.
        gradient: maps (coordinates,) to (coordinates,).
        start, velocity: q and q' at time[0], shape (coordinates,).
        time: increasing, positive where the scaling is singular at 0.
    """
    h, symbol = potential, sp.Symbol("t", positive=True)
    alpha, beta, gamma = scaling(symbol).alpha, scaling(symbol).beta, scaling(symbol).gamma
    ahead, excess, push = (
        sp.lambdify(symbol, sp.simplify(x))
        for x in (sp.exp(alpha), sp.exp(alpha) - sp.diff(gamma, symbol), sp.exp(alpha + beta))
    )
    q0, size = np.asarray(start, float), len(start)

    def rate(t, state):
        q, w = state[:size], state[size:]
        pull = excess(t) * (w - h.gradient(q)) - push(t) * gradient(q)
        return np.concatenate([ahead(t) * (h.inverse(w) - q), pull])

    there = q0 + np.asarray(velocity) / ahead(time[0])
    state = integrate(rate, np.concatenate([q0, h.gradient(there)]), time, begin=time[0])
    q, w = state[:, :size], state[:, size:]
    v = np.array([ahead(t) for t in time])[:, None] * (h.inverse(w) - q)
    return Trajectory(np.asarray(time), q, v)


def integrate(rate: Callable, start, time, begin: float = 0.0) -> np.ndarray:
    """Solution of y' = rate(t, y), y(begin) = start, at the given times.

    Raises:
        ValueError: the solver gave up.
    """
    time = np.asarray(time, float)
    # Tight enough to be below every discretization error that is compared with it.
    solution = solve_ivp(rate, (begin, time[-1]), start, "DOP853", time, rtol=1e-11, atol=1e-13)
    if not solution.success:
        raise InvalidInput(f"expected a solution up to t = {time[-1]}, got: {solution.message}; shorten the time")
    return solution.y.T
