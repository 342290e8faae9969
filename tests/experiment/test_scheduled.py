"""Training with decay and at the schedule that replaces it: one trajectory, in the network of the book."""

import numpy as np
import pytest
import torch

from nld.experiment.datasets import data
from nld.experiment.studies import scheduled
from nld.experiment.training.batches import BatchOrder
from nld.experiment.training.loop import cross_entropy
from nld.learning_rules.rules import heavy_ball
from nld.theory import schedules

CASES = [(0.5, 0.0, 1e-3), (0.1, 0.9, 1e-3), (0.05, 0.9, 2e-3), (0.1, 0.9, 2e-3)]  # eta, beta, k


def trained(eta, beta, k, steps, **options):
    """With decay; exponential with its buffer; warmed up from an empty one; exponential from an empty one."""
    rule, constant = heavy_ball(eta, beta, k), np.full(steps, eta)
    eigen = schedules.exponential_schedule(rule, constant)
    warm = schedules.exponential_schedule(rule, constant, "empty buffer")
    runs = [
        scheduled.Run(constant, beta, k),
        scheduled.Run(eigen.learning_rate, beta, buffer=eigen.buffer),
        scheduled.Run(warm.learning_rate, beta),
        scheduled.Run(eigen.learning_rate, beta),
    ]
    found = scheduled.train_at_rates(runs, **options)
    return abs(found["loss"] - found["loss"][0]).max("step").values, found, eigen


def check(eta, beta, k, steps):
    difference, found, eigen = trained(eta, beta, k, steps)
    assert difference[:3].max() < 1e-10
    assert found["cosine"].values[:3].max() < 1e-15
    ratio = found["norm"][1] / found["norm"][0]
    np.testing.assert_allclose(ratio, schedules.slow_eigenvalue(heavy_ball(eta, beta, k)) ** -np.arange(steps + 1.0),
                               rtol=1e-9)  # fmt: skip
    np.testing.assert_allclose(ratio, np.exp(eigen.log_scale), rtol=1e-9)
    # the control: without momentum there is no buffer to be wrong
    assert (difference[3] > 1e-3) == (beta > 0)


def test_law_trajectories_with_decay_and_at_the_schedule_are_equal():
    check(0.1, 0.9, 2e-3, 120)


@pytest.mark.slow
@pytest.mark.parametrize(("eta", "beta", "k"), CASES)
def test_law_trajectories_are_equal_over_a_thousand_steps(eta, beta, k):
    check(eta, beta, k, 1000)


def test_law_epsilon_breaks_the_equality():
    exact, _, _ = trained(0.1, 0.9, 2e-3, 40)
    broken, _, _ = trained(0.1, 0.9, 2e-3, 40, epsilon=1e-5)
    assert exact[1] < 1e-12 < 1e-9 < broken[1]


def test_law_every_mini_batch_loss_is_scale_invariant():
    source = data.load("digits")
    images = source.normalized(source.train_images[:64], torch.float64).flatten(1)
    first, second, readout = scheduled.initial_weights(64, 10, 0)
    weights = [w[None].requires_grad_() for w in (first, second)]
    loss = cross_entropy(scheduled.Networks(weights, readout), images, source.train_labels[:64])
    for w, g in zip(weights, torch.autograd.grad(loss.sum(), weights), strict=True):
        cosine = (g * w).sum(2) / (g.norm(dim=2) * w.norm(dim=2))
        assert cosine.abs().max() < 1e-13
    scaled = [3.0 * w for w in weights]
    again = cross_entropy(scheduled.Networks(scaled, readout), images, source.train_labels[:64])
    assert float((again - loss).abs().detach()) < 1e-14


def test_law_the_update_is_pytorch_s():
    """One run against torch.optim.SGD on the same batches."""
    source = data.load("digits")
    images = source.normalized(source.train_images, torch.float64).flatten(1)
    first, second, readout = scheduled.initial_weights(64, 10, 0)
    weights = [w[None].clone().requires_grad_() for w in (first, second)]
    optimizer = torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=2e-3)
    order, losses = BatchOrder(source, 64, 0), []
    for step in range(8):
        choice = order(step)[0]
        optimizer.zero_grad()
        batch = images[choice], source.train_labels[choice]
        loss = cross_entropy(scheduled.Networks(weights, readout), *batch).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    found = scheduled.train_at_rates([scheduled.Run(np.full(8, 0.1), 0.9, 2e-3)])
    np.testing.assert_allclose(found["loss"][0], losses, rtol=1e-13)


def test_errors_of_scheduled_training():
    runs = [scheduled.Run(np.ones(3), 0.9), scheduled.Run(np.ones(4), 0.9)]
    with pytest.raises(ValueError, match=r"expected runs of one length, got \[3, 4\]"):
        scheduled.train_at_rates(runs)
