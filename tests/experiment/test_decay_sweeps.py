"""Linear chains and sweeps of their decay, against finite differences and the transitions that theory states."""

import numpy as np
import pytest

from nld.errors import InvalidInput
from nld.experiment.studies import decay_sweeps
from nld.experiment.studies.decay_sweeps import HysteresisSweep
from nld.experiment.studies.linear_chain import LinearChain
from nld.learning_rules.rules import gradient_descent


def critical(depth):
    """Of a target of norm one and inputs of variance one."""
    return ((depth - 1) / depth) ** ((depth - 1) / (depth + 1)) / depth if depth > 1 else 1.0


def swept(depth, ratios, steps=2000):
    decays = tuple(ratio * critical(depth) for ratio in ratios)
    experiment = HysteresisSweep(decays=decays, hidden_layers=depth, steps=steps, seed=3)
    return decay_sweeps.sweep(experiment)["norm"].values


@pytest.mark.parametrize("correlated", [False, True])
def test_the_gradient_is_that_of_the_mean_squared_error_on_data(correlated):
    random = np.random.default_rng(0)
    x = random.normal(size=(50, 3))
    x = x @ random.normal(size=(3, 3)) if correlated else np.linalg.qr(x)[0] * np.sqrt(50 * 1.7)
    covariance = x.T @ x / 50
    y = random.normal(size=(50, 2))
    target = np.linalg.lstsq(x, y, rcond=None)[0].T
    chain = LinearChain((3, 4, 4, 2), target, covariance if correlated else 1.7)
    q, v, step = chain.start(1, 1.0), random.normal(size=chain.start(1, 1.0).shape), 1e-5

    def loss(point):
        return ((x @ chain.product(point).T - y) ** 2).sum() / 50

    slope = (loss(q + step * v) - loss(q - step * v)) / (2 * step)
    assert chain.gradient(q) @ v == pytest.approx(slope, rel=1e-7)


def test_charges_obey_the_law_in_steps():
    chain, rate, decay = LinearChain((3, 4, 4, 2), np.ones((2, 3))), 0.1, 0.2
    q = chain.start(0, 1.0)
    after, _ = gradient_descent(rate, 2 * decay).step(q, (), chain.gradient)
    g = chain.layers(chain.gradient(q))
    for i, (charge, moved) in enumerate(zip(chain.charges(q), chain.charges(after), strict=True)):
        source = rate**2 * (g[i] @ g[i].T - g[i + 1].T @ g[i + 1])
        np.testing.assert_allclose(moved, (1 - 2 * rate * decay) ** 2 * charge + source, atol=1e-13)
        assert np.abs(source).max() > 1e-3


def test_one_hidden_layer_is_switched_off_little_by_little_and_comes_back():
    ratios = (0.6918, 0.8767, 0.9692, 1.05, 1.2)  # of which theory leaves .3082, .1233, .0308, 0, 0
    found = swept(1, ratios, steps=4000)  # 3 % below the transition a kick grows by e in a time of 8, and takes long
    np.testing.assert_allclose(found, [[0.3082, 0.1233, 0.0308, 0, 0]] * 2, atol=1e-3)


@pytest.mark.parametrize(("depth", "last", "first"), [(2, 1.18, 1.25), (3, 1.38, 1.45)])
def test_more_hidden_layers_are_switched_off_at_once_and_stay_off(depth, last, first):
    raised, lowered = swept(depth, (0.5, 1.0, last, first))
    assert raised[2] > 0.15
    assert raised[3] < 1e-6
    assert raised[1] == pytest.approx((depth - 1) / depth, abs=1e-6)
    assert lowered.max() < 1e-6


def test_two_layers_keep_the_singular_values_above_the_decay():
    random, values = np.random.default_rng(5), np.array([3, 2.5, 1.6, 1, 0.6, 0.25])
    left, right = (np.linalg.qr(random.normal(size=(6, 6)))[0] for _ in range(2))
    decays = np.array([0.1, 0.4, 0.8, 1.3, 2, 2.8, 3.5])
    found = decay_sweeps.singular_values(LinearChain((6, 6, 6), left * values @ right.T), decays, 0.05, 3000)
    assert (found > 1e-6).sum(1).tolist() == [6, 5, 4, 3, 2, 1, 0]
    np.testing.assert_allclose(found, np.maximum(values - decays[:, None], 0), atol=1e-8)


def test_one_hidden_layer_on_digits_switches_at_the_largest_correlation():
    chain = decay_sweeps.digits_chain(1)
    decay = np.linalg.norm(chain.target @ chain.covariance, 2)
    below, above = decay_sweeps.singular_values(chain, [0.95 * decay, 1.05 * decay], 0.05, 4000)[:, 0]
    assert below > 1e-3
    assert above < 1e-9


def test_a_sweep_says_what_it_needs():
    with pytest.raises(InvalidInput, match=r"increasing decays and at least one hidden layer, got \(1.0, 0.5\) and 2"):
        HysteresisSweep(decays=(1.0, 0.5), hidden_layers=2)
    assert HysteresisSweep(decays=(1.0,), hidden_layers=1) == HysteresisSweep(decays=(1.0,), hidden_layers=1)
