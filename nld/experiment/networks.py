"""Networks of the experiments, each a plain function that returns a `torch.nn.Sequential`.

Batch normalizations have ``momentum=1``: their running statistics are those of the last batch seen in training mode.
Evaluation first shows the network a fixed batch of training images, so that what it measures depends on nothing but
the parameters, and a scale-invariant loss is one at step 0 too, where running averages would still be 0 and 1.
Initialization is PyTorch's own: a filter with n inputs has squared norm 1/3 in the mean.
"""

from collections.abc import Callable

import torch
from torch import nn

Shape = tuple[int, int, int]  # channels, height, width of an image


def _normalized(layer: nn.Module, channels: int, epsilon: float, norm=nn.BatchNorm2d) -> list[nn.Module]:
    return [layer, norm(channels, eps=epsilon, momentum=1.0), nn.ReLU()]


def digits_cnn(image: Shape, classes: int, width: float = 1.0, epsilon: float = 1e-8) -> nn.Sequential:
    """Three 3×3 convolutions with batch normalization (8, 16 and 32 filters, strides 1, 2, 2) and a linear layer."""
    channels, height, breadth = image
    widths = [max(1, round(width * c)) for c in (8, 16, 32)]
    layers: list[nn.Module] = []
    for out, stride in zip(widths, (1, 2, 2), strict=True):
        convolution = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
        layers += _normalized(convolution, out, epsilon)
        channels = out
    pixels = -(-height // 4) * -(-breadth // 4)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * pixels, classes))


NETWORKS: dict[str, Callable[..., nn.Sequential]] = {"digits_cnn": digits_cnn}


def build(name: str, image: Shape, classes: int, *, width: float, epsilon: float, seed: int) -> nn.Sequential:
    """Network `name` initialized from `seed` on the CPU, so that every device starts from the same numbers.

    Raises:
        ValueError: no such network; the message lists them.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}; there are {', '.join(NETWORKS)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[name](image, classes, width, epsilon)


def filter_names(network: nn.Module) -> list[str]:
    """Names of the weights whose rows are filters: those that a batch normalization follows directly."""
    names, previous = [], ""
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and previous:
            names.append(f"{previous}.weight")
        is_linear = isinstance(module, nn.Conv2d | nn.Linear) and module.bias is None
        previous = name if is_linear else ""
    return names


def squared_norms(weight: torch.Tensor) -> torch.Tensor:
    """Squared norm of each filter: the sum over all dimensions but the first."""
    return weight.flatten(1).square().sum(1)
