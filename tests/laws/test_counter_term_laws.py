"""Iterates settle on their slow flow: each counter term adds an order, for a table of rules and by a second scheme."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from nld.learning_rules import potentials, rules
from nld.theory import continuum, counter_terms
from tests.laws.test_order_laws import START, TIME, gradient, order

RULES = {
    "gradient descent": lambda rate: rules.gradient_descent(rate),
    "gradient descent, weight decay": lambda rate: rules.gradient_descent(rate, weight_decay=0.3),
    "heavy ball 0.5": lambda rate: rules.heavy_ball(rate, 0.5),
    "heavy ball 0.8, weight decay": lambda rate: rules.heavy_ball(rate, 0.8, 0.2),
    "Nesterov 0.7": lambda rate: rules.nesterov(rate, 0.7),
}
eta, beta = sp.symbols("eta beta", positive=True)


def force(q):
    """For weight decay too: positive and negative coordinates, no symmetry."""
    return gradient(q) - 0.4


def errors(make, relaxations, warm=True):
    """Distances of the last iterate to the slow flows with 0, 1 and 2 counter terms."""
    friction = make(1.0).friction
    steps = round(relaxations / friction)
    rule = make(TIME * friction / steps)
    state = counter_terms.state_on_manifold(rule, force, START) if warm else ()
    last = rules.iterate(rule, force, START, steps, state).position[-1]
    end = [0, steps * rule.learning_rate]
    return [np.linalg.norm(last - counter_terms.slow_flow(rule, force, START, end, n).position[-1]) for n in range(3)]


@pytest.mark.parametrize("name", RULES)
def test_law_a_flow_with_n_counter_terms_is_left_at_order_n_plus_1(name):
    coarse, fine = (np.array(errors(RULES[name], relaxations)) for relaxations in (60, 120))
    np.testing.assert_allclose(order(coarse, fine), [1, 2, 3], atol=0.1)


@pytest.mark.parametrize("name", ["heavy ball 0.8, weight decay", "Nesterov 0.7"])
def test_law_an_empty_buffer_costs_an_order_that_the_delay_gives_back(name):
    cold = [errors(RULES[name], relaxations, warm=False)[1] for relaxations in (80, 160)]
    assert order(*cold) == pytest.approx(1, abs=0.15)
    delayed = []
    for relaxations in (80, 160):
        friction = RULES[name](1.0).friction
        steps = round(relaxations / friction)
        rule = RULES[name](TIME * friction / steps)
        last = rules.iterate(rule, force, START, steps).position[-1]
        time = (steps - counter_terms.startup_delay(rule)) * rule.learning_rate
        delayed.append(np.linalg.norm(last - counter_terms.slow_flow(rule, force, START, [0, time]).position[-1]))
    assert order(*delayed) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("momentum", [0.5, 0.9])
@pytest.mark.parametrize("lookahead", [0, 1], ids=["heavy ball", "Nesterov"])
def test_kovachki_stuart_scheme_follows_its_modified_loss(momentum, lookahead):
    """Their own recursion, u_{n+1} = u_n + beta d_n - h f'(u_n + a d_n), which the library does not contain."""
    friction = 1 - momentum
    c = (1 + momentum) / (2 * friction**2) - lookahead * momentum / friction
    make = rules.nesterov if lookahead else rules.heavy_ball
    assert counter_terms.counter_terms(make(0.1, momentum))[0] == pytest.approx(c, rel=1e-12)

    def ends(steps, warm):
        h = TIME * friction / steps
        rule = make(h, momentum)
        now, before = np.array(START), np.array(START)
        if warm:
            before = counter_terms.slow_flow(rule, force, START, [0, -h]).position[-1]
        for _ in range(steps):
            step = now - before
            before, now = now, now + momentum * step - h * force(now + lookahead * momentum * step)
        flows = [counter_terms.slow_flow(rule, force, START, [0, steps * h], k).position[-1] for k in (0, 1)]
        return [np.linalg.norm(now - flow) for flow in flows]

    warm, cold = (np.array([ends(round(n / friction), start) for n in (60, 120)]) for start in (True, False))
    assert order(*warm[:, 0]) == pytest.approx(1, abs=0.15)
    assert order(*warm[:, 1]) == pytest.approx(2, abs=0.15)
    assert order(*cold[:, 1]) == pytest.approx(1, abs=0.15)


