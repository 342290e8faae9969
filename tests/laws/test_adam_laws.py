"""Adam's largest update: attained, never exceeded, and bounded where it should be; its norms; k stages in a row."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nld.learning_rules import rules
from nld.theory import adam
from nld.theory.equilibrium import squared_norm

CASES = [(0.9, 0.999, 200), (0.99, 0.95, 200), (0.5, 0.25, 40), (0.95, 0.95, 30), (0.0, 0.9, 25), (0.9, 0.81, 60)]
BOUNDS = [(0.9, 0.999, 3.09608, 3.180), (0.99, 0.95, 6.55861, 7.224)]  # discrete and continuous, after 200 steps

momenta, decays = st.floats(0, 0.99), st.floats(0.05, 0.999)


def updates(momentum, square_decay, gradients):
    """u_n after each gradient, by running Adam at learning rate one and bringing it back to zero after each step."""
    rule, state, found = rules.adam(1.0, momentum, square_decay, epsilon=1e-300), (), []
    for gradient in gradients:
        q, state = rule.step(np.zeros_like(gradient), state, lambda _, gradient=gradient: gradient)
        found.append(-q)
    return np.array(found)


@pytest.mark.parametrize(("momentum", "square_decay", "steps"), CASES)
def test_law_worst_gradients_attain_the_largest_update(momentum, square_decay, steps):
    gradients = adam.worst_gradients(momentum, square_decay, steps)
    assert gradients.max() == 1
    last = updates(momentum, square_decay, gradients)[-1]
    assert last == pytest.approx(adam.largest_update(momentum, square_decay, steps), rel=1e-10)


@pytest.mark.parametrize(("momentum", "square_decay", "discrete", "continuous"), BOUNDS)
def test_law_largest_updates_of_two_settings(momentum, square_decay, discrete, continuous):
    assert adam.largest_update(momentum, square_decay, 200) == pytest.approx(discrete, abs=5e-6)
    assert adam.continuous_largest_update(momentum, square_decay, 200) == pytest.approx(continuous, abs=5e-4)


@settings(deadline=None, max_examples=60)
@given(momenta, decays, st.integers(2, 30), st.integers(0, 2**32 - 1), st.floats(-1, 1))
def test_law_no_sequence_exceeds_the_largest_update(momentum, square_decay, steps, seed, slope):
    random = np.random.default_rng(seed)
    gradients = random.normal(size=(steps, 50)) * np.exp(slope * np.arange(steps))[:, None]
    found = np.abs(updates(momentum, square_decay, gradients)).max(1)
    assert np.all(found <= adam.largest_update(momentum, square_decay, np.arange(1, steps + 1)) * (1 + 1e-9))


@pytest.mark.parametrize(("momentum", "square_decay", "steps"), CASES)
def test_law_largest_update_by_naive_sums_in_fifty_digits(momentum, square_decay, steps):
    with mpmath.workdps(50):
        beta, rho = mpmath.mpf(momentum), mpmath.mpf(square_decay)
        weights = [((1 - beta) * beta**k, (1 - rho) * rho**k) for k in range(steps)]
        ratio = mpmath.sqrt(sum(a * a / b for a, b in weights))  # max of <a, g>^2 over <g, b g>
        expected = ratio * mpmath.sqrt(1 - rho**steps) / (1 - beta**steps)
        assert adam.largest_update(momentum, square_decay, steps) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize(("momentum", "square_decay", "steps"), CASES[:4])
def test_law_continuous_bound_is_the_integral_over_its_kernels(momentum, square_decay, steps):
    beta, rho, n = mpmath.mpf(momentum), mpmath.mpf(square_decay), steps
    kernel = lambda rate, age: (1 - rate) / rate * mpmath.exp(-(1 - rate) / rate * age)  # noqa: E731
    integral = mpmath.quad(lambda s: kernel(beta, s) ** 2 / kernel(rho, s), mpmath.linspace(0, n, 20))
    expected = mpmath.sqrt(integral) * mpmath.sqrt(1 - rho**n) / (1 - beta**n)
    assert adam.continuous_largest_update(momentum, square_decay, n) == pytest.approx(float(expected), rel=1e-9)


@given(decays)
def test_law_equal_memories_bound_the_update_by_one(square_decay):
    """A weighted mean is never larger than the root of the weighted mean square, and no other momentum does as well."""
    steps = np.array([1, 2, 10, 100, np.inf])
    np.testing.assert_allclose(adam.largest_update(square_decay, square_decay, steps), 1, rtol=1e-9)
    others = np.linspace(0, 0.9999, 50)
    assert np.all(adam.largest_update(others, square_decay) >= 1 - 1e-12)


@given(decays)
def test_law_updates_are_bounded_below_the_geometric_mean_only(square_decay):
    boundary = adam.largest_stable_momentum(square_decay)
    assert np.isfinite(adam.largest_update(boundary * (1 - 1e-6), square_decay))
    assert np.isinf(adam.largest_update(min(boundary * (1 + 1e-9), 1 - 1e-12), square_decay))
    continuous = adam.continuous_largest_stable_momentum(square_decay)
    assert continuous <= boundary
    assert adam.continuous_exponent(continuous, square_decay) == pytest.approx(0, abs=1e-9)


def test_law_the_boundary_is_where_updates_stop_falling_after_a_spike():
    """Located by running Adam on one gradient and silence, over a grid of momenta."""
    momentum, square_decay = np.linspace(0.05, 0.998, 475)[:, None], np.array([0.1, 0.3, 0.5, 0.7, 0.9, 0.98])
    spike = np.zeros((250, len(momentum), len(square_decay)))
    spike[0] = 1
    found = updates(momentum, square_decay, spike)
    falls = found[-1] < found[124]
    located = momentum[:, 0][falls.sum(0) - 1]
    assert np.all(np.diff(falls.astype(int), axis=0) <= 0)
    np.testing.assert_allclose(located, adam.largest_stable_momentum(square_decay), atol=0.01)
    assert np.abs(located - adam.continuous_largest_stable_momentum(square_decay)).max() > 0.1


def test_law_growth_rate_of_geometric_gradients():
    """Gradients 0.9^k at (0.95, 0.9): the discrete rate, of which continuous time says twice as much."""
    found = updates(0.95, 0.9, 0.9 ** np.arange(1500))
    rate = np.log(found[-1] / found[-500]) / 499
    assert rate == pytest.approx(adam.growth_rate(0.95, 0.9), rel=0.01)
    assert rate == pytest.approx(1.38682e-3, rel=0.01)
    assert -adam.continuous_exponent(0.95, 0.9) / 2 / rate == pytest.approx(2.1, abs=0.05)


def test_law_continuous_time_is_the_limit_of_long_memories():
    """Bound to first order in 1/memory, boundary to second."""
    short = np.array([0.04, 0.02, 0.01])
    bounds = [f(1 - short, 1 - 0.8 * short) for f in (adam.continuous_largest_update, adam.largest_update)]
    error = bounds[0] / bounds[1] - 1
    np.testing.assert_allclose(np.log2(error[:-1] / error[1:]), 1, atol=0.1)
    gap = adam.largest_stable_momentum(1 - short) - adam.continuous_largest_stable_momentum(1 - short)
    np.testing.assert_allclose(np.log2(gap[:-1] / gap[1:]), 2, atol=0.1)


def test_law_one_gradient_after_silence_is_not_the_worst():
    silence = np.r_[np.zeros(9999), 1]
    spike = updates(0.9, 0.999, silence)[-1]
    assert spike == pytest.approx(adam.largest_update_after_silence(0.9, 0.999), rel=1e-3)
    growing = adam.worst_gradients(0.9, 0.999, 10_000)
    growing[growing < 1e-100] = 0  # whose squares could not be held
    assert updates(0.9, 0.999, growing)[-1] > 2.2 * spike


def random_walk(rule, steps, seed=0, units=20, size=200, equal=False):
    """|q|^2 and |U|^2 under white gradients orthogonal to q; ``equal``: one constant v for all coordinates."""
    random = np.random.default_rng(seed)
    q, state, buffer = random.normal(size=(units, size)) / np.sqrt(size), (), 0
    shrink = 1 - rule.learning_rate * rule.weight_decay
    norms, moved = [(q * q).sum(1)], []
    for n in range(1, steps + 1):
        g = random.normal(size=q.shape)
        square = (q * q).sum(1, keepdims=True)
        g = (g - q * (q * g).sum(1, keepdims=True) / square) / np.sqrt(square)
        if equal:
            buffer = rule.momentum * buffer + (1 - rule.momentum) * g
            after = shrink * q - rule.learning_rate * buffer / (1 - rule.momentum**n)
        else:
            after, state = rule.step(q, state, lambda _, g=g: g)
        update, q = shrink * q - after, after
        moved.append((update * update).sum(1))
        norms.append((q * q).sum(1))
    return np.array(norms), np.array(moved)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_law_norm_from_updates_is_exact_for_equal_and_constant_v(momentum):
    rule = rules.adam(0.02, momentum, 0.999, 0.3, 0, decoupled=True)
    measured, moved = random_walk(rule, 300, units=3, size=20, equal=True)
    predicted = adam.predict_squared_norm_from_updates(rule, moved, measured[0])
    np.testing.assert_allclose(predicted.value, measured, rtol=1e-11)


def test_law_meta_adaptive_norm_and_its_correction():
    """Orthogonal updates at beta = 0; at 0.9 only after multiplying by (1 + beta)/(1 - beta) = 19."""
    ratios = {}
    for momentum, decay in ((0.0, 0.1), (0.9, 0.1), (0.9, 0.0)):
        rule = rules.adam(0.01, momentum, 0.99, decay, 0, decoupled=True)
        measured, moved = random_walk(rule, 1500)
        for closure in adam.CLOSURES:
            predicted = adam.predict_squared_norm_from_updates(rule, moved, measured[0], closure).value
            ratios[momentum, decay, closure] = (measured / predicted).mean(1)
            ratios[momentum, decay, closure, "growth"] = ((measured - 1) / (predicted - 1))[-1].mean()
    assert ratios[0.0, 0.1, "orthogonal"] == pytest.approx(1, abs=0.01)
    assert ratios[0.9, 0.1, "orthogonal"][-1] > 10
    assert ratios[0.9, 0.1, "relaxed"][-1] == pytest.approx(1, abs=0.03)
    assert ratios[0.9, 0.1, "charge"] == pytest.approx(1, abs=0.05)
    assert ratios[0.9, 0.0, "orthogonal", "growth"] == pytest.approx(19, rel=0.03)


def test_law_relaxed_closure_settles_at_the_equilibrium_of_adamw():
    """White gradients have |U|^2 = eta^2 C (1 - beta)/(1 + beta); without the correction the norm is 4.4 times off."""
    rule, size = rules.adam(0.01, 0.9, 0.999, 0.1, 0, decoupled=True), 50
    moved = np.full(20_000, rule.learning_rate**2 * size * 0.1 / 1.9)
    settled = [adam.predict_squared_norm_from_updates(rule, moved, 1.0, c).value[-1] for c in ("relaxed", "orthogonal")]
    assert settled[0] == pytest.approx(squared_norm(rule, size=size), rel=1e-3)
    assert np.sqrt(settled[0] / settled[1]) == pytest.approx(np.sqrt(19), rel=1e-6)


def test_law_one_stage_is_adam_and_two_stages_are_adam_of_adam():
    random = np.random.default_rng(0)
    gradients = random.normal(size=(30, 4))
    start = random.normal(size=4)

    def run(rule):
        feed = iter(gradients)
        return rules.iterate(rule, lambda _: next(feed), start, len(gradients)).position

    one, adamw = rules.k_adam(0.1, (0.9,), (0.99,), 0.2), rules.adam(0.1, 0.9, 0.99, 0.2, decoupled=True)
    np.testing.assert_array_equal(run(one), run(adamw))
    inner = updates(0.9, 0.99, gradients)
    outer = updates(0.5, 0.8, inner)
    expected = [start]
    for update in outer:
        expected.append(expected[-1] * (1 - 0.1 * 0.2) - 0.1 * update)
    np.testing.assert_allclose(run(rules.k_adam(0.1, (0.9, 0.5), (0.99, 0.8), 0.2, 0)), expected, rtol=1e-12)


@settings(deadline=None, max_examples=30)
@given(momenta, decays, momenta, decays, st.integers(0, 2**32 - 1))
def test_law_the_last_stage_alone_bounds_the_update_of_k_adam(beta1, rho1, beta2, rho2, seed):
    steps = 20
    gradients = np.random.default_rng(seed).normal(size=(steps, 30)) * np.exp(np.linspace(0, 3, steps))[:, None]
    feed = iter(gradients)
    rule = rules.k_adam(1.0, (beta1, beta2), (rho1, rho2), 0, 0)
    found = -np.diff(rules.iterate(rule, lambda _: next(feed), np.zeros(30), steps).position, axis=0)
    assert np.all(np.abs(found).max(1) <= adam.largest_update(beta2, rho2, np.arange(1, steps + 1)) * (1 + 1e-9))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: adam.largest_update(1.0, 0.9), r"expected momentum in \[0, 1\)"),
        (lambda: adam.largest_update(0.9, 1.0), "change the one outside"),
        (lambda: adam.largest_update(0.9, 0.99, 0), "steps >= 1"),
        (lambda: rules.k_adam(0.1, (0.9,), (0.9, 0.99)), "got 1 and 2"),
        (lambda: rules.k_adam(0.1, (), ()), "got 0 and 0"),
        (lambda: rules.k_adam(0.1, (1.5,), (0.9,)), r"expected momentum to be a number in \[0, 1\), got 1.5"),
    ],
)
def test_errors_of_adam(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("rule", "moved", "closure", "message"),
    [
        (rules.heavy_ball(0.1), np.ones(3), "charge", "expected Adam with decoupled decay, got heavy ball"),
        (rules.adam(0.1), np.ones(3), "charge", "got Adam"),
        (rules.adam(0.1, decoupled=True), np.ones(3), "smooth", "expected closure in"),
        (rules.adam(0.1, decoupled=True), np.ones(()), "charge", "put steps first"),
    ],
)
def test_errors_of_norms_from_updates(rule, moved, closure, message):
    with pytest.raises(ValueError, match=message):
        adam.predict_squared_norm_from_updates(rule, moved, 1.0, closure)
