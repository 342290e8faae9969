"""The integral laws: oscillators at any damping, their memory, their order, and where they begin to swing."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from nld import symmetry
from nld.learning_rules import rules
from nld.theory import discrete, integral_laws
from nld.theory.integral_laws import Oscillator

OSCILLATORS = {
    "underdamped": Oscillator(0.3, 2.0),
    "just under": Oscillator(1.0, 1.0 + 1e-7),
    "critical": Oscillator(1.0, 1.0),
    "just over": Oscillator(1.0, 1.0 - 1e-7),
    "overdamped": Oscillator(2.0, 0.3),
    "without decay": Oscillator(0.7, 0.0),
    "without friction": Oscillator(0.0, 1.3),
}


def order(error, rate=0.02):
    return np.log2(error(rate) / error(rate / 2))


@pytest.mark.parametrize("name", OSCILLATORS)
@pytest.mark.parametrize(("solution", "start"), [("free", (1, 0)), ("kernel", (0, 1))])
def test_law_free_motion_and_kernel_solve_their_equation(name, solution, start):
    it = OSCILLATORS[name]
    time = np.linspace(0, 8, 33)

    def rate(t, y):
        return [y[1], -2 * it.gamma * y[1] - it.omega**2 * y[0]]

    solved = solve_ivp(rate, (0, 8), start, "DOP853", time, rtol=1e-12, atol=1e-14).y[0]
    np.testing.assert_allclose(getattr(it, solution)(time), solved, atol=1e-11)


@pytest.mark.parametrize("solution", ["free", "kernel"])
def test_law_three_regimes_are_one_function_at_the_critical_point(solution):
    """A regime one millionth away differs from the critical one by a millionth, not by the 0/0 of the textbook."""
    time = np.linspace(0, 20, 200)
    critical = getattr(Oscillator(1.0, 1.0), solution)(time)
    for away in (1e-6, 1e-9, 1e-12):
        for omega in (1 - away, 1 + away):
            assert abs(getattr(Oscillator(1.0, omega), solution)(time) - critical).max() < 2 * away + 1e-15


@pytest.mark.parametrize("name", OSCILLATORS)
def test_law_solutions_stay_finite(name):
    it, late = OSCILLATORS[name], np.array([1e3, 1e6, 1e9])
    assert np.isfinite(it.free(late)).all()
    assert np.isfinite(it.kernel(late)).all()
    assert abs(it.free(late)).max() <= 1


def test_law_regimes_change_at_the_critical_weight_decay():
    for kind, degree in integral_laws.DEGREE.items():
        rule = rules.heavy_ball(0.05, 0.9)
        critical = integral_laws.critical_weight_decay(rule, kind)
        assert critical == pytest.approx((1 - 0.9) ** 2 / (2 * degree * 0.05 * 1.9), rel=1e-14)
        for factor, regime in ((0.999, "overdamped"), (1.001, "underdamped")):
            near = rules.heavy_ball(0.05, 0.9, factor * critical)
            assert integral_laws.oscillator(near, kind).regime == regime


def test_law_continuous_time_has_the_right_threshold_for_long_momentum_only():
    def ratio(beta):
        rule = rules.heavy_ball(0.05, beta)
        return integral_laws.critical_weight_decay(rule, "translation") / ((1 - math.sqrt(beta)) ** 2 / 0.05)

    assert ratio(0.0) == pytest.approx(0.5)
    assert ratio(0.9) == pytest.approx(1, abs=1e-3)
    assert ratio(0.99) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("eta", "beta", "k"), [(0.05, 0.9, 2e-3), (0.05, 0.99, 5e-3), (0.1, 0.0, 0.3)])
def test_law_translation_in_steps_is_a_sum_of_powers_of_the_roots(eta, beta, k):
    rule = rules.heavy_ball(eta, beta, k)
    value = discrete.predict_linear_charge_in_steps(rule, 400, [1.0, -0.3]).value
    slow, fast = sorted(np.roots([1, -(1 + beta - eta * k), beta]) + 0j, key=abs, reverse=True)
    weight = (1 - eta * k - fast) / (slow - fast)  # the first step from an empty buffer is -eta k x
    n = np.arange(401)
    closed = np.real(weight * slow**n + (1 - weight) * fast**n)
    np.testing.assert_allclose(value, np.multiply.outer(closed, [1.0, -0.3]), atol=1e-13)
    # by the learning rule itself, which knows nothing of charges: one weight that the loss does not see
    by_rule = rules.iterate(rule, np.zeros_like, [1.0, -0.3], 400).position
    np.testing.assert_allclose(value, by_rule, atol=1e-13)


def test_law_slow_root_is_the_slow_exponential():
    rule = rules.heavy_ball(0.05, 0.9, 2e-3)
    it = integral_laws.oscillator(rule, "translation")
    slow = max(np.roots([1, -(1 + 0.9 - 0.05 * 2e-3), 0.9]))
    assert slow == pytest.approx(0.9989908248, abs=5e-11)
    plus = -it.gamma + math.sqrt(it.gamma**2 - it.omega**2)
    assert math.exp(plus * 0.05) == pytest.approx(0.9989908247, abs=5e-11)


@pytest.mark.parametrize(("eta", "beta", "k"), [(0.05, 0.99, 5e-3), (0.02, 0.9, 1e-3), (0.25, 0.5, 1 / 6)])
def test_law_memory_is_the_convolution_with_the_kernel(eta, beta, k):
    """Advanced step by step in the library; here the integral as it is written, by Gauss' quadrature."""
    rng = np.random.default_rng(3)
    rule, steps = rules.heavy_ball(eta, beta, k), 60
    speed, start = rng.normal(size=(steps, 2)), np.array([0.4, -0.2])
    it = integral_laws.oscillator(rule, "rescale")
    kick = integral_laws.first_velocity(rule, "rescale", start)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    lag = (np.arange(steps)[:, None] + (1 - nodes) / 2) * eta  # from within step j to the end of step j + lag
    answer = it.kernel(lag) @ weights * eta / 2
    time = eta * np.arange(steps + 1)
    expected = np.multiply.outer(it.free(time), start) + np.multiply.outer(it.kernel(time), kick)
    for n in range(1, steps + 1):
        expected[n] += 2 * answer[:n][::-1] @ speed[:n]
    found = integral_laws.predict_charge(rule, "rescale", speed, start, kick)
    np.testing.assert_allclose(found.value, expected, atol=1e-12 * abs(expected).max())


