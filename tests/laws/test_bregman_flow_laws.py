"""The Bregman family: its numerical motion, the energy that never grows, and time dilation."""

from functools import partial

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

from nld.learning_rules import potentials, rules
from nld.theory import bregman, continuum, lagrangian

t = sp.Symbol("t", positive=True)
CURVATURE = np.array([1e-3, 0.05, 1.0])
SCALINGS = {
    "damped": partial(bregman.damped_scaling, 0.3, 0.5),
    "ideal": partial(bregman.ideal_scaling, 0.3, 0.5),
    "polynomial": partial(bregman.polynomial_scaling, 3, 0.25),
}


@pytest.mark.parametrize("name", SCALINGS)
def test_law_the_flow_solves_the_euler_lagrange_equation(name):
    """Against the acceleration that sympy takes from the Lagrangian, entropy, one dimension."""
    (q,) = x = lagrangian.coordinates("q", 1, t)
    energy = bregman.bregman_lagrangian(bregman.entropy, (q - 1) ** 2 / 2, x, SCALINGS[name](t), t)
    place, speed = sp.symbols("place speed")
    pull = lagrangian.acceleration(energy, x, t)[sp.diff(q, t, 2)]
    pull = sp.lambdify((t, place, speed), pull.subs(sp.diff(q, t), speed).subs(q, place))
    time = [1.0, 2.0, 3.0]
    flow = continuum.bregman_flow(potentials.entropy, SCALINGS[name], lambda p: p - 1, [1.7], [-0.2], time)
    other = solve_ivp(lambda s, y: [y[1], pull(s, *y)], (1, 3), [1.7, -0.2], "DOP853", time, rtol=1e-11, atol=1e-13).y
    np.testing.assert_allclose(flow.position[:, 0], other[0], rtol=1e-8)
    assert flow.velocity is not None
    np.testing.assert_allclose(flow.velocity[:, 0], other[1], rtol=1e-7)


def test_law_the_rules_own_motion_is_the_ideal_one():
    rule = rules.mirror(0.05, potentials.entropy, momentum=0.5)
    start, velocity, time = [1.7, 0.9], [-0.3, 0.1], [0.0, 0.4, 0.8]
    own = continuum.euler_lagrange_flow(rule, lambda q: q - 1, start, velocity, time)
    ideal = partial(bregman.ideal_scaling, rule.mass, rule.friction)
    flow = continuum.bregman_flow(potentials.entropy, ideal, lambda q: q - 1, start, velocity, time)
    np.testing.assert_allclose(flow.position, own.position, rtol=1e-9)


@pytest.mark.parametrize("p", [2, 3, sp.Rational(3, 2)])
def test_polynomial_scaling_has_the_motion_of_wibisono_wilson_and_jordan(p):
    q, constant = lagrangian.coordinates("q", 2, t), sp.Symbol("C", positive=True)
    f = sp.Function("f")(*q)
    scaling = bregman.polynomial_scaling(p, constant, t)
    found = lagrangian.acceleration(bregman.bregman_lagrangian(bregman.euclidean, f, q, scaling, t), q, t)
    for x in q:
        expected = -(p + 1) / t * sp.diff(x, t) - constant * p**2 * t ** (p - 2) * sp.diff(f, x)
        assert sp.simplify(found[sp.diff(x, t, 2)] - expected) == 0


def test_law_dilation_speeds_up_the_action_of_every_geometry_and_scaling():
    """L of the dilated scaling is the old L at the clock's reading, times the clock's rate."""
    alpha, beta, gamma, clock = (sp.Function(name) for name in ("alpha", "beta", "gamma", "clock"))
    scaling = bregman.Scaling(alpha(t), beta(t), gamma(t))
    h, (x, y, v) = bregman.generic(), sp.symbols("x y v", positive=True)

    def energy(s, velocity):  # the Lagrangian with e^-alpha v and e^beta f written out
        step = sp.exp(-s.alpha) * velocity
        return sp.exp(s.alpha + s.gamma) * (h([x + step]) - h([x]) - step * sp.diff(h([x]), x) - sp.exp(s.beta) * y)

    fast = energy(bregman.dilated(scaling, t, clock(t)), v)
    rate = sp.diff(clock(t), t)
    slow = energy(bregman.Scaling(alpha(clock(t)), beta(clock(t)), gamma(clock(t))), v / rate)
    assert sp.simplify(sp.expand(fast - rate * slow)) == 0


def test_law_a_dilated_polynomial_scaling_is_polynomial():
    p, q = sp.symbols("p q", positive=True)
    fast = bregman.dilated(bregman.polynomial_scaling(p, sp.Rational(1, 4), t), t, t ** (q / p))
    other = bregman.polynomial_scaling(q, sp.Rational(1, 4), t)
    for a, b in zip((fast.alpha, fast.beta, fast.gamma), (other.alpha, other.beta, other.gamma), strict=True):
        assert sp.simplify(sp.expand_log(a - b, force=True)) == 0


@pytest.mark.parametrize("p", [1.5, 2, 3, 4])
def test_law_the_energy_never_grows_and_bounds_the_loss(p):
    """A second geometry beside that of the figure: entropy, on a loss with its minimum at 1."""
    time = np.geomspace(0.05, 20, 120) ** (2 / p)
    scaling = partial(bregman.polynomial_scaling, p, 0.25)
    path = continuum.bregman_flow(
        potentials.entropy, scaling, lambda q: CURVATURE * (q - 1), [2.0, 0.4, 1.6], [0, 0, 0], time
    )
    assert path.velocity is not None
    ahead, h = path.position + path.velocity * time[:, None] / p, potentials.entropy
    divergence = h.value(np.ones((1, 3))) - h.value(ahead) - (h.gradient(ahead) * (1 - ahead)).sum(1)
    loss = (CURVATURE * (path.position - 1) ** 2).sum(1) / 2
    energy = divergence + 0.25 * time**p * loss
    assert np.diff(energy).max() < 1e-8
    assert (0.25 * time**p * loss <= energy[0]).all()
