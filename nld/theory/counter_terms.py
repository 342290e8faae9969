"""The first-order flow that a learning rule's iterates settle on, with as many counter terms as one wants.

Once the momentum buffer has forgotten its start, the iterates of a rule with mu = 1 - beta follow

    mu q' = -(g + eta a H g + eta^2 (b H^2 g + c T[g, g]) + O(eta^3)),    H = Hessian of f, T = its third derivative,

their slow manifold. The coefficients depend on the momentum alone and are derived by machine from ``rule.step``.
Weight decay is part of the loss here: g stands for grad f + k q. References: Barrett and Dherin 2021 (gradient
descent, a = 1/2), Miyagawa 2022 (b = 1/3, c = 1/12), Kovachki and Stuart 2021 (a with momentum).
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import sympy as sp

from nld.errors import InvalidInput
from nld.learning_rules.rules import Gradient, LearningRule
from nld.series import Trajectory
from nld.theory.continuum import integrate, recursion

_WIDTH = 3e-3  # of the difference quotients; their truncation and their rounding are then both below 1e-10


def counter_terms(rule: LearningRule) -> tuple:
    """(a, b, c) of mu q' = -(g + eta a H g + eta^2 (b H^2 g + c T[g, g])).

    Heavy ball: a = (1 + beta)/(2 mu^2); Nesterov: less by beta/mu. Since H g = grad |g|^2/2, the first term is that
    of gradient flow on f + (eta a/2) |g|^2.

    Args:
        rule: gradient descent, heavy ball or Nesterov, with a number or a symbol as its momentum.

    Raises:
        ValueError: the potential is not Euclidean, the buffers cannot be eliminated (RMSProp, Adam), or they take up
            the gradient with another weight than 1.
    """
    if rule.potential.name != "euclidean":
        raise InvalidInput(f"expected a Euclidean potential, got {rule.potential.name}; use continuum.bregman_flow")
    if rule.square_decay is not None:
        recursion(rule)  # says why there is none
    if rule.gradient_weight != 1:
        raise InvalidInput(
            f"expected a rule that takes up the gradient with weight 1, got {rule.gradient_weight} in {rule.name}; "
            "put the weight into the learning rate"
        )
    beta, found = _derived(rule.update)
    exact = (x.subs(beta, rule.momentum) for x in found)
    return tuple(sp.factor(x) if x.free_symbols else float(x) for x in exact)


@cache
def _derived(update: Callable) -> tuple:
    """(beta, (a, b, c)) with beta a symbol. One dimension is enough: g' g, g'^2 g and g'' g^2 differ there."""
    eta, beta, q, *jet = sp.symbols("eta beta q G0 G1 G2")
    a, b, c = unknown = sp.symbols("a b c")
    g = jet[0] + jet[1] * q + jet[2] * q**2 / 2  # at q = 0 a generic gradient, as far as order eta^2 can see it
    slope, bend = sp.diff(g, q), sp.diff(g, q, 2)
    velocity = -(g + eta * a * slope * g + eta**2 * (b * slope**2 * g + c * bend * g**2)) / (1 - beta)

    def carried(function, time):  # exp(time D) function with D = velocity d/dq
        terms = [function]
        for j in range(1, 4):
            terms.append(velocity * sp.diff(terms[-1], q) * time / j)
        return sp.Add(*terms)

    expression, (before, now, after), (gradient_before, gradient_now) = recursion(LearningRule("", update, eta, beta))
    along = {before: carried(q, -eta), now: q, after: carried(q, eta), gradient_before: carried(g, -eta)}
    residual = sp.expand(expression.subs({**along, gradient_now: g}, simultaneous=True).subs(q, 0))
    orders = [sp.Poly(sp.numer(sp.together(residual.coeff(eta, j))), *jet).coeffs() for j in (2, 3)]
    (solution,) = sp.solve([*orders[0], *orders[1]], unknown, dict=True)
    return beta, tuple(sp.factor(solution[x]) for x in unknown)


def slow_flow(rule: LearningRule, gradient: Gradient, start, time, order: int = 1) -> Trajectory:
    """Solution of the slow flow with counter terms up to eta^order, of global error O(eta^{order + 1}).

    Order 0 is gradient flow, mu q' = -g. Iterates reach the flow as beta^n, ``startup_delay`` steps late, unless
    they begin in ``state_on_manifold``.

    Args:
        rule: as in ``counter_terms``, with numbers.
        gradient: maps (coordinates,) to (coordinates,); its derivatives are taken by difference quotients.
        start: q(0), shape (coordinates,).
        time: times of the solution, increasing (or decreasing) from 0.
        order: 0, 1 or 2.

    Raises:
        ValueError: another order.
    """
    if order not in (0, 1, 2):
        raise InvalidInput(f"expected order 0, 1 or 2, got {order}; higher counter terms are not derived")
    a, b, c = counter_terms(rule)
    eta = rule.learning_rate

    def force(q):
        return gradient(q) + rule.weight_decay * q

    def rate(t, q):
        g = total = force(q)
        if order:
            bent, twice = directional_derivatives(force, q, g)
            total = g + eta * a * bent
        if order == 2:
            total = total + eta**2 * (b * directional_derivatives(force, q, bent)[0] + c * twice)
        return -total / rule.friction

    return Trajectory(np.asarray(time), integrate(rate, np.asarray(start, float), time))


def directional_derivatives(gradient: Gradient, q: np.ndarray, direction: np.ndarray) -> tuple:
    """(H d, T[d, d]) along d = ``direction``, by central difference quotients of fourth order; shapes as q."""
    length = np.linalg.norm(direction)
    if length == 0:
        return np.zeros_like(q), np.zeros_like(q)
    s = _WIDTH / length
    far_below, below, here, above, far_above = (gradient(q + j * s * direction) for j in (-2, -1, 0, 1, 2))
    first = (far_below - 8 * below + 8 * above - far_above) / (12 * s)
    second = (-far_below + 16 * below - 30 * here + 16 * above - far_above) / (12 * s**2)
    return first, second


def with_gradient_penalty(gradient: Gradient, strength: float) -> Gradient:
    """Gradient of f + strength |grad f|^2, which is g + 2 strength H g: a counter term added to the loss by hand.

    Gradient descent at the small rate e on f + ((eta - e)/4) |grad f|^2 keeps to O(eta^2) to gradient descent at eta.

    Args:
        gradient: of f, maps (coordinates,) to (coordinates,).
        strength: in w^2/ℓ.

    References: Barrett and Dherin 2021, explicit gradient regularization.
    """

    def penalized(q):
        g = gradient(q)
        return g + 2 * strength * directional_derivatives(gradient, q, g)[0]

    return penalized


def startup_delay(rule: LearningRule) -> float:
    """Steps by which iterates from an empty buffer lag behind the slow flow from the same point.

    1/mu - s, with s the first step's length in units of eta g: beta/mu for heavy ball, beta^2/mu for Nesterov as
    PyTorch has it. To leading order; taking the delay off restores the second order.
    """
    first, _ = rule.step(0, (), lambda q: 1)
    return 1 / rule.friction + first / rule.learning_rate


def state_on_manifold(rule: LearningRule, gradient: Gradient, start) -> tuple:
    """Buffers with which iterates begin on the slow flow: their previous point is the flow's, one step back."""
    coasting, _ = rule.step(0, (1,), lambda q: 0)
    if coasting == 0:  # gradient descent has no memory
        return ()
    before = slow_flow(rule, gradient, start, [0, -rule.learning_rate], order=2).position[-1]
    without, _ = rule.step(before, (0,), gradient)
    return rule.step(before, ((np.asarray(start, float) - without) / coasting,), gradient)[1]