def test_counter_terms_of_gradient_descent_are_known():
    found = counter_terms.counter_terms(rules.gradient_descent(0.1))
    np.testing.assert_allclose(found, (1 / 2, 1 / 3, 1 / 12), rtol=1e-14)


def test_counter_terms_of_momentum_in_symbols():
    mu = 1 - beta
    ball = counter_terms.counter_terms(rules.heavy_ball(eta, beta))
    expected = (
        (1 + beta) / (2 * mu**2),
        (1 + 4 * beta + beta**2) / (3 * mu**4),
        (1 + 10 * beta + beta**2) / (12 * mu**4),
    )
    assert [sp.simplify(x - y) for x, y in zip(ball, expected, strict=True)] == [0, 0, 0]
    look = counter_terms.counter_terms(rules.nesterov(eta, beta))[0]
    assert sp.simplify(ball[0] - look - beta / mu) == 0
    assert counter_terms.counter_terms(rules.heavy_ball(0.1, 0.9))[0] == pytest.approx(95)
    assert counter_terms.counter_terms(rules.nesterov(0.1, 0.9))[0] == pytest.approx(86)


def test_law_a_penalty_in_the_loss_gives_small_steps_the_order_of_a_counter_term():
    """Explicit against implicit regularization; three quarters or none of the strength leave the first order."""
    rule, finer = rules.gradient_descent, 5

    def gap(steps, share):
        rate = TIME / steps
        penalized = counter_terms.with_gradient_penalty(force, share * (rate - rate / finer) / 4)
        large = rules.iterate(rule(rate), force, START, steps).position[-1]
        small = rules.iterate(rule(rate / finer), penalized, START, finer * steps).position[-1]
        return np.linalg.norm(large - small)

    for share, expected in ((1, 2), (0.75, 1), (0, 1)):
        assert order(gap(60, share), gap(120, share)) == pytest.approx(expected, abs=0.1), share


def test_the_gradient_of_a_penalty_is_that_of_its_loss():
    q = np.array([0.7, -0.4])
    found = counter_terms.with_gradient_penalty(lambda p: p**3, 0.3)(q)  # f = sum q^4/4, |grad f|^2 = sum q^6
    np.testing.assert_allclose(found, q**3 + 0.3 * 6 * q**5, rtol=1e-9)


@pytest.mark.parametrize("make", [rules.heavy_ball, rules.nesterov])
@pytest.mark.parametrize("momentum", [0.3, 0.9])
def test_law_counter_terms_expand_the_slow_root_on_a_quadratic(make, momentum):
    """On f = q²/2 the rule multiplies by a root z; -mu log(z)/eta = 1 + eta a + eta² b + O(eta³)."""
    a, b, _ = counter_terms.counter_terms(make(0.1, momentum))
    rule_step = make(1.0, momentum)

    def rate(h):
        z = sp.symbols("z")
        before, now, after = 1, z, z**2
        recursion, positions, gradients = continuum.recursion(make(h, sp.Rational(str(momentum))))
        swaps = dict(zip((*positions, *gradients), (before, now, after, before, now), strict=True))
        roots = sp.Poly(recursion.subs(swaps, simultaneous=True), z).nroots(30)
        return -rule_step.friction * sp.log(max(roots)) / h

    gaps = []
    for h in (sp.Rational(1, 20000), sp.Rational(1, 40000)):
        gaps.append(abs(float(rate(h) - (1 + h * a + h**2 * b))))
    assert order(*gaps) == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("make", [rules.heavy_ball, rules.nesterov])
