"""Closed forms against mpmath's forty digits, their limits and what they refuse."""

import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from nld.learning_rules import rules
from nld.theory import solutions

mp.mp.dps = 40
CASES = [
    (seed, *case)
    for seed, case in enumerate(
        [(0.1, 0.9, 5e-4), (0.3, 0.0, 0.02), (0.05, 0.99, 0.3), (1.0, 0.5, 0.0), (0.9, 0.95, 1.1)]
    )
]
STEPS = 75  # several blocks and a rest


def drawn(seed, units=3):
    rng = np.random.default_rng(seed)
    return rng.lognormal(size=(STEPS, units)), rng.uniform(0.5, 2, units)


def memory(source, start, rate, gain, step):
    """e^{-rate t} y(0) + gain int e^{-rate (t - s)} source ds for constant pieces, term by term, in mpmath."""
    rate, gain, step = mp.mpf(rate), mp.mpf(gain), mp.mpf(step)

    def piece(n, j):
        if rate == 0:
            return step
        return (mp.exp(-rate * step * (n - j - 1)) - mp.exp(-rate * step * (n - j))) / rate

    return [
        mp.exp(-rate * step * n) * start + gain * mp.fsum(piece(n, j) * mp.mpf(source[j]) for j in range(n))
        for n in range(len(source) + 1)
    ]


def relative(actual, expected):
    return max(abs(a - b) / abs(b) for a, b in zip(map(mp.mpf, actual), expected, strict=True))


@pytest.mark.parametrize(("seed", "eta", "beta", "k"), CASES)
@pytest.mark.parametrize("closure", ["smooth", "white", "measured"])
def test_law_squared_norm_to_twelve_digits(seed, eta, beta, k, closure):
    source, start = drawn(seed)
    rule = rules.heavy_ball(eta, beta, k)
    chi = np.random.default_rng(seed + 100).uniform(0.5, 3, source.shape)
    predicted = solutions.predict_squared_norm(rule, source, start, chi if closure == "measured" else closure).value
    eta, beta, k = map(mp.mpf, (eta, beta, k))
    weights = {"smooth": (1 + beta) / (1 - beta) * np.ones_like(source), "white": np.ones_like(source), "measured": chi}
    drive = [mp.mpf(a) * mp.mpf(b) for a, b in zip(weights[closure][:, 1], source[:, 1], strict=True)]
    fourth = memory(drive, mp.mpf(start[1]) ** 2, 4 * k / (1 - beta), 2 * eta / (1 - beta) ** 2, eta)
    assert relative(predicted[:, 1], [mp.sqrt(y) for y in fourth]) < 1e-12


@pytest.mark.parametrize(("seed", "eta", "beta", "k"), CASES)
def test_law_measured_gradients_to_twelve_digits(seed, eta, beta, k):
    source, start = drawn(seed)
    rule = rules.heavy_ball(eta, beta, k)
    predicted = solutions.predict_squared_norm(rule, source, start, "white", gradient_at="current").value[:, 0]
    eta, beta, k = map(mp.mpf, (eta, beta, k))
    assert (
        relative(predicted, memory(source[:, 0], mp.mpf(start[0]), 2 * k / (1 - beta), eta / (1 - beta) ** 2, eta))
        < 1e-12
    )


@pytest.mark.parametrize(("seed", "eta", "beta", "k"), CASES)
def test_law_root_mean_square_to_twelve_digits(seed, eta, beta, k):
    source, start = drawn(seed)
    predicted = solutions.predict_root_mean_square(eta, beta, source, start).value[:, 2]
    rate = (1 - mp.mpf(beta)) / mp.mpf(eta)
    expected = memory(source[:, 2], mp.mpf(start[2]), rate, rate, eta)
    assert relative(predicted, [mp.sqrt(y) for y in expected]) < 1e-12


