"""How many conservation laws small networks have, by architecture and flow, and how many their symmetries explain."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn
from torch.func import functional_call

from nld.experiment.training.networks import from_seed
from nld.finder import ConservationLaws, count_conservation_laws, find_symmetries
from nld.table import Table

FLOWS = ("gradient", "momentum", "mirror")
Architecture = tuple[Callable[[], nn.Module], tuple[int, ...]]  # makes a model, and the shape of one input
INPUTS, SEQUENCES = 24, 6  # enough: more change no count


class Residual(nn.Module):
    """Two layers without biases, with or without the input added."""

    def __init__(self, width: int, hidden: int, activation: nn.Module, skip: bool):
        super().__init__()
        self.first, self.second = nn.Linear(width, hidden, bias=False), nn.Linear(hidden, width, bias=False)
        self.activation, self.skip = activation, skip

    def forward(self, x):
        out = self.second(self.activation(self.first(x)))
        return x + out if self.skip else out


class Attention(nn.Module):
    """Softmax attention; each head has its own four maps."""

    def __init__(self, width: int, head: int, heads: int, bias: bool):
        super().__init__()
        names = [f"{name}{number}" for number in range(heads) for name in ("query", "key", "value")]
        self.maps = nn.ModuleDict({name: nn.Linear(width, head, bias=bias) for name in names})
        self.outputs = nn.ModuleList([nn.Linear(head, width, bias=False) for _ in range(heads)])

    def forward(self, x):
        out = 0.0
        for number, output in enumerate(self.outputs):
            query, key, value = (self.maps[f"{name}{number}"](x) for name in ("query", "key", "value"))
            out = out + output(torch.softmax(query @ key.mT, -1) @ value)
        return out


def block(activation: str, *, width: int = 2, hidden: int = 2, skip: bool = False) -> Architecture:
    """U activation(V x), with x added if there is a skip connection; the activation is a class of ``torch.nn``."""
    made = nn.Softmax(-1) if activation == "Softmax" else getattr(nn, activation)()
    return (lambda: Residual(width, hidden, made, skip)), (width,)


def attention(*, width: int = 2, head: int = 1, heads: int = 1, bias: bool = False) -> Architecture:
    """Attention over four tokens."""
    return (lambda: Attention(width, head, heads, bias)), (4, width)


def convolutions(channels: int = 2) -> Architecture:
    """Convolution, ReLU, convolution, without biases."""

    def make() -> nn.Module:
        first, second = nn.Conv1d(1, channels, 2, bias=False), nn.Conv1d(channels, 1, 2, bias=False)
        return nn.Sequential(first, nn.ReLU(), second)

    return make, (1, 4)


ARCHITECTURES: dict[str, Architecture] = {
    "linear": block("Identity"),
    "linear, skip": block("Identity", skip=True),
    "ReLU": block("ReLU"),
    "ReLU, skip": block("ReLU", skip=True),
    "tanh": block("Tanh"),
    "tanh, skip": block("Tanh", skip=True),
    "softmax": block("Softmax"),
    "softmax, skip": block("Softmax", skip=True),
    "convolution, ReLU": convolutions(),
    "attention, head of 1": attention(),
    "attention, head of 2": attention(head=2),
    "attention, two heads": attention(heads=2),
    "attention, biases": attention(bias=True),
}


def laws(architecture: Architecture, flows: Sequence[str] = FLOWS, seed: int = 0) -> dict[str, ConservationLaws]:
    """By flow, the laws of a network at random weights, seen through its outputs on random inputs."""
    make, shape = architecture
    model = from_seed(seed, make, torch.float64)
    number = INPUTS if len(shape) == 1 else SEQUENCES
    inputs = torch.randn(number, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    theta = {name: p.detach() for name, p in model.named_parameters()}
    found = find_symmetries(model, inputs)
    return {
        flow: count_conservation_laws(lambda q: functional_call(model, q, (inputs,)), theta, flow, symmetries=found)
        for flow in flows
    }


def linear_pair(n: int, m: int, r: int, flow: str, seed: int = 0) -> ConservationLaws:
    """The laws of U V^T with r hidden units, seen through the product."""
    random = torch.Generator().manual_seed(seed)
    theta = [torch.randn(size, r, generator=random, dtype=torch.float64) for size in (n, m)]
    return count_conservation_laws(lambda q: q[0] @ q[1].mT, theta, flow)


def table(architectures: Mapping[str, Architecture], seed: int = 0) -> Table:
    """Number of laws by architecture and flow, with "+" where the listed symmetries explain fewer."""

    def cell(count: ConservationLaws) -> str:
        return f"{int(count)}{'' if count.complete else '+'}"

    rows = [(name, *map(cell, laws(each, seed=seed).values())) for name, each in architectures.items()]
    return Table(("architecture", *FLOWS), tuple(rows))
