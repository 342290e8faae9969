"""A linear neuron in closed form, against flows that are run, kernels by definition and searched potentials."""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.optimize import minimize

from nld.errors import InvalidInput
from nld.theory import linear_neuron as law

DELTAS = np.array([-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0])


def flowed(x, y, a, w, time):
    """(a, w) along gradient flow of |X a w - y|^2/2, by an eighth-order method."""

    def slope(_, q):
        back = x.T @ (q[0] * x @ q[1:] - y)
        return -np.concatenate([[q[1:] @ back], q[0] * back])

    return solve_ivp(slope, (0, time[-1]), [a, *w], t_eval=time, method="DOP853", rtol=1e-12, atol=1e-13).y.T


def random_starts(count):
    """Starts of all sizes and signs, with targets; several of these a pass through zero."""
    random = np.random.default_rng(0)
    for _ in range(count):
        sizes = random.choice([0.1, 1, 2], 2)
        yield sizes[0] * random.normal(), sizes[1] * random.normal(size=3), random.normal(size=3)


def test_law_all_weights_of_a_neuron_follow_the_closed_form_from_any_start():
    time, turned = np.linspace(0, 8, 9), 0
    for a, w, target in random_starts(30):
        found = flowed(np.eye(3), target, a, w, time)
        out, into = law.path(time, a, w, target)
        np.testing.assert_allclose(out, found[:, 0], atol=1e-8)
        np.testing.assert_allclose(into, found[:, 1:], atol=1e-8)
        assert np.abs(law.imbalance(out, into) - law.imbalance(a, w)).max() < 1e-9
        turned += out[-1] * a < 0
        ratio = found[:, 1:] @ target / found[:, 0]
        nu = law.alignment(time, ratio[0], float(law.imbalance(a, w)), float(np.linalg.norm(target)))
        np.testing.assert_allclose(nu / (1 + np.abs(ratio)), ratio / (1 + np.abs(ratio)), atol=1e-8)
    assert turned > 2


def test_law_a_neuron_without_output_weight_and_one_that_waits_long_have_paths_too():
    out, into = law.path([0.0, 3.0], 0.0, [0.3, 0.2], [1.0, 0.0])
    found = flowed(np.eye(2), np.array([1.0, 0]), 0.0, [0.3, 0.2], np.array([0.0, 3.0]))
    np.testing.assert_allclose(np.c_[out, into], found, atol=1e-9)
    out, into = law.path([1e4], 0.5, [0.0, 2.0], [1.0, 0.0])
    np.testing.assert_allclose(out * into[:, 0], [1], atol=1e-12)
    with pytest.raises(InvalidInput, match="other than zero"):
        law.path([1.0], 1.0, [1.0, 0.0], [0.0, 0.0])


@pytest.mark.parametrize(
    ("time", "known"),
    [(20.0, [0.871, 0.713, 0.486, 0.200, 0.0501, 0.0124, 0.0015]), (5.0, [0.028, None, None, 0.2, None, None, None])],
)
def test_law_kernel_distances_at_two_times(time, known):
    a, size = law.sizes(1.0, DELTAS)
    first = np.array([-1.0, 0.0])
    found = []
    for delta, out, into in zip(DELTAS, a, size, strict=True):
        end, w = law.path([time], out, into * first, [0.0, 1.0])
        beta = end[:, None] * w
        by_weights = end[0] ** 2 * np.eye(2) + np.outer(w[0], w[0])
        np.testing.assert_allclose(law.mobility(beta, delta)[0], by_weights, atol=1e-9)
        start = out**2 * np.eye(2) + into**2 * np.outer(first, first)
        found.append(float(law.kernel_distance(start, by_weights)))
    for value, expected in zip(found, known, strict=True):
        assert expected is None or value == pytest.approx(expected, abs=5e-4)
    assert (np.diff(found) < 0).all() == (time == 20)