def oscillator(source, start, eta, beta, k):
    """The textbook forms of a driven oscillator, one branch a damping, in mpmath."""
    eta, beta, k = map(mp.mpf, (eta, beta, k))
    gamma, square = (1 - beta) / (eta * (1 + beta)), 4 * k / (eta * (1 + beta))
    gap = gamma**2 - square

    def free(s):
        if abs(gap) < mp.mpf(10) ** -20:
            return mp.exp(-gamma * s) * (1 + gamma * s)
        if gap < 0:
            omega = mp.sqrt(-gap)
            return mp.exp(-gamma * s) * (mp.cos(omega * s) + gamma / omega * mp.sin(omega * s))
        plus, minus = -gamma + mp.sqrt(gap), -gamma - mp.sqrt(gap)
        return (plus * mp.exp(minus * s) - minus * mp.exp(plus * s)) / (plus - minus)

    def response(s):  # to a unit force since time 0
        if square == 0:
            return s / (2 * gamma) - (1 - mp.exp(-2 * gamma * s)) / (4 * gamma**2)
        return (1 - free(s)) / square

    force = [2 * mp.mpf(x) / (1 - beta**2) for x in source]
    return [
        free(n * eta) * start
        + mp.fsum(force[j] * (response((n - j) * eta) - response((n - j - 1) * eta)) for j in range(n))
        for n in range(len(source) + 1)
    ]


OSCILLATORS = {
    "underdamped": (0.1, 0.9, 0.5),
    "just under": (0.25, 0.5, (0.5**2 / (4 * 0.25 * 1.5)) * (1 + 1e-9)),
    "critical": (0.25, 0.5, mp.mpf(1) / 6),
    "overdamped": (0.1, 0.9, 5e-4),
    "free": (0.2, 0.7, 0.0),
    "no momentum": (0.1, 0.0, 0.3),
}


@pytest.mark.parametrize("name", OSCILLATORS)
def test_law_inertia_to_twelve_digits_at_every_damping(name):
    eta, beta, k = OSCILLATORS[name]
    source, start = drawn(7)
    rule = rules.heavy_ball(eta, beta, float(k))
    predicted = solutions.predict_squared_norm(rule, source, start, "white", gradient_at="current", inertia=True).value
    expected = oscillator(source[:, 1], mp.mpf(start[1]), eta, beta, k)
    scale = max(map(abs, expected))
    error = max(abs(a - b) / scale for a, b in zip(map(mp.mpf, predicted[:, 1]), expected, strict=True))
    assert error < 1e-12


def test_law_translation_charge_is_an_undriven_oscillator():
    for eta, beta, k in [(0.1, 0.9, 0.5), (0.1, 0.9, 5e-4), (0.2, 0.7, 0.0)]:
        value = solutions.predict_linear_charge(rules.heavy_ball(eta, beta, k), STEPS, [2.0, -1.0]).value
        expected = oscillator(np.zeros(STEPS), mp.mpf(-1), eta, beta, mp.mpf(k) / 2)
        np.testing.assert_allclose(value[:, 1], [float(x) for x in expected], atol=1e-13)


def test_law_signed_charges_are_differences_of_norms():
    source, start = drawn(3)
    rule = rules.heavy_ball(0.1, 0.9, 0.01)
    for inertia in (False, True):
        norms = solutions.predict_squared_norm(rule, source, start, gradient_at="current", inertia=inertia).value
        signed = solutions.predict_quadratic_charge(
            rule, source[:, 0] - source[:, 1], start[0] - start[1], inertia=inertia
        ).value
        np.testing.assert_allclose(signed, norms[:, 0] - norms[:, 1], rtol=0, atol=1e-12 * norms.max())


def test_law_inertia_at_unit_norm_approaches_eq16_at_order_two():
    """The nonlinear oscillator against an adaptive solver, for a gradient that varies in time."""

    def error(steps, end=4.0, beta=0.5, k=0.05):
        eta = end / steps
        rule = rules.heavy_ball(eta, beta, k)
        time = (np.arange(steps) + 0.5) * eta
        predicted = solutions.predict_squared_norm(rule, 1 + np.sin(time) ** 2, 1.5, inertia=True).value[-1]
        m, mu = rule.mass, rule.friction

        def rate(t, y):
            return [y[1], (2 * m * (1 + np.sin(t) ** 2) / (mu**2 * y[0]) - 2 * k * y[0] - mu * y[1]) / m]

        exact = solve_ivp(rate, (0, end), [1.5, 0], "Radau", rtol=1e-10, atol=1e-12).y[0, -1]
        return abs(predicted - exact)

    assert np.log2(error(40) / error(80)) > 1.8
    assert error(160) < 1e-4


