"""Rotations of a transformer's heads: kept exactly, kept to second order, not kept."""

import numpy as np
import pytest
import torch

from nld.experiment.studies import head_rotation, monitored


@pytest.fixture(scope="module")
def runs():
    end = {"SGD": 0.5, "Adam": 0.03}
    return {name: [head_rotation.turning(name, t / steps, steps) for steps in (8, 16)] for name, t in end.items()}


def test_fig_metric_sgd_does_not_turn_and_adam_does(runs):
    assert runs["SGD"][1].share.max() < 1e-11
    assert runs["SGD"][1].angle < 1e-14
    assert runs["Adam"][1].share.min() > 1e-2
    assert runs["Adam"][1].angle > 0.5 * runs["Adam"][0].angle > 1e-3


@pytest.mark.slow
def test_fig_metric_nesterov_turns_at_second_order():
    coarse, fine = (head_rotation.turning("Nesterov", 1.5 / steps, steps) for steps in (48, 96))
    assert fine.share[2:].min() > 1e-10
    assert np.log2(coarse.angle / fine.angle) == pytest.approx(2, abs=0.2)


def test_fig_metric_general_linear_drift_has_slope_one_under_sgd_and_zero_under_adam(runs):
    slope = {name: np.log2(coarse.drift / fine.drift) for name, (coarse, fine) in runs.items()}
    assert slope["SGD"] == pytest.approx(1, abs=0.3)
    assert slope["Adam"] == pytest.approx(0, abs=0.4)


def test_fig_metric_the_rotation_is_a_symmetry_of_the_loss():
    """Turning every head leaves the outputs; the conserved matrix is that of the same heads."""
    model, blocks = monitored.setup("transformer", width=0.5, precision="float64")
    images = torch.randn(4, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        before = model(images)
        for block in head_rotation.heads(blocks):
            turn = torch.linalg.matrix_exp(head_rotation._antisymmetric(torch.randn(block.size, block.size).double()))
            for member in block.members:
                weight, axis = parameters[member.parameter], member.matrix_axis
                view = weight.reshape(member.shape)
                weight.copy_(torch.tensordot(turn, view, dims=([1], [axis])).movedim(0, axis).reshape(weight.shape))
        torch.testing.assert_close(model(images), before, rtol=1e-10, atol=1e-10)


def test_unknown_optimizer_is_said():
    with pytest.raises(ValueError, match=r"expected an optimizer among SGD, .*, got 'sgd'"):
        head_rotation.turning("sgd", 0.1, 1)
