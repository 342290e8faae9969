"""Networks of the experiments, each a plain function that returns a `torch.nn.Sequential`.

Batch normalizations have ``momentum=1``: their running statistics are those of the last batch seen in training mode.
Evaluation first shows the network a fixed batch of training images, so that what it measures depends on nothing but
the parameters, and a scale-invariant loss is one at step 0 too, where running averages would still be 0 and 1.
Initialization is PyTorch's own: a filter with n inputs has squared norm 1/3 in the mean.

Each has a twin that starts one unit in the last place away. How far twins get from each other shows what rounding does
to a run, for a start one unit away is what other rounding makes of the first step.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from nld.errors import InvalidInput
from nld.results import arithmetic

Network = TypeVar("Network", bound=nn.Module)
Shape = tuple[int, int, int]  # channels, height, width of an image


def _normalized(
    layer: nn.Module, channels: int, epsilon: float, norm: type[_BatchNorm] = nn.BatchNorm2d
) -> list[nn.Module]:
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


def vgg11(image: Shape, classes: int, width: float = 1.0, epsilon: float = 1e-8) -> nn.Sequential:
    """VGG-11 with batch normalization: eight 3×3 convolutions, five poolings, one linear layer.

    Configuration A of Simonyan and Zisserman (2015) without their two hidden linear layers, which hold nine tenths of
    the parameters and no filter; the paper does not say what it uses.

    Raises:
        ValueError: height or width is no multiple of 32.
    """
    channels, height, breadth = image
    if height % 32 or breadth % 32:
        raise InvalidInput(
            f"vgg11 halves its images five times: it needs multiples of 32 pixels, got {height}×{breadth}"
        )
    layers: list[nn.Module] = []
    for out in (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"):
        if out == "pool":
            layers.append(nn.MaxPool2d(2))
            continue
        out = max(1, round(width * int(out)))
        layers += _normalized(nn.Conv2d(channels, out, 3, padding=1, bias=False), out, epsilon)
        channels = out
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * (height // 32) * (breadth // 32), classes))


def mlp(image: Shape, classes: int, width: float = 1.0, epsilon: float = 1e-8) -> nn.Sequential:
    """Two hidden layers of 128 units with batch normalization; a filter is a unit's row of incoming weights."""
    inputs, hidden = math.prod(image), max(1, round(width * 128))
    layers: list[nn.Module] = [nn.Flatten()]
    for _ in range(2):
        layers += _normalized(nn.Linear(inputs, hidden, bias=False), hidden, epsilon, nn.BatchNorm1d)
        inputs = hidden
    return nn.Sequential(*layers, nn.Linear(hidden, classes))


def bare_mlp(image: Shape, classes: int, width: float = 1.0, epsilon: float = 1e-8) -> nn.Sequential:
    """``mlp`` without its normalizations, with biases in their place; ``epsilon`` has nothing to do."""
    inputs, hidden = math.prod(image), max(1, round(width * 128))
    layers = [nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, classes))


