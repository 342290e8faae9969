"""Equilibrium laws against simulated random-walk gradients: norms and angles where training settles."""

import numpy as np
import pytest

from nld.learning_rules import rules
from nld.theory import equilibrium

UNITS, SIZE = 40, 100
CASES = {
    "gradient descent": (rules.gradient_descent(0.1, 0.05), 2.0),
    "heavy ball 0.5": (rules.heavy_ball(0.1, 0.5, 0.05), 1.0),
    "heavy ball 0.9": (rules.heavy_ball(0.1, 0.9, 0.01), 1.0),
    "AdamW, no momentum": (rules.adam(0.01, 0.0, 0.99, 0.4, 0, decoupled=True), 1.0),
    "AdamW": (rules.adam(0.01, 0.9, 0.99, 0.1, 0, decoupled=True), 1.0),
    "Adam": (rules.adam(0.01, 0.5, 0.99, 0.05, 0), 4.0),
}


def simulate(rule, squared_gradient, steps=2500):
    """Mean |q|^2 and rms angle of the second half, for white gradients tangential to q, of given length at |q| = 1."""
    rng = np.random.default_rng(0)
    start = np.sqrt(equilibrium.squared_norm(rule, squared_gradient, SIZE) / SIZE)
    q, state = start * rng.normal(size=(UNITS, SIZE)), ()
    norms, turns = [], []
    for _ in range(steps):
        g = rng.normal(size=q.shape) * np.sqrt(squared_gradient / SIZE)
        square = (q * q).sum(1, keepdims=True)
        g = (g - q * (q * g).sum(1, keepdims=True) / square) / np.sqrt(square)
        moved, state = rule.step(q, state, lambda _, g=g: g)
        turns.append(((moved - q) ** 2).sum(1) / square[:, 0])
        norms.append(square[:, 0])
        q = moved
    half = steps // 2
    return np.mean(norms[half:]), np.sqrt(np.mean(turns[half:]))


@pytest.mark.parametrize("name", CASES)
def test_law_norm_and_angle_settle_where_the_law_says(name):
    rule, squared_gradient = CASES[name]
    norm, turn = simulate(rule, squared_gradient)
    assert norm == pytest.approx(equilibrium.squared_norm(rule, squared_gradient, SIZE), rel=0.04)
    assert turn == pytest.approx(equilibrium.angular_step(rule, squared_gradient, SIZE), rel=0.03)


def test_law_smooth_gradients_settle_at_the_paper_s_norm():
    """The stationary point of Eq 17: r^4 = eta (1 + beta) |g^|^2/(2 k (1 - beta)^2)."""
    rule = rules.heavy_ball(0.1, 0.9, 0.01)
    expected = np.sqrt(0.1 * 1.9 * 3.0 / (2 * 0.01 * 0.1**2))
    assert equilibrium.squared_norm(rule, 3.0, chi=19.0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: equilibrium.squared_norm(rules.heavy_ball(0.1), 1.0), "expected weight_decay > 0, got 0"),
        (lambda: equilibrium.squared_norm(rules.heavy_ball(0.1, 0.9, 0.1)), "expected squared_gradient"),
        (lambda: equilibrium.squared_norm(rules.adam(0.1, weight_decay=0.1), 1.0), "expected size"),
    ],
)
def test_errors_of_equilibrium(make, message):
    with pytest.raises(ValueError, match=message):
        make()
