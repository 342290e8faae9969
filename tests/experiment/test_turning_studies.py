"""Studies of which units turn and how: their symmetries, by what angle, and the cosine that tells them apart."""

import numpy as np
import pytest
import torch

from nld.experiment.datasets import data
from nld.experiment.studies import neuron_rotation, projection_criterion, warm_up
from nld.experiment.training import networks
from nld.experiment.training.batches import BatchOrder, batch
from nld.learning_rules.rules import adam, heavy_ball


@pytest.mark.parametrize("kind", neuron_rotation.KINDS)
def test_law_a_layer_has_one_scale_symmetry_and_standardized_neurons_one_each(kind):
    """By finite factors: outputs do not change when a matrix is multiplied, or one neuron of a standardized one."""
    network = networks.from_seed(0, lambda: neuron_rotation.perceptron(kind), torch.float64)
    images = torch.randn(20, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    before = network(images)
    for name in neuron_rotation.LAYERS:
        weight = network.get_parameter(name).data
        weight *= 1.7
        torch.testing.assert_close(network(images), before, rtol=0, atol=1e-6)  # the epsilon of the normalization
        weight[3] *= 2.5
        changed = float((network(images) - before).detach().abs().max())
        assert changed < 1e-6 if kind == "standardized" else changed > 1e-3
        weight[3] /= 2.5


def test_law_forces_of_a_normalized_layer_add_up_to_zero_and_standardized_neurons_have_none():
    rule = heavy_ball(0.1, 0.9, 0.01)
    across, standardized = (neuron_rotation.turn_neurons(rule, kind, [0], steps=40) for kind in neuron_rotation.KINDS)
    radial = across["radial_gradient"]
    assert float(abs(radial.sum("neuron")).max()) < 1e-6 * float(abs(radial).max())
    assert float(abs(standardized["radial_gradient"]).max()) < 1e-9 * float(abs(radial).max())


def test_the_cosine_is_that_of_each_filter_and_of_the_whole():
    """The first step against a gradient of one network by automatic differentiation."""
    found = projection_criterion.cosines(heavy_ball(0.1), "bare_mlp", [3], 1)
    source = data.load("digits")
    network = networks.build("bare_mlp", source.image, source.classes, width=1.0, epsilon=1e-5, seed=3)
    images, labels = batch(source, BatchOrder(source, projection_criterion.BATCH, 3)(0), torch.float32)
    torch.nn.functional.cross_entropy(network(images), labels).backward()
    assert projection_criterion.filters("bare_mlp") == []
    for name, rows in found.items():
        q = network.get_parameter(name)
        cosine = torch.nn.functional.cosine_similarity
        by_filter = cosine(q, q.grad, dim=-1).abs().max() * q.shape[1] ** 0.5
        whole = cosine(q.flatten(), q.grad.flatten(), dim=0).abs() * q.numel() ** 0.5
        np.testing.assert_allclose(rows[0, :, 0], [float(by_filter), float(whole)], rtol=2e-4)


def test_a_warm_up_rises_and_every_schedule_falls_to_zero():
    factors = [warm_up.rate_factor(step, 100, 10) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert np.argmax(factors) == 9
    assert factors[-1] == pytest.approx(0.01)
    assert [warm_up.rate_factor(step, 100, 0) for step in (0, 50)] == [1.0, 0.5]


def test_prescribed_angles_are_taken_and_free_ones_begin_too_large():
    rule = adam(0.1, 0.9, 0.99, 0.01, 1e-8, decoupled=True)
    free, held = (warm_up.train(rule, [0], steps=8, warm_up=0, angle=angle) for angle in (None, 0.02))
    expected = [0.02 * warm_up.rate_factor(step, 8, 0) for step in range(8)]
    np.testing.assert_allclose(np.sqrt(held["squared_angle"].values[:, 0]), expected, rtol=1e-3)
    assert float(free["squared_angle"][0, 0]) ** 0.5 > 0.5
