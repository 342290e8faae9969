"""Section 1, learning as mechanics: Eq 1 to 4 and Table 1."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

from nld.learning_rules import potentials, rules
from nld.theory import bregman, continuum, lagrangian
from tests.cases import polynomial_potential

t = sp.Symbol("t", positive=True)
m, mu = sp.symbols("m mu", positive=True)
eta, beta, k = sp.symbols("eta beta k", positive=True)
q = lagrangian.coordinates("q", 2, t)
f = sp.Function("f")(*q)


def motion(mass, friction, force):
    return [mass * sp.diff(x, t, 2) + friction * sp.diff(x, t) + g for x, g in zip(q, force, strict=True)]


GRADIENT = [sp.diff(f, x) for x in q]


def test_eq01_euler_lagrange_is_stationary_action():
    """The derivative of the action along any variation that vanishes at the ends is the integral of Eq 1."""
    x, s = sp.Function("x")(t), sp.Symbol("s")
    lagrange = sp.exp(t) * (sp.diff(x, t) ** 2 / 2 - x**3 / 3 - x)
    path, bump = t**2 + 1, t**2 * (1 - t) ** 3
    moved = lagrange.subs(x, path + s * bump).doit()
    slope = sp.integrate(sp.expand(sp.diff(moved, s).subs(s, 0)), (t, 0, 1))
    (equation,) = lagrangian.euler_lagrange(lagrange, [x], t)
    weighted = sp.integrate(sp.expand(equation.subs(x, path).doit() * bump), (t, 0, 1))
    assert sp.simplify(slope - weighted) == 0
    assert abs(float(slope)) > 1e-3


def test_eq01_acceleration_solves_it():
    accelerations = lagrangian.acceleration(lagrangian.damped_particle(f, q, m, mu, t), q, t)
    for x, force in zip(q, GRADIENT, strict=True):
        assert sp.simplify(accelerations[sp.diff(x, t, 2)] + (mu * sp.diff(x, t) + force) / m) == 0


def test_eq02_bregman_lagrangian_has_the_motion_of_wibisono_wilson_and_jordan():
    """d/dt grad h(q + e^-alpha q') = -e^{alpha+beta} grad f under ideal scaling, for an undetermined h."""
    alpha, beta_t = sp.Function("alpha")(t), sp.Function("beta")(t)
    gamma = sp.Function("gamma")(t)
    scaling, h = bregman.Scaling(alpha, beta_t, gamma), bregman.generic()
    equations = lagrangian.euler_lagrange(bregman.bregman_lagrangian(h, f, q, scaling, t), q, t)
    dual = bregman.gradient(h, bregman.ahead(q, scaling, t))
    for equation, z, force in zip(equations, dual, GRADIENT, strict=True):
        expected = -sp.exp(gamma) * (sp.diff(z, t) + sp.exp(alpha + beta_t) * force)
        ideal = (equation - expected).doit().subs(sp.diff(gamma, t), sp.exp(alpha))
        assert sp.expand(ideal) == 0


@pytest.mark.parametrize(
    "h", [bregman.entropy, bregman.p_norm(sp.Rational(3, 2)), bregman.quadratic_form([[2, 1], [1, 3]])]
)
def test_eq02_divergence_is_a_distance_to_second_order(h):
    x, v, s = sp.symbols("x1 x2", positive=True), sp.symbols("v1 v2"), sp.Symbol("s")
    value = bregman.divergence(h, [a + s * b for a, b in zip(x, v, strict=True)], x)
    metric = (sp.Matrix([v]) * bregman.hessian(h, x) * sp.Matrix(v))[0]
    assert sp.simplify(value.subs(s, 0)) == 0
    assert sp.simplify(sp.diff(value, s).subs(s, 0)) == 0
    assert sp.simplify(sp.diff(value, s, 2).subs(s, 0) - metric) == 0


@pytest.mark.parametrize(
    ("symbolic", "numeric"),
    [
        (bregman.euclidean, potentials.euclidean),
        (bregman.entropy, potentials.entropy),
        (bregman.p_norm(3), potentials.p_norm(3)),
        (bregman.quadratic_form([[2, 0.5], [0.5, 1]]), potentials.quadratic_form(np.array([[2, 0.5], [0.5, 1]]))),
    ],
)
def test_eq02_potentials_of_rules_and_of_derivations_are_the_same(symbolic, numeric):
    x = sp.symbols("x1 x2", positive=True)
    at = np.array([0.7, 1.9])
    gradient = sp.lambdify(x, bregman.gradient(symbolic, x), "numpy")(*at)
    metric = np.array(bregman.hessian(symbolic, x).subs(dict(zip(x, at, strict=True))), float)
    np.testing.assert_allclose(gradient, numeric.gradient(at), rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(numeric.inverse_metric(at, metric @ at), at, rtol=1e-13)


def test_table1_nesterov_row():
    scaling = bregman.nesterov_scaling(t)
    equations = lagrangian.euler_lagrange(bregman.bregman_lagrangian(bregman.euclidean, f, q, scaling, t), q, t)
    for equation, expected in zip(equations, motion(1, 3 / t, GRADIENT), strict=True):
        ratio = sp.simplify(equation / expected)
        assert ratio == -(t**3) / 2


def test_table1_nesterov_row_is_what_nesterovs_iterates_do():
    """x_{n+1} = y_n - s g(y_n), y_{n+1} = x_{n+1} + n/(n + 3) (x_{n+1} - x_n) tends to it at t = n sqrt(s)."""

    def slope(x):
        return x + 0.5 * np.sin(x)

    def error(steps, end=3.0):
        s = (end / steps) ** 2
        x = y = 2.0
        for n in range(steps):
            x, before = y - s * slope(y), x
            y = x + n / (n + 3) * (x - before)
        small = 1e-6  # q'' + 3/t q' is regular at t = 0 with q' = -g t/4
        flow = solve_ivp(
            lambda time, state: [state[1], -3 / time * state[1] - slope(state[0])],
            (small, end),
            [2.0, -slope(2.0) * small / 4],
            "DOP853",
            rtol=1e-10,
            atol=1e-12,
        )
        return abs(x - flow.y[0, -1])

    assert error(400) < 0.01
    assert np.log2(error(200) / error(400)) == pytest.approx(1, abs=0.2)


def test_table1_damped_row_is_the_caldirola_kanai_lagrangian():
    scaling = bregman.damped_scaling(m, mu, t)
    action = bregman.bregman_lagrangian(bregman.euclidean, f, q, scaling, t)
    assert sp.simplify(action - lagrangian.damped_particle(f, q, m, mu, t)) == 0
    for equation, expected in zip(lagrangian.euler_lagrange(action, q, t), motion(m, mu, GRADIENT), strict=True):
        assert sp.simplify(equation + sp.exp(mu * t / m) * expected) == 0


def test_table1_natural_gradient_row():
    """m -> 0 at general h (here every polynomial of degree 4): mu F q' + grad f = 0."""
    h = polynomial_potential
    scaling = bregman.damped_scaling(m, mu, t)
    action = bregman.bregman_lagrangian(h, f, q, scaling, t)
    metric = bregman.hessian(h, q) * sp.Matrix(lagrangian.velocities(q, t))
    for equation, row, force in zip(lagrangian.euler_lagrange(action, q, t), metric, GRADIENT, strict=True):
        overdamped = sp.expand(sp.expand(equation) * sp.exp(-mu * t / m)).subs(m, 0)
        assert sp.expand(overdamped + mu * row + force) == 0


def test_table1_momentum_row():
    rule = rules.heavy_ball(eta, beta)
    scaling = bregman.rule_scaling(rule, t)
    action = bregman.bregman_lagrangian(bregman.euclidean, f, q, scaling, t)
    assert sp.simplify(action - lagrangian.heavy_ball_lagrangian(rule, f, q, t)) == 0


def test_table1_ideal_scaling_is_the_same_mechanics_for_euclidean_h():
    ideal = bregman.bregman_lagrangian(bregman.euclidean, f, q, bregman.ideal_scaling(m, mu, t), t)
    assert sp.simplify(ideal - lagrangian.damped_particle(f, q, m, mu, t) / mu) == 0


def test_eq03_modified_equation_is_derived_from_the_update():
    x, g = sp.Function("x")(t), sp.Function("g")(t)
    derived = continuum.modified_equation(rules.heavy_ball(eta, beta, k), x, g, t)
    printed = eta / 2 * (1 + beta) * sp.diff(x, t, 2) + (1 - beta) * sp.diff(x, t) + g + k * x
    assert sp.expand(derived - printed) == 0
    descent = continuum.modified_equation(rules.gradient_descent(eta), x, g, t)
    assert sp.expand(descent - (eta / 2 * sp.diff(x, t, 2) + sp.diff(x, t) + g)) == 0


def test_eq03_nesterov_has_the_same_mass_and_friction_and_damps_curvature():
    x, g = sp.Function("x")(t), sp.Function("g")(t)
    plain = continuum.modified_equation(rules.heavy_ball(eta, beta), x, g, t)
    ahead = continuum.modified_equation(rules.nesterov(eta, beta), x, g, t)
    assert sp.expand(ahead - plain - eta * beta * sp.diff(g, t)) == 0


def test_eq04_lagrangian_has_eq03_as_its_motion():
    rule = rules.heavy_ball(eta, beta, k)
    action = lagrangian.heavy_ball_lagrangian(rule, f, q, t)
    v = sp.symbols("v1 v2")
    printed = sp.exp(2 * (1 - beta) * t / (eta * (1 + beta))) * (
        eta * (1 + beta) / 4 * (v[0] ** 2 + v[1] ** 2) - (f + k / 2 * (q[0] ** 2 + q[1] ** 2))
    )
    in_symbols = action.subs({sp.diff(x, t): y for x, y in zip(q, v, strict=True)})
    assert sp.simplify(in_symbols - printed) == 0
    for i, equation in enumerate(lagrangian.euler_lagrange(action, q, t)):
        eq03 = continuum.modified_equation(rule, q[i], GRADIENT[i], t)
        assert sp.simplify(equation * sp.exp(-rule.friction * t / rule.mass) + eq03) == 0
