"""Flows of a ReLU network in the metrics of p, and the balancing of its weights, against naive loops."""

import numpy as np
import pytest

from nld.errors import InvalidInput
from nld.experiment.studies import relu_network
from nld.experiment.studies.linear_chain import matrices
from nld.experiment.studies.weight_balancing import balance, rescaled
from nld.experiment.training.runge_kutta import runge_kutta
from nld.learning_rules.rules import gradient_descent, iterate

NORMS = [(2, 2), (1, 1), (2, 1), (1, 2), (4, 2), (2, 8)]
SIZE, SAMPLES = (5, 8, 3), 200


def layers(widths, seed):
    """Weights with rows of very different sizes."""
    random = np.random.default_rng(seed)
    shapes = list(zip(widths[1:], widths[:-1], strict=True))
    return [np.exp(random.normal(size=(m, 1))) * np.sqrt(2 / n) * random.normal(size=(m, n)) for m, n in shapes]


def naive_norm(weights, p, q):
    total = 0.0
    for w in weights:
        for row in w:
            total += sum(abs(x) ** p for x in row) ** (q / p)
    return total ** (1 / q)


def test_runge_kutta_is_of_order_four():
    ends = [runge_kutta(lambda y: np.array([y[1], -np.sin(y[0])]), np.array([1.0, 0.5]), 2.0, dt) for dt in (0.1, 0.05)]
    exact = runge_kutta(lambda y: np.array([y[1], -np.sin(y[0])]), np.array([1.0, 0.5]), 2.0, 0.002)
    errors = [np.abs(end[-1] - exact[-1]).max() for end in ends]
    assert 14 < errors[0] / errors[1] < 18


def test_the_gradient_is_that_of_the_loss():
    network, q = relu_network.taught_network((4, 6, 5, 2), 30, 1)
    v, step = np.random.default_rng(2).normal(size=q.shape), 1e-6
    slope = (network.loss(q + step * v) - network.loss(q - step * v)) / (2 * step)
    assert network.gradient(q) @ v == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("seed", [0, 1])
def test_each_flow_conserves_the_charge_of_its_metric(seed):
    network, q = relu_network.taught_network(SIZE, SAMPLES, seed)
    for flow in (1, 1.5, 2):
        path = relu_network.mirror_flow(network, q, relu_network.power_potential(q, flow), 4.0, 0.01)
        for p in (1, 1.5, 2):
            drift = np.abs(network.power_charges(path, p) - network.power_charges(q, p)).max()
            assert drift < 1e-4 if p == flow else drift > 0.1


def test_equal_neurons_stay_equal():
    network, q = relu_network.taught_network((4, 8, 2), 64, 0)
    first, last = matrices(q, network.widths)
    first[1], last[:, 1] = first[0], last[:, 0]
    path = iterate(gradient_descent(0.02), network.gradient, q, 300).position
    ((incoming, outgoing),) = network.units(path)
    for part in (incoming, outgoing):  # to the bit: the same sums in the same order
        np.testing.assert_array_equal(part[:, 0], part[:, 1])
    assert np.abs(incoming[-1, 0] - incoming[-1, 2]).max() > 0.1


@pytest.mark.parametrize(("p", "q"), NORMS)
def test_balancing_never_raises_the_norm_and_keeps_the_function(p, q):
    weights = layers((20, 50, 25, 10), 0)
    x = np.random.default_rng(1).normal(size=(16, 20))
    fixed = balance(weights, p, q, 300)
    assert fixed.norm[0] == pytest.approx(naive_norm(weights, p, q), rel=1e-12)
    assert fixed.norm[-1] == pytest.approx(naive_norm(fixed.weights, p, q), rel=1e-12)
    assert np.diff(fixed.norm).max() < 1e-12 * fixed.norm[0]
    assert fixed.imbalance[-1] < 1e-10 < fixed.imbalance[0]
    outputs, after = (relu_network.activations(w, x)[-1] for w in (weights, fixed.weights))
    assert np.abs(after - outputs).max() < 1e-12 * np.abs(outputs).max()
    random = np.random.default_rng(2)
    for size in (1e-3, 1e-1):  # no other network of the same function has a smaller norm
        factors = [np.exp(size * random.normal(size=n)) for n in (50, 25)]
        assert naive_norm(rescaled(fixed.weights, factors), p, q) > fixed.norm[-1]


@pytest.mark.parametrize("power", [1, 2])
def test_a_larger_power_diverges_for_four_of_the_six(power):
    weights, diverged = layers((20, 50, 25, 10), 0), []
    for p, q in NORMS:
        with np.errstate(all="ignore"):
            fixed = balance(weights, p, q, 300, power=1 / (power * max(p, q)))
        diverged += [(p, q)] * (not fixed.imbalance[-1] < 1e-3)
    assert diverged == ([(2, 2), (1, 1), (1, 2), (2, 8)] if power == 1 else [])


@pytest.mark.slow
@pytest.mark.parametrize(("p", "q"), NORMS)
def test_balancing_at_the_size_of_the_prototype(p, q):
    weights = layers((200, 500, 250, 10), 0)
    fixed = balance(weights, p, q, 300)
    assert np.diff(fixed.norm).max() < 1e-12 * fixed.norm[0]
    assert fixed.imbalance[-1] < 1e-10


@pytest.mark.parametrize(
    ("weights", "p", "message"),
    [
        ([np.ones((2, 2)), np.ones((1, 2))], 0, "p > 0 and q > 0, got 0"),
        ([np.array([[1.0, 1.0], [0.0, 0.0]]), np.ones((1, 2))], 2, "both sides of every hidden unit"),
    ],
)
def test_balancing_says_what_it_needs(weights, p, message):
    with pytest.raises(InvalidInput, match=message):
        balance(weights, p, 2, 1)
