"""Gradient flow of a network's parameters, by Runge and Kutta's method, which reports the order that it had."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from nld.errors import InvalidInput
from nld.experiment.training.runge_kutta import runge_kutta


@dataclass(frozen=True, eq=False)
class GradientFlow:
    """Positions along q' = -grad L(q).

    Args:
        time: of the positions, in w²/ℓ, shape (times).
        position: by name of the parameter, in w, shape (times, ...).
        order: at which the error fell with the step, from three runs; near 4 where the loss is smooth along the way,
            and less where the path crosses kinks or the step is too long.
        error: estimate of the largest error of a parameter at the end, in w.
    """

    time: np.ndarray
    position: dict[str, torch.Tensor]
    order: float
    error: float


def gradient_flow(
    network: nn.Module, loss: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor, end: float, step: float
) -> GradientFlow:
    """Flow from the network's parameters, which it leaves as they are.

    It runs with a step, its half and its quarter, and gives the last. With q_h at the end, order is the binary
    logarithm of |q_h - q_{h/2}| / |q_{h/2} - q_{h/4}|, and error |q_{h/2} - q_{h/4}| / (2^order - 1).

    Args:
        network: in double precision, without random layers.
        loss: of its outputs, one number.
        inputs: of the network.
        end: time, in w²/ℓ, a multiple of the step.
        step: of the coarsest run, in w²/ℓ.

    Raises:
        ValueError: parameters in another precision, whose rounding would hide the order.
    """
    parameters = {name: q.detach() for name, q in network.named_parameters()}
    if any(q.dtype != torch.float64 for q in parameters.values()):
        raise InvalidInput("expected parameters in double precision, got others; call network.double() first")
    ends = np.cumsum([q.numel() for q in parameters.values()])[:-1].tolist()

    def named(flat: torch.Tensor) -> dict[str, torch.Tensor]:
        parts = torch.tensor_split(flat, ends, dim=-1)
        return {
            name: part.reshape(*flat.shape[:-1], *q.shape)
            for (name, q), part in zip(parameters.items(), parts, strict=True)
        }

    def slope(position: np.ndarray) -> np.ndarray:
        flat = torch.from_numpy(position).requires_grad_()
        value = loss(functional_call(network, named(flat), (inputs,)))
        return -torch.autograd.grad(value, flat)[0].numpy()

    start = torch.cat([q.flatten() for q in parameters.values()]).numpy()
    coarse, middle, fine = (runge_kutta(slope, start, end, step / parts) for parts in (1, 2, 4))
    first, second = (np.abs(x[-1] - y[-1]).max() for x, y in ((coarse, middle), (middle, fine)))
    order = math.log2(first / second) if second > 0 else math.nan
    error = second / (2**order - 1) if order > 0 else math.inf
    return GradientFlow(step * np.arange(len(coarse)), named(torch.from_numpy(fine[::4])), order, float(error))
