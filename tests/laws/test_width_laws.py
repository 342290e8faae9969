"""Angles on the way to equilibrium: against walks of white noise, the equilibrium, and powers of the width."""

import numpy as np
import pytest

from nld.learning_rules.rules import adam
from nld.theory.rotation import rotational_equilibrium
from nld.theory.width_laws import angles

BETA = 0.9


def walk(rates, decay, size, start, held, runs=64, seed=0):
    """Mean angle and squared norm of walks whose update is the bias-corrected mean of noise that q has no part in."""
    random = np.random.default_rng(seed)
    q = random.normal(size=(runs, size))
    q *= start / np.linalg.norm(q, axis=1, keepdims=True)
    mean, turned, norms = np.zeros_like(q), [], []
    for n, rate in enumerate(rates):
        noise = random.normal(size=q.shape)
        noise -= q * (noise * q).sum(1, keepdims=True) / (q * q).sum(1, keepdims=True)
        mean = BETA * mean + (1 - BETA) * noise
        after = q - rate * decay * q - rate * mean / (1 - BETA ** (n + 1))
        cosine = (q * after).sum(1) / np.linalg.norm(q, axis=1) / np.linalg.norm(after, axis=1)
        turned.append(np.arccos(cosine).mean())
        norms.append((q * q).sum(1).mean())
        if held:
            after *= start / np.linalg.norm(after, axis=1, keepdims=True)
        q = after
    return np.array(turned), np.array(norms)


@pytest.mark.parametrize(("decay", "held"), [(0.0, False), (3.0, False), (0.0, True), (3.0, True)])
def test_width_laws_follow_walks_of_white_noise(decay, held):
    rates = np.r_[np.full(60, 0.02), np.linspace(0.02, 0.002, 20)]  # a schedule as well
    size, start = 400, 4.0
    predicted, norms = angles(rates, decay, momentum=BETA, size=size, squared_norm=start**2, held=held)
    measured, measured_norms = walk(rates, decay, size, start, held)
    # 64 walks of 400 coordinates leave half a per cent, the projection of the noise 1/800
    np.testing.assert_allclose(measured, predicted, rtol=0.03)
    np.testing.assert_allclose(measured_norms, norms, rtol=0.03)


def test_width_laws_end_in_the_rotational_equilibrium():
    rate, decay, size = 0.01, 2.0, 1024
    turned, norms = angles(np.full(2000, rate), decay, momentum=BETA, size=size, squared_norm=1.0)
    end = rotational_equilibrium(adam(rate, BETA, weight_decay=decay, decoupled=True), size=size)
    assert turned[-1] == pytest.approx(end.angular_step, rel=1e-6)
    assert norms[-1] == pytest.approx(end.squared_norm, rel=1e-9)


@pytest.mark.parametrize(
    ("rate_power", "decay_power", "held", "first", "last"),
    [(-1, 0, False, -0.5, -0.5), (-1, 1, False, -0.5, 0.0), (-0.5, 0, True, 0.0, 0.0), (0, 0, False, 0.5, 0.0)],
)
def test_width_laws_powers_of_the_width(rate_power, decay_power, held, first, last):
    """Started from entries of size 1/sqrt(3 n): coupled, independent and held, and an untouched rate."""
    ends = []
    for width in (64, 256):
        m = width / 64
        rates = np.full(20_000, 0.005 * m**rate_power)
        decay = 0.0 if held else m**decay_power
        turned, _ = angles(rates, decay, momentum=BETA, size=width**2, squared_norm=width / 3, held=held)
        ends.append(turned[[0, -1]])
    slopes = np.log(ends[1] / ends[0]) / np.log(4)
    np.testing.assert_allclose(slopes, [first, last], atol=0.01)
