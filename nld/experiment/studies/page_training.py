"""A network small enough to be trained in a page: what PyTorch makes of it, draw for draw.

A script of the book trains the same network in the browser. Both draw weights and batches from ``uniform``, whose
integers of 32 bits are the same in every language, and compute in float64.
"""

import math
from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
import xarray as xr
from torch import nn

from nld.experiment.datasets import data
from nld.experiment.training.loop import FixedNorms, training
from nld.finder import find_symmetries
from nld.monitor import Monitor

STEPS, BATCH, FILTERS = 1000, 64, 32
FILTER = "0.weight"
EPSILON = 1e-8  # added to the variance, as in the book's other networks
MEASURED = ("charge", "squared_norm", "squared_step", "squared_gradient")
_WORD = 0xFFFFFFFF


def uniform(seed: int) -> Iterator[float]:
    """Numbers in [0, 1), multiples of 2⁻³²: Mulberry32, a counter in steps of 0x6D2B79F5 with its bits mixed."""
    state = seed
    while True:
        state = (state + 0x6D2B79F5) & _WORD
        mixed = ((state ^ (state >> 15)) * (state | 1)) & _WORD
        mixed ^= (mixed + ((mixed ^ (mixed >> 7)) * (mixed | 61) & _WORD)) & _WORD
        yield ((mixed ^ (mixed >> 14)) & _WORD) / 2**32


def two_layers(filter_scale: float = 1.0, seed: int = 0) -> nn.Sequential:
    """64 pixels, 32 filters with batch normalization, ReLU, 10 classes; uniform weights within ±1/√n of n inputs.

    Args:
        filter_scale: multiplies the filters.
    """
    source = data.digits()
    pixels, drawn = math.prod(source.image), uniform(2 * seed)
    network = nn.Sequential(
        nn.Linear(pixels, FILTERS, bias=False),
        nn.BatchNorm1d(FILTERS, eps=EPSILON),
        nn.ReLU(),
        nn.Linear(FILTERS, source.classes),
    ).double()
    with torch.no_grad():
        for name, inputs in ((FILTER, pixels), ("3.weight", FILTERS), ("3.bias", FILTERS)):
            parameter = network.get_parameter(name)
            draws = torch.tensor(list(islice(drawn, parameter.numel())), dtype=torch.float64)
            parameter.copy_(((2 * draws - 1) * (1 / math.sqrt(inputs))).view_as(parameter))
        network.get_parameter(FILTER).mul_(filter_scale)
    return network


def batches(steps: int, seed: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Images (batch × pixels, normalized) and labels of each step, drawn from all training images with replacement."""
    source, drawn = data.digits(), uniform(2 * seed + 1)
    images = source.normalized(source.train_images, torch.float64).flatten(1)
    for _ in range(steps):
        chosen = [math.floor(u * len(images)) for u in islice(drawn, BATCH)]
        yield images[chosen], source.train_labels[chosen]


def train_two_layers(
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    filter_scale: float = 1.0,
    hold_norms: bool = False,
    *,
    steps: int = STEPS,
    seed: int = 0,
) -> xr.Dataset:
    """Train by ``torch.optim.SGD`` with the monitor attached.

    Args:
        hold_norms: whether each filter is scaled back to the norm it had at first, after every step.

    Returns:
        Dataset with ``loss`` (step), of the batch before the step, the monitor's MEASURED of the filters' scale
        symmetry (step, filter), and ``last_squared_norm`` (filter).
    """
    network = two_layers(filter_scale, seed)
    optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=momentum, weight_decay=weight_decay)
    example = next(batches(1, seed))[0]
    blocks = [block for block in find_symmetries(network, example, nn.CrossEntropyLoss()) if block.kind == "scale"]
    constraint = FixedNorms([network.get_parameter(FILTER)]) if hold_norms else None
    losses = []
    with Monitor(network, optimizer, blocks) as monitor:
        for step in training(network, optimizer, batches(steps, seed), constraint=constraint):
            losses.append(float(step.loss))
    record = monitor.record().isel(block=0)
    last = network.get_parameter(FILTER).detach().square().sum(1).numpy()
    return xr.Dataset(
        {
            "loss": ("step", np.array(losses), {"units": "ℓ"}),
            **{name: (("step", "filter"), record[name].values, record[name].attrs) for name in MEASURED},
            "last_squared_norm": ("filter", last, {"units": "w²"}),
        }
    )
