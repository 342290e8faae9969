"""Where training starts: parameters drawn from a seed, and the twin of a start one unit in the last place away.

How far twins get from each other shows what rounding does to a run, for a start one unit away is what other rounding
makes of the first step. ``nld.results.arithmetic.moved`` does the same to an array.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from nld.results import arithmetic

Network = TypeVar("Network", bound=nn.Module)


def from_seed(seed: int, make: Callable[[], Network], dtype: torch.dtype = torch.float32) -> Network:
    """The network that ``make`` builds with PyTorch's own random numbers of this seed, on the CPU, in ``dtype``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make().to(dtype)
    if arithmetic.is_rounding_twin():
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(moved(parameter))
    return network


def moved(values: torch.Tensor) -> torch.Tensor:
    """Initial parameters as they are, or each its next larger number where a twin is asked for."""
    if not arithmetic.is_rounding_twin():
        return values
    return torch.nextafter(values, torch.full_like(values, torch.inf))