def test_law_the_warm_start_of_mechanics_and_the_delay_are_one(make):
    """A particle from v falls behind by m/mu (g/mu + v); from the warm start, by the delay of the iterates."""
    rule, g = make(0.01, 0.8), np.array([1.0, -2.0])
    velocity = continuum.fresh_velocity(rule, lambda q: g, np.zeros(2))
    behind = rule.mass / rule.friction * (g / rule.friction + velocity)
    late = counter_terms.startup_delay(rule) * rule.learning_rate * g / rule.friction
    np.testing.assert_allclose(behind, late, rtol=1e-12)


@pytest.mark.parametrize(("make", "delay"), [(rules.heavy_ball, 9.0), (rules.nesterov, 8.1)])
def test_law_the_delay_is_what_a_constant_slope_shows(make, delay):
    rule, steps = make(0.1, 0.9), 1000
    last = rules.iterate(rule, np.ones_like, [0.0], steps).position[-1, 0]
    assert steps + last * rule.friction / rule.learning_rate == pytest.approx(delay, rel=1e-9)
    assert counter_terms.startup_delay(rule) == pytest.approx(delay)


def test_law_the_counter_term_is_the_source_of_the_squared_norm():
    """mu (r²)' = 2 eta a |g|², and the same from 2 m |q'|² in the paper's Eq 16, at leading order."""
    rule = rules.heavy_ball(eta, beta)
    a, *_ = counter_terms.counter_terms(rule)
    assert sp.simplify(2 * eta * a - 2 * rule.mass / rule.friction**2) == 0


def test_directional_derivatives_are_those_of_a_known_function():
    q, d = np.array([0.3, -0.8]), np.array([1.5, 0.4])
    first, second = counter_terms.directional_derivatives(lambda p: np.array([p[0] * p[1] ** 2, np.sin(p[0])]), q, d)
    np.testing.assert_allclose(first, [d[0] * q[1] ** 2 + 2 * q[0] * q[1] * d[1], np.cos(q[0]) * d[0]], rtol=1e-10)
    expected = [4 * q[1] * d[0] * d[1] + 2 * q[0] * d[1] ** 2, -np.sin(q[0]) * d[0] ** 2]
    np.testing.assert_allclose(second, expected, rtol=1e-8)
    assert not np.any(counter_terms.directional_derivatives(np.sin, q, 0 * d))


@pytest.mark.parametrize(("learning_rate", "decay"), [(0.1, 0.05), (0.1, 0.5), (0.5, 0.5)])
def test_miyagawa_translation_charge_decays_as_the_discrete_rate(learning_rate, decay):
    rule, steps = rules.gradient_descent(learning_rate, weight_decay=decay), 40
    path = rules.iterate(rule, lambda q: np.sin(q[..., :1] - q[..., 1:]) * [1.0, -1.0], [1.0, 0.4], steps).position.sum(
        1
    )
    np.testing.assert_allclose(path, path[0] * (1 - learning_rate * decay) ** np.arange(steps + 1), rtol=1e-12)
    measured = -np.log(path[-1] / path[0]) / (steps * learning_rate)
    a, b, _ = counter_terms.counter_terms(rule)
    rates = [
        decay,
        decay + learning_rate * a * decay**2,
        decay + learning_rate * a * decay**2 + learning_rate**2 * b * decay**3,
    ]
    gaps = [abs(rate - measured) for rate in rates]
    assert gaps[0] > gaps[1] > gaps[2]


def test_a_metric_and_a_wrong_order_are_refused():
    with pytest.raises(ValueError, match="expected a Euclidean potential, got entropy"):
        counter_terms.counter_terms(rules.mirror(0.1, potentials.entropy))
    with pytest.raises(ValueError, match="one linear buffer, got Adam"):
        counter_terms.counter_terms(rules.adam(0.1))
    with pytest.raises(ValueError, match=r"weight 1, got 0\.5 in heavy ball"):
        counter_terms.counter_terms(replace(rules.heavy_ball(0.1), gradient_weight=0.5))
    with pytest.raises(ValueError, match="expected order 0, 1 or 2, got 3"):
        counter_terms.slow_flow(rules.gradient_descent(0.1), force, START, [0, 1], order=3)