@pytest.mark.parametrize("beta", [0.0, 0.9])
@pytest.mark.parametrize("kind", ["translation", "scale", "rescale"])
def test_law_the_start_at_rest_costs_an_order(kind, beta):
    """Along descent in (q1 - q2 - 1)^2, (q1/q2 - 1)^2 or (q1 q2 - 1)^2, predicted from measured velocities."""
    families = {"translation": symmetry.translation((1, 1)), "scale": symmetry.scale(), "rescale": symmetry.rescale()}
    sign = np.array([1, -1 if kind == "rescale" else 1])

    def gradient(q):
        a, b = q
        level, slope = {
            "translation": (a - b, (1, -1)),
            "scale": (a / b, (1 / b, -a / b**2)),
            "rescale": (a * b, (b, a)),
        }[kind]
        return 2 * (level - 1) * np.array(slope)

    def error(started, eta):
        rule, steps = rules.heavy_ball(eta, beta, 0.05), round(2 / eta)
        q = rules.iterate(rule, gradient, [0.6, 1.8], steps).position
        assert abs(np.dot(gradient(q[0]), np.array(families[kind].generator(q[0])))) < 1e-14
        measured = q.sum(1) if kind == "translation" else q**2 @ sign
        velocity = (np.diff(q, axis=0) / eta) ** 2 @ sign
        start = integral_laws.first_velocity(rule, kind, measured[0]) if started else 0.0
        law = integral_laws.predict_charge(rule, kind, velocity, measured[0], start).value
        return abs(law - measured)[-1]

    fine = 0.01 if beta == 0 else 0.00125
    assert order(lambda eta: error(False, eta), fine) == pytest.approx(1, abs=0.15)
    assert order(lambda eta: error(True, eta), fine) == pytest.approx(2, abs=0.15)


def test_law_gradient_flow_is_the_limit_of_small_steps_without_a_drive():
    def error(eta):
        rule, steps = rules.heavy_ball(eta, 0.5, 0.05), round(8 / eta)
        flow = integral_laws.predict_charge_of_gradient_flow(rule, "scale", steps, 1.0).value
        return abs(flow - discrete.predict_quadratic_charge_from_steps(rule, np.zeros(steps), 1.0).value).max()

    assert order(error) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda rule: integral_laws.oscillator(rule, "rotation"), "expected a symmetry with a charge .* 'rotation'"),
        (lambda rule: integral_laws.predict_charge(rule, "scale", [np.nan], 1.0), "expected finite"),
        (lambda _: discrete.predict_linear_charge_in_steps(rules.adam(0.1), 3, 1.0), "got Adam"),
        (lambda _: discrete.predict_linear_charge_in_steps(rules.nesterov(0.1), 3, 1.0), "got Nesterov"),
    ],
)
def test_errors_of_the_integral_laws(make, message):
    with pytest.raises(ValueError, match=message):
        make(rules.heavy_ball(0.1))
