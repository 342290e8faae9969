"""Charges of mirror flows: the conjugate of the potential, conserved by the flow, moved in steps by divergences."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import cumulative_simpson, quad, solve_ivp

from nld.learning_rules import potentials, rules
from nld.learning_rules.signed_entropy import signed_entropy
from nld.theory import mirror_laws
from nld.theory.bregman import Scaling
from nld.theory.continuum import bregman_flow, gradient_flow

SEPARABLE = {
    "euclidean": potentials.euclidean,
    "entropy": potentials.entropy,
    "Burg": potentials.burg,
    "1.5-norm": potentials.p_norm(1.5),
    "3-norm": potentials.p_norm(3),
}
GOAL = np.array([[1.0, 2.0], [0.5, 1.5]])


def gradient(q):
    """Of |out in^T - goal|^2 / 2 with q = (in, out), which keeps (c in, out/c)."""
    q_in, q_out = q[..., :2], q[..., 2:]
    residual = q_out[..., :, None] * q_in[..., None, :] - GOAL
    return np.concatenate([(residual * q_out[..., :, None]).sum(-2), (residual * q_in[..., None, :]).sum(-1)], -1)


def parts(q):
    return q[..., :2], q[..., 2:]


@pytest.mark.parametrize("name", SEPARABLE)
def test_law_the_conjugate_grows_by_the_metric_times_the_weight(name):
    h = SEPARABLE[name]
    metric = lambda w: 1 / h.inverse_metric(np.array([w]), np.array([1.0]))[0]  # noqa: E731
    grown = mirror_laws.conjugate(h, np.array([1.7])) - mirror_laws.conjugate(h, np.array([0.6]))
    assert grown == pytest.approx(quad(lambda w: w * metric(w), 0.6, 1.7)[0], rel=1e-12)


@pytest.mark.parametrize("name", SEPARABLE)
def test_law_a_flow_conserves_the_charge_of_its_metric_and_no_other(name):
    start = np.array([0.4, 1.1, 0.7, 0.9])
    path = gradient_flow(rules.mirror(1.0, SEPARABLE[name]), gradient, start, np.linspace(0, 1, 9)).position
    for other, h in SEPARABLE.items():
        charge = mirror_laws.rescale_charge(h, parts(path))
        moved = np.abs(charge - charge[0]).max()
        assert moved < 1e-9 if other == name else moved > 1e-2, other


@pytest.mark.parametrize("name", SEPARABLE)
def test_law_a_step_of_any_size_moves_the_charge_by_divergences(name):
    h, random = SEPARABLE[name], np.random.default_rng(0)
    scale = random.uniform(0.5, 1.5, (40, 1))  # another batch at each point
    before = random.uniform(0.5, 1.5, (40, 4))
    after, _ = rules.mirror(0.05, h).step(before, (), lambda q: scale * gradient(q))
    moved = mirror_laws.rescale_charge(h, parts(after)) - mirror_laws.rescale_charge(h, parts(before))
    law = mirror_laws.rescale_charge_change(h, parts(before), parts(after))
    np.testing.assert_allclose(moved, law, atol=1e-14)
    assert np.abs(moved).max() > 1e-3


@pytest.mark.parametrize("p", [1.5, 2, 3])
def test_law_of_powers_in_steps(p):
    # Q = sum +-|w|^p moves by sum +- u' (w' - w) with u = sgn(w) |w|^(p - 1), another form of the same law
    random = np.random.default_rng(1)
    before = random.normal(size=(60, 4))
    h = potentials.p_norm(p)
    after, _ = rules.mirror(0.02, h).step(before, (), gradient)
    signs = np.array([1, 1, -1, -1])
    moved = (signs * (np.abs(after) ** p - np.abs(before) ** p)).sum(1)
    law = (signs * np.sign(after) * np.abs(after) ** (p - 1) * (after - before)).sum(1)
    size = (np.abs(after) ** p + np.abs(before) ** p).sum(1)
    assert np.abs((moved - law) / size).max() < 1e-14
    assert np.abs(moved).max() > 1e-3


def test_law_the_signed_entropy_is_the_entropy_on_both_sides_of_zero():
    q = np.array([0.5, -1.5, 2.0, -0.1])
    h = signed_entropy(q)
    np.testing.assert_allclose(h.inverse(h.gradient(q)), q, rtol=1e-14)
    assert h.value(q) == pytest.approx(potentials.entropy.value(np.abs(q)), rel=1e-14)
    step = 1e-6 * np.array([1.0, 2.0, -1.0, 0.5])
    slope = h.value(q + step) - h.value(q - step)
    assert slope == pytest.approx(2 * (h.gradient(q) * step).sum(), rel=1e-6)
    curved = (h.gradient(q + step) - h.gradient(q - step)) / 2
    np.testing.assert_allclose(h.inverse_metric(q, curved), step, rtol=1e-7)
    charge = mirror_laws.rescale_charge(h, (q,), (1,))
    assert charge == pytest.approx(np.abs(q).sum(), rel=1e-14)


FRICTION = 2.0


def with_momentum(h, start, time):
    """Mirror flow with momentum, from rest: the Bregman Lagrangian's motion at a constant rate ahead."""

    def scaling(t):
        return Scaling(sp.log(FRICTION), -sp.log(FRICTION), FRICTION * t)

    return bregman_flow(h, scaling, gradient, start, np.zeros(4), time)


def test_law_mirror_flow_with_momentum_is_that_of_the_work():
    start, time = np.array([0.4, 1.1, 0.7, 0.9]), np.linspace(0, 2, 5)

    def slope(_, state):
        q, v = state[:4], state[4:]
        return np.concatenate([v, -FRICTION * v - (FRICTION * q + v) * gradient(q)])

    direct = solve_ivp(slope, (0, 2), np.r_[start, np.zeros(4)], t_eval=time, rtol=1e-11, atol=1e-12).y.T
    found = with_momentum(potentials.entropy, start, time)
    np.testing.assert_allclose(np.c_[found.position, found.velocity], direct, atol=1e-8)


@pytest.mark.parametrize("name", SEPARABLE)
def test_law_with_momentum_the_charge_moves_by_what_velocities_and_gradients_say(name):
    h, time = SEPARABLE[name], np.linspace(0, 1, 401)
    path = with_momentum(h, np.array([0.4, 1.1, 0.7, 0.9]), time)
    charge = mirror_laws.rescale_charge(h, parts(path.position + path.velocity / FRICTION))
    rate = mirror_laws.momentum_rescale_charge_rate(parts(path.velocity), parts(gradient(path.position)), FRICTION)
    np.testing.assert_allclose(charge - charge[0], cumulative_simpson(rate, x=time, initial=0), atol=1e-7)
    assert np.abs(charge - charge[0]).max() > 1e-3
