"""How well a network has learned."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from nld.experiment.datasets import data


@torch.no_grad()
def accuracy_on_test_images(model: nn.Module) -> float:
    """Share of the clean test images that are recognized, with the batch statistics of all training images."""
    source = data.digits()
    dtype = next(model.parameters()).dtype
    model.train()
    if any(isinstance(module, _BatchNorm) for module in model.modules()):
        model(source.normalized(source.train_images, dtype))
    model.eval()
    outputs = model(source.normalized(source.test_images, dtype))
    model.train()
    return float((outputs.argmax(1) == source.test_labels).double().mean())
