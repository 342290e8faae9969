"""Norms behind a rate that falls to zero: the closed form against walks of random gradients and against quadrature."""

import numpy as np
import pytest
from scipy.integrate import quad

from nld.learning_rules.rules import adam, gradient_descent, heavy_ball, rmsprop
from nld.theory.falling_rates import norm_after_linear_decay, remaining_decay


def adamw(rate, decay):
    return adam(rate, 0.9, 0.99, decay, 0, decoupled=True)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("steps", [150, 600])
def test_eq_heavy_ball_lags_behind_its_equilibrium_by_the_closed_form(momentum, steps):
    """Gradients across the weights, of unit size at unit norm, as a scale-invariant loss has them."""
    rate, decay, units = 0.1, 0.02 * (1 - momentum), 64
    random = np.random.default_rng(3)
    q = random.normal(size=(units, 100))
    start = (rate / (2 * decay * (1 - momentum))) ** 0.25
    q *= start / np.linalg.norm(q, axis=1, keepdims=True)
    buffer, before, end = np.zeros_like(q), [], 0.0
    for step in range(-400, steps):
        norm = np.linalg.norm(q, axis=1, keepdims=True)
        noise = random.normal(size=q.shape) / 10
        gradient = (noise - q * (noise * q).sum(1, keepdims=True) / norm**2) / norm
        buffer = momentum * buffer + gradient + decay * q
        q = q - rate * min(1, 1 - step / steps) * buffer
        end = float(np.square(q).sum(1).mean() ** 0.5)
        if -200 <= step < 0:
            before.append(end)
    law = norm_after_linear_decay(heavy_ball(rate, momentum, decay), steps)
    assert end / np.mean(before) == pytest.approx(law, rel=0.015)
    assert law < 0.96


@pytest.mark.parametrize("steps", [100, 1000])
def test_eq_decoupled_decay_lags_by_the_closed_form(steps):
    rate, decay, source = 0.01, 0.5, 3.0
    squared = start = rate * source / (2 * decay)
    for step in range(steps):
        eta = rate * (1 - step / steps)
        law = norm_after_linear_decay(adamw(rate, decay), steps, 1 - step / steps)
        assert (squared / start) ** 0.5 == pytest.approx(law, rel=0.005)
        squared = (1 - eta * decay) ** 2 * squared + eta**2 * source
    assert (squared / start) ** 0.5 == pytest.approx(norm_after_linear_decay(adamw(rate, decay), steps), rel=0.005)


@pytest.mark.parametrize("rule", [adamw(0.01, 0.3), heavy_ball(0.1, 0.5, 0.01), gradient_descent(0.2, 0.03)])
def test_eq_the_error_function_is_the_integral(rule):
    a = remaining_decay(rule, 700)
    power = 0.5 if rule.name == "AdamW" else 0.25
    assert norm_after_linear_decay(rule, 700) == pytest.approx(quad(lambda x: np.exp(-a * x * x), 0, 1)[0] ** power)


def test_without_decay_the_norm_stays_and_other_rules_are_refused():
    assert norm_after_linear_decay(heavy_ball(0.1, 0.9), 100) == 1
    with pytest.raises(ValueError, match="got RMSProp"):
        norm_after_linear_decay(rmsprop(0.1), 100)
    with pytest.raises(ValueError, match="at least one step"):
        norm_after_linear_decay(heavy_ball(0.1), 0)
