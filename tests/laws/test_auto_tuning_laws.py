"""The self-limiting step: the norm identity and the bounds, for any learning rate, and a form on which they fail."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nld.experiment.studies import auto_tuning as tuned
from nld.learning_rules.rules import gradient_descent, iterate
from nld.theory import auto_tuning


def quotient(q, spectrum):
    return (spectrum * q * q).sum(-1) / (q * q).sum(-1)


@settings(max_examples=40, deadline=None)
@given(st.floats(-3, 5), st.floats(-2, 2), st.integers(0, 100))
def test_law_norm_and_gradients_stay_within_the_bounds(log_rate, log_norm, seed):
    """Any rate, any first norm, any spectrum: the identity, both bounds on the norm and that on the gradient."""
    rng = np.random.default_rng(seed)
    spectrum, rate, steps = rng.uniform(-2, 2, 6), 10.0**log_rate, 150
    start = 10.0**log_norm * tuned.start(6, seed)

    def gradient(q):
        return tuned.unit_gradient(q, spectrum) / np.linalg.norm(q)

    path = iterate(gradient_descent(rate), gradient, start, steps).position
    square, unit = (path**2).sum(1), np.linalg.norm(tuned.unit_gradient(path, spectrum), axis=1)
    counted = square[0] + rate**2 * np.cumsum(unit[:-1] ** 2 / square[:-1])
    np.testing.assert_allclose(square[1:], counted, rtol=1e-11)
    landscape = auto_tuning.rayleigh_landscape(spectrum)
    low, high = auto_tuning.squared_norm_bounds(landscape, rate, square[0], unit[0])
    assert low * (1 - 1e-12) <= square[-1] <= high * (1 + 1e-12)
    bound = auto_tuning.smallest_gradient_bound(landscape, rate, square[0], steps)
    assert unit[:-1].min() <= bound
    # the sharper line of the proof, with the norm that was reached
    assert unit[:-1].min() <= square[-1] / rate / np.sqrt(steps) * (1 + 1e-12)


def test_law_the_norm_can_grow_by_more_than_the_depth_times_the_rate():
    """Why the bound counts the depth twice: at r^2 = S eta, from next to the maximum, one count is not enough."""
    spectrum, start = np.array([0.0, 1.0]), np.array([1e-3, 1.0])
    landscape = auto_tuning.rayleigh_landscape(spectrum)
    square = float(start @ start)
    rate = square / landscape.curvature

    def gradient(q):
        return tuned.unit_gradient(q, spectrum) / np.linalg.norm(q)

    last = iterate(gradient_descent(rate), gradient, start, 400).position[-1]
    grown = last @ last - square
    high = auto_tuning.squared_norm_bounds(landscape, rate, square, 0.0)[1]
    assert 1.02 * rate * landscape.depth < grown <= high - square
    assert high - square == pytest.approx(2 * rate * landscape.depth)


def test_law_the_landscape_of_the_quotient_by_differences_along_random_lines():
    rng = np.random.default_rng(3)
    spectrum, h = rng.uniform(-1, 3, 4), 1e-4
    landscape = auto_tuning.rayleigh_landscape(spectrum)
    q, v = tuned.start(4, 0), rng.normal(size=(3000, 4))
    q = rng.normal(size=(3000, 4))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    v -= q * (q * v).sum(1, keepdims=True)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    way = rng.uniform(0, 2, (3000, 1))
    at = [quotient(q + (way + shift) * v, spectrum) for shift in (-h, 0, h)]
    second = np.abs(at[0] - 2 * at[1] + at[2]) / h**2
    assert 0.6 * landscape.curvature < second.max() <= landscape.curvature + 1e-5
    steepest = np.linalg.norm(tuned.unit_gradient(q, spectrum), axis=1).max()
    assert 0.8 * landscape.steepest < steepest <= landscape.steepest
    assert landscape.depth == pytest.approx(np.ptp(spectrum))


def test_law_the_noise_is_tangential_and_of_mean_square_one():
    rng, size = np.random.default_rng(0), 5
    direction = np.stack([tuned.start(size, seed) for seed in range(3)])
    noise = np.array([tuned._tangential(rng, direction) for _ in range(4000)])
    assert abs((noise * direction).sum(-1)).max() < 1e-14
    np.testing.assert_allclose((noise**2).sum(-1).mean(0), 1, atol=0.04)  # four standard errors


def test_law_unit_gradient_by_differences():
    spectrum, q, h = tuned.eigenvalues(5), 3 * tuned.start(5, 1), 1e-6
    shifts = h * np.eye(5)
    expected = (quotient(q + shifts, spectrum) - quotient(q - shifts, spectrum)) / (2 * h)
    np.testing.assert_allclose(tuned.unit_gradient(q, spectrum) / 3, expected, atol=1e-9)


def test_law_steps_on_the_form_are_those_of_the_rule():
    rates, spectrum = [0.1, 0.9, 1.2], tuned.eigenvalues()
    expected = [
        np.sum(iterate(gradient_descent(rate), lambda q: 2 * spectrum * q, tuned.start(20, 0), 50).position[-1] ** 2)
        for rate in rates
    ]
    np.testing.assert_allclose(tuned.squared_norms_on_the_form(rates, 50), expected, rtol=1e-10)
    assert np.isinf(tuned.squared_norms_on_the_form([10.0], 2000)).all()
