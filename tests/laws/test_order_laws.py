"""The paper's statement about learning rules as a law: order eta^2 to their mechanics, order eta to gradient flow."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

from nld.learning_rules import potentials, rules
from nld.theory import continuum
from tests.cases import MODELLED_RULES, POTENTIALS

START, STEPS, TIME = (1.7, 0.9), (160, 320), 1.2


def gradient(q):
    """Of a convex, anharmonic loss without symmetry; positive coordinates stay positive."""
    x, y = q[..., 0], q[..., 1]
    return np.stack([x - 1 + 0.5 * y + 0.3 * np.sin(x), 0.5 * x + 2 * (y - 0.5) + 0.2 * y**3], -1)


def errors(make, steps, velocity=continuum.fresh_velocity):
    """(distance to the Euler-Lagrange flow, distance to gradient flow) at a fixed time/friction."""
    end = TIME * make(1.0).friction
    rule = make(end / steps)
    last = rules.iterate(rule, gradient, START, steps).position[-1]
    time = np.array([0, end])
    mechanics = continuum.euler_lagrange_flow(rule, gradient, START, velocity(rule, gradient, START), time)
    flow = continuum.gradient_flow(rule, gradient, START, time)
    return np.linalg.norm(last - mechanics.position[-1]), np.linalg.norm(last - flow.position[-1])


def order(coarse, fine):
    return np.log2(coarse / fine)


@pytest.mark.parametrize("name", MODELLED_RULES)
def test_law_iterates_approach_mechanics_at_order_2_and_gradient_flow_at_order_1(name):
    coarse, fine = (errors(MODELLED_RULES[name], steps) for steps in STEPS)
    assert order(coarse[0], fine[0]) == pytest.approx(2, abs=0.2)
    assert order(coarse[1], fine[1]) == pytest.approx(1, abs=0.1)
    assert fine[0] < fine[1] / 100


@pytest.mark.parametrize("name", ["entropy", "1.5-norm", "quadratic form"])
def test_law_natural_gradient_approaches_natural_gradient_flow_at_order_1(name):
    def error(steps):
        rule = rules.natural_gradient(TIME / steps, POTENTIALS[name], weight_decay=0.1)
        last = rules.iterate(rule, gradient, START, steps).position[-1]
        return np.linalg.norm(last - continuum.gradient_flow(rule, gradient, START, [0, TIME]).position[-1])

    assert order(error(160), error(320)) == pytest.approx(1, abs=0.1)


def test_law_a_cold_start_loses_the_second_order():
    def cold(rule, gradient, start):
        return np.zeros(2)

    coarse, fine = (errors(MODELLED_RULES["heavy ball 0.5"], steps, cold)[0] for steps in STEPS)
    assert order(coarse, fine) == pytest.approx(1, abs=0.1)


def test_law_the_damped_scaling_misses_mirror_momentum_where_the_ideal_one_does_not():
    """In one dimension, entropy, momentum 1/2: the motion under Table 1's scaling is a whole order worse."""
    beta, x0 = 0.5, 1.7

    def slope(q):
        return q - 1 + 0.3 * np.sin(q)

    def distances(steps):
        eta = TIME * (1 - beta) / steps
        rule = rules.mirror(eta, potentials.entropy, momentum=beta)
        last = rules.iterate(rule, slope, [x0], steps).position[-1, 0]
        m, mu = rule.mass, rule.friction
        velocity = continuum.fresh_velocity(rule, slope, [x0])
        end = np.array([0, eta * steps])
        ideal = continuum.euler_lagrange_flow(rule, slope, [x0], velocity, end).position[-1, 0]

        def rate(t, state):  # d/dt log(q + m v) of the damped scaling: (m v D + ...) written out for h = q log q - q
            q, v = state
            delta = np.log1p(m * v / q)
            push = ((1 - mu) * delta / m - v / q - slope(q)) + v / q
            return [v, ((q + m * v) * push - v) / m]

        damped = solve_ivp(rate, end, [x0, velocity[0]], "DOP853", rtol=1e-10, atol=1e-12).y[0, -1]
        return abs(last - ideal), abs(last - damped)

    coarse, fine = distances(160), distances(320)
    assert order(coarse[0], fine[0]) == pytest.approx(2, abs=0.2)
    assert order(coarse[1], fine[1]) == pytest.approx(1, abs=0.2)


def test_law_the_next_order_of_the_modified_equation_is_right():
    """On f = q^2/2 the slow root of the recursion, (log z)/eta, satisfies the order-n equation to order n + 1."""
    eta, t, rate = sp.Symbol("eta", positive=True), sp.Symbol("t"), sp.Symbol("a")
    rule = rules.heavy_ball(eta, sp.Rational(1, 2))
    path = sp.exp(rate * t)

    def slow(order, value):
        equation = sp.simplify(continuum.modified_equation(rule, path, path, t, order).doit() / path)
        return sp.nsolve(equation.subs(eta, value), rate, -2 - 10 * value, prec=30)

    def exact(value):
        z = sp.symbols("z")
        roots = sp.Poly(z**2 - (sp.Rational(3, 2) - value) * z + sp.Rational(1, 2), z).nroots(30)
        return sp.log(max(roots)) / value

    for n in (1, 2, 3):
        gaps = [abs(slow(n, h) - exact(h)) for h in (sp.Rational(1, 200), sp.Rational(1, 400))]
        assert float(sp.log(gaps[0] / gaps[1], 2)) == pytest.approx(n + 1, abs=0.15)


def test_adaptive_rules_have_no_single_recursion():
    with pytest.raises(ValueError, match=r"expected a rule with one linear buffer, got Adam"):
        continuum.recursion(rules.adam(0.1))
