"""What is measured of each step agrees with its definition and with the plain training loop."""

import numpy as np
import pytest

from nld.experiment import Experiment, run
from nld.experiment.measure import correlation_sum, measure_filters, squared_norms

BASE = Experiment(steps=6, evaluate_every=1, width=0.25, batch_size=16, precision="float64", epsilon=1e-12)


@pytest.fixture(scope="module")
def record():
    return measure_filters([BASE.replace(momentum=0.0, weight_decay=0.0), BASE.replace(seed=1)])


def test_norms_are_those_of_the_plain_loop(record):
    alone = run(BASE.replace(seed=1))
    np.testing.assert_allclose(squared_norms(record)[1], alone["squared_norm"], rtol=1e-9)
    np.testing.assert_allclose(record["batch_loss"][1], alone["batch_loss"], rtol=1e-9)


def test_steps_of_plain_descent_are_gradients(record):
    plain = record.isel(member=0)
    np.testing.assert_allclose(
        plain["squared_step"], BASE.learning_rate**2 * plain["squared_gradient"], rtol=1e-9, atol=1e-20
    )
    assert float(np.abs(record["cosine"]).max()) < 1e-8


def test_weight_decay_is_not_in_the_gradient():
    """In the first step the gradient is the same with any weight decay."""
    some, none = measure_filters([BASE.replace(weight_decay=k, steps=1) for k in (0.0, 0.5)])["squared_gradient"]
    np.testing.assert_allclose(some, none, rtol=1e-12)


@pytest.mark.parametrize("correlation", [0.0, 0.5, -0.5])
def test_correlation_sum_of_known_gradients(correlation):
    """chi = (1 + beta c)/(1 - beta c) for gradients of correlation c."""
    random, momentum, eta = np.random.default_rng(0), 0.8, 0.1
    gradient, buffer, rows = random.normal(size=2000), np.zeros(2000), []
    for _ in range(400):
        gradient = correlation * gradient + np.sqrt(1 - correlation**2) * random.normal(size=2000)
        buffer = momentum * buffer + gradient
        rows.append((eta**2 * buffer @ buffer, gradient @ gradient))
    steps, gradients = np.array(rows).T
    chi = correlation_sum(steps, gradients, eta, momentum, window=100)
    law = (1 + momentum * correlation) / (1 - momentum * correlation)
    assert chi.shape == steps.shape
    assert chi[200] == pytest.approx(law, rel=0.02)


def test_members_that_differ_in_more_are_refused():
    with pytest.raises(ValueError, match="expected members"):
        measure_filters([BASE, BASE.replace(width=0.5)])