class Patches(nn.Module):
    """Image to tokens: square patches, flattened, mapped linearly, with a learned position added."""

    def __init__(self, image: Shape, patch: int, dimension: int):
        super().__init__()
        channels, height, breadth = image
        if height % patch or breadth % patch:
            raise InvalidInput(f"patches of {patch} pixels do not tile {height}×{breadth}")
        self.patch = patch
        self.embed = nn.Linear(channels * patch**2, dimension)
        self.position = nn.Parameter(0.02 * torch.randn(height * breadth // patch**2, dimension))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches = nn.functional.unfold(images, self.patch, stride=self.patch).transpose(1, 2)
        return self.embed(patches) + self.position


class TransformerBlock(nn.Module):
    """Attention and a two-layer perceptron, each with ``norm(dimension)`` before it and a residual connection.

    Queries and keys enter only as ``queryᵀ key``: each head has a GL(d) symmetry.
    """

    def __init__(self, dimension: int, heads: int, norm: Callable[[int], nn.Module]):
        super().__init__()
        self.heads = heads
        self.attention_norm = norm(dimension)
        self.query, self.key, self.value, self.out = (nn.Linear(dimension, dimension, bias=False) for _ in range(4))
        self.perceptron = nn.Sequential(
            norm(dimension),
            nn.Linear(dimension, 2 * dimension),
            nn.ReLU(),
            nn.Linear(2 * dimension, dimension),
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        normalized = self.attention_norm(tokens)
        query, key, value = (
            layer(normalized).unflatten(-1, (self.heads, -1)).transpose(-2, -3)
            for layer in (self.query, self.key, self.value)
        )
        weights = (query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])).softmax(-1)
        tokens = tokens + self.out((weights @ value).transpose(-2, -3).flatten(-2))
        return tokens + self.perceptron(tokens)


class MeanToken(nn.Module):
    """Mean over the tokens."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.mean(-2)


def transformer(image: Shape, classes: int, width: float = 1.0, epsilon: float = 1e-8) -> nn.Sequential:
    """Two transformer blocks of dimension 32, four heads, on patches of an eighth of the width (2 pixels at least)."""
    heads = 4
    dimension = heads * max(1, round(8 * width))
    blocks = [TransformerBlock(dimension, heads, partial(nn.LayerNorm, eps=epsilon)) for _ in range(2)]
    patches = Patches(image, max(2, image[2] // 8), dimension)
    return nn.Sequential(patches, *blocks, MeanToken(), nn.Linear(dimension, classes))


NETWORKS: dict[str, Callable[..., nn.Sequential]] = {
    "bare_mlp": bare_mlp,
    "digits_cnn": digits_cnn,
    "mlp": mlp,
    "transformer": transformer,
    "vgg11": vgg11,
}


def build(
    name: str,
    image: Shape,
    classes: int,
    *,
    width: float,
    epsilon: float,
    seed: int,
    filter_scale: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> nn.Sequential:
    """Network `name` initialized from `seed` on the CPU, so that every device starts from the same numbers.

    Args:
        filter_scale: multiplies the filters in ``dtype``: rounding in a shorter one, amplified by training, would
            hide that the loss does not notice.
        dtype: in which it is trained.

    Raises:
        ValueError: no such network; the message lists them.
    """
    if name not in NETWORKS:
        raise InvalidInput(f"unknown network {name!r}; there are {', '.join(NETWORKS)}")
    network = from_seed(seed, lambda: NETWORKS[name](image, classes, width, epsilon), dtype)
    with torch.no_grad():
        for weight in filter_names(network):
            network.get_parameter(weight).mul_(filter_scale)
    return network


def from_seed(seed: int, make: Callable[[], Network], dtype: torch.dtype = torch.float32) -> Network:
    """The network that ``make`` builds with PyTorch's own random numbers of this seed, on the CPU, in ``dtype``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make().to(dtype)
    for parameter in network.parameters():
        start = parameter.detach()
        start.copy_(torch.as_tensor(arithmetic.moved(start.numpy())))
    return network


def filter_names(network: nn.Module) -> list[str]:
    """Names of the weights whose rows are filters: those that a batch normalization follows directly."""
    names, previous = [], ""
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm) and previous:
            names.append(f"{previous}.weight")
        is_linear = isinstance(module, nn.Conv2d | nn.Linear) and module.bias is None
        previous = name if is_linear else ""
    return names


def filters_and_others(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The weights whose rows are filters, and all other parameters."""
    names = filter_names(network)
    named = dict(network.named_parameters())
    return [named[name] for name in names], [q for name, q in named.items() if name not in names]


def squared_norms(weight: torch.Tensor) -> torch.Tensor:
    """Squared norm of each filter: the sum over all dimensions but the first."""
    return weight.flatten(1).square().sum(1)
