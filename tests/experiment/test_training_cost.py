"""Operations of a run against a count by hand: 2 a multiplication, twice again backwards, no gradient of the images."""

import pytest
import torch
from torch import nn

from nld.experiment import Experiment
from nld.experiment.studies.training_cost import training_flops
from nld.experiment.training import networks


@pytest.mark.parametrize(("network", "image"), [("digits_cnn", (1, 8, 8)), ("vgg11", (3, 64, 64))])
def test_law_operations_are_those_of_convolutions_and_matrix_products(network, image):
    experiment = Experiment(network=network, width=0.25, steps=7, batch_size=5)
    built = networks.build(network, image, 10, width=0.25, epsilon=1e-5, seed=0)
    forward = []

    def count(module, inputs, output):
        each = module.weight[0].numel() * output[0].numel()  # multiplications of one image
        forward.append(2 * each)

    for module in built.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    built(torch.zeros(2, *image))
    by_hand = (3 * sum(forward) - forward[0]) * 5 * 7
    assert training_flops(experiment, image, 10) == pytest.approx(by_hand, rel=1e-12)