def test_law_the_kernel_distance_of_endless_time():
    a, size = law.sizes(1.0, DELTAS)
    for i, delta in enumerate(DELTAS):
        end, w = law.path([400.0], a[i], [-size[i], 0.0], [0.0, 1.0])
        last = law.mobility(end[:, None] * w, delta)[0]
        far = law.kernel_distance(law.mobility([-1.0, 0.0], delta), last)
        assert law.final_kernel_distance(delta) == pytest.approx(float(far), rel=1e-9)
        square = (delta + np.sqrt(delta**2 + 4)) / 2  # a^2
        assert float(far) == pytest.approx(1 / (2 * square**4 + 2 * square**2 + 1), rel=1e-9)


def test_law_rates_of_layers_are_a_rescaled_start_at_any_step_size():
    random = np.random.default_rng(1)
    a, w = random.normal(), random.normal(size=4)
    rate_a, rate_w = 0.3, 0.02
    out, into, rate = law.equal_rates(a, w, rate_a, rate_w)
    assert law.imbalance(out, into) == pytest.approx((rate_w * a**2 - rate_a * w @ w) / rate, rel=1e-14)
    for _ in range(200):
        x, y = random.normal(size=(3, 4)), random.normal(size=3)  # another batch in each step
        for mine in range(2):
            q_a, q_w = ((a, w), (out, into))[mine]
            back = np.tanh(x.T @ (q_a * x @ q_w - y))  # any gradient of the product
            g_a, g_w = q_w @ back, q_a * back
            if mine == 0:
                a, w = a - rate_a * g_a, w - rate_w * g_w
            else:
                before = law.imbalance(out, into)
                out, into = out - rate * g_a, into - rate * g_w
                moved = law.imbalance(out, into) - before
                assert moved == pytest.approx(law.imbalance_change(rate, g_a, g_w), abs=1e-12)
        np.testing.assert_allclose(a * w, out * into, atol=1e-10)


def test_law_the_potential_is_what_its_gradient_says():
    for delta in DELTAS:
        grown = law.potential(1.3, delta) - law.potential(0.2, delta)
        slope = lambda b, delta=delta: float(law.potential_gradient(np.array([b, 0.0]), delta)[0])  # noqa: E731
        assert grown == pytest.approx(quad(slope, 0.2, 1.3)[0], rel=1e-9)
        beta = np.array([0.6, -0.8, 1.0])
        formula = 1.5 * np.sqrt(np.sqrt(beta @ beta + delta**2 / 4) - delta / 2) * beta / np.linalg.norm(beta)
        np.testing.assert_allclose(law.potential_gradient(beta, delta), formula, rtol=1e-12)


@pytest.mark.parametrize("delta", [-2.0, 0.0, 2.0])
def test_law_a_neuron_ends_at_the_least_potential_of_all_solutions(delta):
    random = np.random.default_rng(2)
    x, first = random.normal(size=(1, 3)), random.normal(size=3)
    y = 0.9 * np.sign(x @ first)  # of one side with the start, so that a keeps its sign
    a, size = law.sizes(np.linalg.norm(first), delta)
    w = size * first / np.linalg.norm(first)
    end = flowed(x, y, a, w, np.linspace(0, 80, 2))[-1]
    beta = end[0] * end[1:]
    assert end[0] > 0
    assert x @ beta == pytest.approx(y, abs=1e-9)
    shortest = np.linalg.pinv(x) @ y
    np.testing.assert_allclose(law.interpolator(a, w, shortest), beta, atol=1e-8)
    null = np.linalg.svd(x)[2][1:]
    tilt = law.potential_gradient(first, delta)

    def tilted(place):
        solution = shortest + place @ null
        return law.potential(np.linalg.norm(solution), delta) - tilt @ solution

    least = minimize(tilted, np.zeros(2), method="BFGS", options={"gtol": 1e-9}).x
    np.testing.assert_allclose(shortest + least @ null, beta, atol=1e-5)
