"""What a run costs in floating-point operations, counted by PyTorch on one forward and backward pass."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from nld.experiment.runs.spec import Experiment
from nld.experiment.training import networks


def training_flops(experiment: Experiment, image: tuple[int, int, int], classes: int) -> float:
    """Floating-point operations of convolutions and matrix products in all steps of a run, evaluations left out.

    Args:
        image: channels, height and width of what it is trained on.
    """
    network = networks.build(experiment.network, image, classes, width=experiment.width, epsilon=1e-5, seed=0)
    images = 2  # batch normalization needs two
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(images, *image)).sum().backward()
    return counter.get_total_flops() / images * experiment.batch_size * experiment.steps
