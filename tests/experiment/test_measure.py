"""What is measured of each step agrees with its definition and with the plain training loop."""

import numpy as np
import pytest
import torch

from nld.experiment import Experiment
from nld.experiment.datasets import data
from nld.experiment.runs import run
from nld.experiment.studies.measure import correlation_sum, measure_filters, squared_norms
from nld.experiment.training import batches, networks

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


@pytest.mark.parametrize("window", [1, 2, 5, 6, 100])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_law_correlation_sum_is_a_ratio_of_means_over_the_steps_around(window, shape):
    """A double loop: the steps of a window centred on each step, shorter at both ends."""
    random = np.random.default_rng(0)
    steps, gradients = random.uniform(0.5, 2.0, (2, 12, *shape))
    chi = correlation_sum(steps, gradients, 0.1, 0.8, window)
    assert chi.shape == steps.shape
    for n in range(12):
        around = [m for m in range(12) if abs(m - n) <= window // 2]
        above, below = sum(steps[m] for m in around), sum(gradients[m] for m in around)
        np.testing.assert_allclose(chi[n], above * (1 - 0.8**2) / (0.1**2 * below), rtol=1e-12)


def test_what_is_measured_of_a_step_by_hand():
    """Of two steps of the plain loop: norms, steps, gradients and cosines of every filter."""
    e = BASE.replace(momentum=0.5, weight_decay=0.1, steps=2, epsilon=1e-2)  # an epsilon that leaves cosines
    digits = data.digits()
    for other in (e, e.replace(seed=1)):
        measured = measure_filters([other.replace(seed=2), other]).isel(member=1)
        network = networks.build("digits_cnn", digits.image, 10, width=0.25, epsilon=1e-2, seed=other.seed).double()
        names = networks.filter_names(network)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.5, weight_decay=0.1)
        order = batches.BatchOrder(digits, 16, other.seed, False)
        for step in range(2):
            images, labels = batches.batch(digits, order(step), torch.float64)
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(images), labels)
            loss.backward()
            q = [network.get_parameter(name).detach().clone().flatten(1) for name in names]
            g = [network.get_parameter(name).grad.clone().flatten(1) for name in names]
            optimizer.step()
            d = [network.get_parameter(name).detach().flatten(1) - a for name, a in zip(names, q, strict=True)]
            expected = {
                "squared_norm": [(a * a).sum(1) for a in q],
                "squared_step": [(a * a).sum(1) for a in d],
                "squared_gradient": [(a * a).sum(1) for a in g],
                "cosine": [(a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)) for a, b in zip(q, g, strict=True)],
            }
            for name, values in expected.items():
                np.testing.assert_allclose(measured[name][step], torch.cat(values), rtol=1e-8, atol=1e-14, err_msg=name)
            assert float(measured["batch_loss"][step]) == pytest.approx(loss.item(), rel=1e-10)
        last = [network.get_parameter(name).detach().flatten(1).square().sum(1) for name in names]
        np.testing.assert_allclose(measured["last_squared_norm"], torch.cat(last), rtol=1e-9)
        layers = [name for name, rows in zip(names, q, strict=True) for _ in range(len(rows))]
        assert list(measured.layer.values) == layers
        assert float(abs(measured["cosine"]).max()) > 1e-3


def test_a_member_alone_is_measured_as_among_others(record):
    alone = measure_filters([BASE.replace(seed=1)]).isel(member=0)
    np.testing.assert_allclose(alone["squared_norm"], record["squared_norm"][1], rtol=1e-9)
    assert list(alone.layer.values) == list(record.layer.values)


def test_members_that_differ_in_more_are_refused():
    with pytest.raises(ValueError, match="expected members"):
        measure_filters([BASE, BASE.replace(width=0.5)])
