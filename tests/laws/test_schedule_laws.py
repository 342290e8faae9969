"""Weight decay as a schedule: orbits mapped in exact and in 50-digit arithmetic, and the schedule that nld gives."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nld.learning_rules import rules
from nld.theory import schedules
from nld.theory.rotation import rotational_equilibrium

momenta = st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(9, 10), Fraction(99, 100)])
numbers = st.fractions(min_value=Fraction(1, 1000), max_value=1, max_denominator=1000)


def tangential(q, strength):
    """A gradient of degree -1 at right angles to q: that of strength times the polar angle."""
    square = q[0] * q[0] + q[1] * q[1]
    return (-strength * q[1] / square, strength * q[0] / square)


def orbit(q, buffer, rates, beta, k, strengths):
    """Heavy ball by its definition, in whatever arithmetic the arguments are."""
    points = [q]
    for rate, strength in zip(rates, strengths, strict=True):
        g = tangential(q, strength)
        buffer = tuple(beta * b + force + k * x for b, force, x in zip(buffer, g, q, strict=True))
        q = tuple(x - rate * b for x, b in zip(q, buffer, strict=True))
        points.append(q)
    return points


def decayed(rates, beta, k, before):
    """x_n of a weight without gradient, from x_{-1} and x_0 = 1 at the first rate."""
    x, last = [before, 1], rates[0]
    for rate in rates:
        x.append(x[-1] + beta * rate / last * (x[-1] - x[-2]) - rate * k * x[-1])
        last = rate
    return x[1:]


@settings(max_examples=25, deadline=None)
@given(
    momenta,
    st.fractions(0, Fraction(1, 20), max_denominator=1000),
    st.lists(numbers, min_size=5, max_size=5),
    st.lists(st.integers(-3, 3), min_size=5, max_size=5),
)
def test_law_any_schedule_maps_orbits_exactly_from_an_empty_buffer(beta, k, rates, strengths):
    x = decayed(rates, beta, k, 1)
    assume(min(x) > Fraction(1, 100))
    start, empty = (Fraction(3, 5), Fraction(7, 5)), (0, 0)
    traded = [rate / (a * b) for rate, a, b in zip(rates, x[:-1], x[1:], strict=True)]
    with_decay = orbit(start, empty, rates, beta, k, strengths)
    without = orbit(start, empty, traded, beta, 0, strengths)
    assert [tuple(scale * part for part in q) for scale, q in zip(x, without, strict=True)] == with_decay
    found = schedules.exponential_schedule(
        rules.heavy_ball(1.0, float(beta), float(k)), [float(rate) for rate in rates], "empty buffer"
    )
    np.testing.assert_allclose(found.learning_rate, [float(rate) for rate in traded], rtol=1e-11)
    np.testing.assert_allclose(np.exp(-found.log_scale), [float(scale) for scale in x], rtol=1e-11)
    assert found.buffer == 0


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 0.99), st.floats(1e-3, 10), st.floats(1e-6, 0.9), st.sampled_from([1, 0.1, 0.3]))
def test_law_the_eigenvalue_maps_orbits_with_its_buffer(beta, eta, share, factor):
    """50 digits; ``share`` of the largest decay without oscillation, and a rate that falls by ``factor`` half-way."""
    k = share * (1 - beta**0.5) ** 2 / eta
    steps, rule = 12, rules.heavy_ball(eta, beta, k)
    rates = [eta] * (steps // 2) + [eta * factor] * (steps // 2)
    with mpmath.workdps(50):
        b, n, d = mpmath.mpf(beta), mpmath.mpf(eta), mpmath.mpf(k)
        alpha = max(mpmath.polyroots([1, -(1 + b - n * d), b], maxsteps=500, extraprec=500))
        exact = [mpmath.mpf(rate) for rate in rates]
        x = decayed(exact, b, d, 1 / alpha)
        start, strengths = (mpmath.mpf(1), mpmath.mpf(2)), [1, -2, 3, 1] * 3
        first = -(1 - alpha) / (n * alpha)
        traded = [rate / (x[i] * x[i + 1]) for i, rate in enumerate(exact)]
        with_decay = orbit(start, (0, 0), exact, b, d, strengths)
        without = orbit(start, tuple(first * part for part in start), traded, b, 0, strengths)
        for scale, q, p in zip(x, without, with_decay, strict=True):
            assert all(abs(scale * a - c) < mpmath.mpf(10) ** -35 for a, c in zip(q, p, strict=True))
        found = schedules.exponential_schedule(rule, rates)
        np.testing.assert_allclose(found.learning_rate, [float(rate) for rate in traded], rtol=1e-9)
        assert found.buffer == pytest.approx(float(first), rel=1e-9)
        assert schedules.slow_eigenvalue(rule) == pytest.approx(float(alpha), rel=1e-12)
        grown = [float(n * alpha ** (-2 * i - 1)) for i in range(steps // 2)]
        np.testing.assert_allclose(found.learning_rate[: steps // 2], grown, rtol=1e-9)


def square_map(matrix):
    """What a linear map of (q, v) does to (q q, q v, v v), by its definition on products."""
    (a, b), (c, d) = matrix
    return np.array([[a * a, 2 * a * b, b * b], [a * c, a * d + b * c, b * d], [c * c, 2 * c * d, d * d]])


@pytest.mark.parametrize(
    ("eta", "beta", "k"), [(0.5, 0.0, 1e-3), (0.1, 0.9, 2e-3), (0.05, 0.5, 0.3), (0.1, 0.99, 1e-4)]
)
def test_law_alpha_is_the_slow_eigenvalue_of_rule_and_charges(eta, beta, k):
    alpha = schedules.slow_eigenvalue(rules.heavy_ball(eta, beta, k))
    linear = np.array([[1 - eta * k, -eta * beta], [k, beta]])  # (q, buffer) without gradient
    assert max(np.linalg.eigvals(linear)) == pytest.approx(alpha, rel=1e-13)
    # squared norm, charge and kinetic energy: alpha², beta and the square of the fast root
    assert sorted(np.linalg.eigvals(square_map(linear))) == pytest.approx(sorted([(beta / alpha) ** 2, beta, alpha**2]))
    # the recursion of the squared norm with its sources left out has the root of twice the decay, not alpha²
    small = 1e-4 * (1 - beta) ** 2 / eta
    one, two = (schedules.slow_eigenvalue(rules.heavy_ball(eta, beta, decay)) for decay in (small, 2 * small))
    assert one**2 - two == pytest.approx((1 + beta) * (eta * small) ** 2 / (1 - beta) ** 3, rel=0.01)


def test_law_the_growth_settles_to_that_of_the_rate_in_force():
    rule, rates = rules.heavy_ball(0.1, 0.9, 2e-3), np.repeat([0.1, 0.01, 0.3], 400)
    for start in schedules.STARTS:
        growth = np.diff(schedules.exponential_schedule(rule, rates, start).log_scale)
        for last, rate in ((399, 0.1), (799, 0.01), (1199, 0.3)):
            alpha = schedules.slow_eigenvalue(rules.heavy_ball(rate, 0.9, 2e-3))
            assert growth[last] == pytest.approx(-np.log(alpha), rel=1e-12)
    # the schedule that jumps shares the growth between changes and the sum of neither
    jumps = schedules.tapered_schedule(rule, rates)
    exact = schedules.exponential_schedule(rule, rates).learning_rate
    np.testing.assert_allclose(jumps[:400], exact[:400], rtol=1e-12)
    np.testing.assert_allclose(np.diff(np.log(jumps))[-60:], np.diff(np.log(exact))[-60:], atol=1e-12)
    assert 1e-6 < abs(jumps[-1] / exact[-1] - 1) < 0.1


@pytest.mark.parametrize("start", schedules.STARTS)
def test_law_the_library_s_rule_visits_the_same_directions(start):
    """Cosine-like rates, float64, mini-batches: directions and effective rates agree to rounding."""
    steps = 300
    rates = 0.05 * (1 + np.cos(np.pi * np.arange(steps) / steps)) + 1e-3
    rule = rules.heavy_ball(0.1, 0.9, 5e-3)
    found = schedules.exponential_schedule(rule, rates, start)

    def path(rates, k, buffer):
        rng, q = np.random.default_rng(0), np.random.default_rng(1).normal(size=(3, 6))
        state, points = (buffer * q,), [q]
        for rate in rates:
            noise = rng.normal(size=q.shape)
            square = (q * q).sum(1, keepdims=True)
            g = (noise - q * (q * noise).sum(1, keepdims=True) / square) / np.sqrt(square)
            q, state = rules.heavy_ball(rate, 0.9, k).step(q, state, lambda _, g=g: g)
            points.append(q)
        return np.array(points)

    before, after = path(rates, 5e-3, 0.0), path(found.learning_rate, 0.0, found.buffer)
    np.testing.assert_allclose(after, before * np.exp(found.log_scale)[:, None, None], rtol=1e-8, atol=1e-10)
    norm = [np.linalg.norm(points, axis=2) for points in (before, after)]
    effective = [rate[:, None] / (r[:-1] * r[1:]) for rate, r in zip((rates, found.learning_rate), norm, strict=True)]
    np.testing.assert_allclose(*effective, rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: schedules.slow_eigenvalue(rules.heavy_ball(1.0, 0.9, 0.1)),
            r"expected eta k <= .* = 0.00263.*, got 0.1",
        ),
        (lambda: schedules.slow_eigenvalue(rules.adam(0.1)), "expected gradient descent or heavy ball, got Adam"),
        (lambda: schedules.exponential_schedule(rules.heavy_ball(0.1), [0.1, 0.0]), "expected learning rates > 0"),
        (lambda: schedules.exponential_schedule(rules.heavy_ball(0.1), [0.1], "cold"), "expected start to be one of"),
        (
            lambda: schedules.exponential_schedule(rules.heavy_ball(0.1, 0.9, 0.5), [0.1] * 90, "empty buffer"),
            "expected a decay that no weight passes zero under, but at step",
        ),
    ],
)
def test_errors_of_schedules(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@given(st.floats(0, 0.99), st.floats(1e-3, 1), st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_law_doubled_batches_keep_temperature_and_variance(beta, rate, doublings):
    """The two invariants of the source, each by its own formula; and what they keep of a scale-invariant weight."""
    rule, size = rules.heavy_ball(rate, beta, 1e-9 / rate), 2.0**doublings
    found = schedules.doubled_batches(rule, doublings)
    assert found.learning_rate / (size * (1 - found.momentum)) == pytest.approx(rate / (1 - beta), rel=1e-9)
    assert size * (1 - found.momentum**2) == pytest.approx(1 - beta**2, rel=1e-9)
    assert (found.weight_decay, schedules.doubled_batches(rule, 0).momentum) == (
        rule.weight_decay,
        pytest.approx(beta, abs=1e-7),
    )
    before, after = (rotational_equilibrium(r, 1 / s) for r, s in ((rule, 1.0), (found, size)))
    assert after.squared_norm == pytest.approx(before.squared_norm, rel=1e-6)
    # the direction's diffusion for each example: squared angle times memory
    diffusion = [e.angular_step**2 * (1 + r.momentum) / (1 - r.momentum) for e, r in ((before, rule), (after, found))]
    assert diffusion[1] / size == pytest.approx(diffusion[0], rel=1e-6)


def moments(rule, squared_gradient, steps, start=1.0):
    """R = |q|^2, X = <q, buffer> and V = |buffer|^2 of heavy ball in the mean, gradients white, orthogonal to q."""
    eta, beta, k = rule.learning_rate, rule.momentum, rule.weight_decay
    norm, inner, square, rows = start, 0.0, 0.0, [start]
    for _ in range(steps):
        force = squared_gradient / norm
        inner, square = beta * inner + k * norm, beta**2 * square + force + k**2 * norm + 2 * beta * k * inner
        norm, inner = norm - 2 * eta * inner + eta**2 * square, inner - eta * square
        rows.append(norm)
    return np.array(rows)


def test_law_doubled_batches_keep_the_course_of_a_norm_in_examples_and_linear_scaling_does_not_keep_the_buffer():
    """Eight times the batch, one eighth of the steps: the squared norm at equal numbers of examples, transient and all.

    At a fixed rule the norm settles lower by 8^(1/4). The linear rule keeps the temperature alone.
    """
    rule, square, steps, start = rules.heavy_ball(0.1, 0.9, 2e-5), 1.0, 60_000, 400.0
    before = moments(rule, square, steps, start)
    after = moments(schedules.doubled_batches(rule, 3), square / 8, steps // 8, start)
    np.testing.assert_allclose(after, before[::8], rtol=0.02)  # while the longer memory fills, and from then on
    assert before[-1] / start < 0.5
    assert after[-1] == pytest.approx(before[-1], rel=5e-3)
    kept = [rotational_equilibrium(rule, square / size).squared_norm for size in (1, 8)]
    assert kept[1] / kept[0] == pytest.approx(8**-0.5, rel=1e-9)
    linear = rules.heavy_ball(0.8, 0.9, 2e-5)
    assert linear.learning_rate / 8 / (1 - linear.momentum) == pytest.approx(rule.learning_rate / (1 - rule.momentum))
    assert 8 * (1 - linear.momentum**2) == pytest.approx(8 * (1 - rule.momentum**2))


def test_errors_of_doubled_batches():
    with pytest.raises(ValueError, match=r"at least 1 - beta\^2 = 0.19 of the given one, got 2\^-3"):
        schedules.doubled_batches(rules.heavy_ball(0.1, 0.9), -3)