@pytest.mark.parametrize("k", [0.0, 0.02, 0.1])
def test_law_inertia_at_unit_norm_swings_where_eq16_does(k):
    """Underdamped, with a force that falls steeply in the first steps: past the equilibrium, but never to zero."""
    rule, steps = rules.heavy_ball(0.1, 0.98, k), 300
    found = solutions.predict_squared_norm(rule, np.ones(steps), 1.0, inertia=True).value
    m, mu, times = rule.mass, rule.friction, 0.1 * np.arange(steps + 1)
    exact = solve_ivp(
        lambda t, y: [y[1], (2 * m / (mu**2 * y[0]) - 2 * k * y[0] - mu * y[1]) / m],
        (0, times[-1]), [1.0, 0.0], "DOP853", t_eval=times, rtol=1e-9, atol=1e-12,
    ).y[0]  # fmt: skip
    assert exact.min() >= 1
    np.testing.assert_allclose(found, exact, rtol=0.01)


def test_law_inertia_is_forgotten_as_the_rate_goes_to_zero():
    def gap(steps):
        rule = rules.heavy_ball(2 / steps, 0.5, 0.1)
        source = np.ones(steps)
        with_mass = solutions.predict_squared_norm(rule, source, 1.0, inertia=True).value[-1]
        return abs(with_mass - solutions.predict_squared_norm(rule, source, 1.0).value[-1])

    assert np.log2(gap(100) / gap(200)) == pytest.approx(1, abs=0.4)


@pytest.mark.parametrize("inertia", [False, True])
@pytest.mark.parametrize(("eta", "beta", "k"), [(0.1, 0.99, 9.9), (1e-3, 0.0, 0.0), (0.3, 0.999, 1e-7)])
def test_law_finite_for_a_million_steps(eta, beta, k, inertia):
    source = np.full(1_000_000, 0.7)
    value = solutions.predict_squared_norm(
        rules.heavy_ball(eta, beta, k), source, 2.0, gradient_at="current", inertia=inertia
    ).value
    assert np.isfinite(value).all()
    if k > 1e-3:  # settled: 2 k y = 2 m |q'|^2
        smooth = (1 + beta) / (1 - beta)
        assert value[-1] == pytest.approx(eta * smooth * 0.7 / (1 - beta) / (2 * k), rel=1e-9)


def test_law_units_and_single_series_agree():
    source, start = drawn(4)
    rule = rules.heavy_ball(0.1, 0.9, 0.01)
    together = solutions.predict_squared_norm(rule, source, start)
    alone = solutions.predict_squared_norm(rule, source[:, 2], start[2])
    np.testing.assert_allclose(alone.value, together.value[:, 2], rtol=1e-14)
    np.testing.assert_allclose(alone.time, 0.1 * np.arange(STEPS + 1))
    assert alone.given == ("squared_gradient",)


RULE = rules.heavy_ball(0.1, 0.9, 0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: solutions.predict_squared_norm(RULE, np.ones((2, 3, 4)), 1.0), r"expected squared_gradient of shape"),
        (
            lambda: solutions.predict_squared_norm(RULE, np.ones((5, 3)), np.ones(2)),
            r"expected initial of shape \(3,\)",
        ),
        (lambda: solutions.predict_squared_norm(RULE, [1, np.nan], 1.0), "expected finite squared_gradient"),
        (lambda: solutions.predict_squared_norm(RULE, [1, np.inf], 1.0), "expected finite squared_gradient"),
        (lambda: solutions.predict_squared_norm(RULE, [1, -1.0], 1.0), "expected squared gradients >= 0, got -1.0"),
        (lambda: solutions.predict_squared_norm(RULE, [1.0], 0.0), "expected initial squared norms > 0, got 0.0"),
        (lambda: solutions.predict_squared_norm(RULE, [1.0], 1.0, "pink"), "expected closure"),
        (lambda: solutions.predict_squared_norm(RULE, [1.0], 1.0, np.ones(3)), "expected chi to broadcast"),
        (lambda: solutions.predict_squared_norm(RULE, [1.0], 1.0, -1.0), "expected finite chi >= 0"),
        (lambda: solutions.predict_squared_norm(RULE, [1.0], 1.0, gradient_at="there"), "expected gradient_at"),
        (lambda: solutions.predict_squared_norm(rules.adam(0.1), [1.0], 1.0), "got Adam"),
        (lambda: solutions.predict_squared_norm(rules.nesterov(0.1), [1.0], 1.0), "got Nesterov"),
        (
            lambda: solutions.predict_root_mean_square(0.1, 1.5, [1.0], 1.0),
            r"square_decay in \[0, 1\], got 0.1 and 1.5",
        ),
        (lambda: solutions.predict_root_mean_square(0.1, 0.9, [1.0], -1.0), "expected squares >= 0"),
    ],
)
def test_errors_of_predictions_say_what_was_expected_and_got(make, message):
    with pytest.raises(ValueError, match=message):
        make()
