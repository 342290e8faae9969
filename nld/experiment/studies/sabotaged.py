"""A small training with which somebody tampers half-way, and what a bookkeeper needs who was not told.

The network is that of ``page_training``, its batch normalization with an ε that rounding does not notice.
"""

from typing import cast

import torch
import xarray as xr
from torch import nn

from nld.errors import InvalidInput
from nld.experiment.studies import monitored
from nld.experiment.studies.page_training import FILTER, batches, two_layers
from nld.experiment.training.loop import training

STEPS, TAMPERED = 40, 20  # of a run, and before somebody tampers with it
UNIT = 0  # the filter whose charge is followed
RATES = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01}
EPSILON = 1e-20
CLIPPED_NORM, CLIPPED_ENTRY, LOWERED_MOMENTUM, RAISED_EPSILON = 0.1, 0.002, 0.8, 0.1


def _clip_norm(network: nn.Sequential, optimizer: torch.optim.Optimizer) -> None:
    def clip(*_):
        nn.utils.clip_grad_norm_(network.parameters(), CLIPPED_NORM)

    optimizer.register_step_pre_hook(clip)


def _clip_entries(network: nn.Sequential, optimizer: torch.optim.Optimizer) -> None:
    def clip(*_):
        nn.utils.clip_grad_value_(network.parameters(), CLIPPED_ENTRY)

    optimizer.register_step_pre_hook(clip)


def _lower_momentum(_: nn.Sequential, optimizer: torch.optim.Optimizer) -> None:
    optimizer.param_groups[0]["momentum"] = LOWERED_MOMENTUM


def _raise_epsilon(network: nn.Sequential, _: torch.optim.Optimizer) -> None:
    _normalization(network).eps = RAISED_EPSILON


def _normalization(network: nn.Sequential) -> nn.BatchNorm1d:
    return cast(nn.BatchNorm1d, network[1])


SABOTAGES = {
    "none": lambda *_: None,
    "norm": _clip_norm,
    "entries": _clip_entries,
    "momentum": _lower_momentum,
    "epsilon": _raise_epsilon,
}


def train_sabotaged(sabotage: str) -> xr.Dataset:
    """Train by PyTorch's SGD with RATES; from step TAMPERED on with one of SABOTAGES.

    Returns:
        Dataset over ``step`` n, each measured by definition, of one filter q and its momentum buffer π: ``charge``
        ⟨π_{n+1}, q_n⟩, ``momentum_along_step`` ⟨π_n, q_n − q_{n−1}⟩, in ℓ; ``squared_norm`` ‖q_n‖², in w²; ``size``
        ‖π_{n+1}‖ ‖q_n‖, in ℓ; ``violation`` |⟨g_n, q_n⟩| / (‖g_n‖ ‖q_n‖) of the gradient that the optimizer got.

    Raises:
        ValueError: no such sabotage.
    """
    if sabotage not in SABOTAGES:
        raise InvalidInput(f"expected a sabotage among {', '.join(SABOTAGES)}, got {sabotage!r}")
    network = two_layers()
    _normalization(network).eps = EPSILON
    optimizer = monitored.make_optimizer("SGD", network.parameters(), **RATES)
    filters = network.get_parameter(FILTER)

    def tamper(step: int) -> None:
        if step == TAMPERED:
            SABOTAGES[sabotage](network, optimizer)

    rows, momentum, moved = [], torch.zeros_like(filters[UNIT]), torch.zeros_like(filters[UNIT])
    for step in training(network, optimizer, batches(STEPS), observe=[FILTER], schedule=tamper):
        q, gradient = step.before[FILTER][UNIT], step.gradients[FILTER][UNIT]
        after = optimizer.state[filters]["momentum_buffer"][UNIT].clone()
        rows.append(
            {
                "charge": float(after @ q),
                "momentum_along_step": float(momentum @ moved),
                "squared_norm": float(q @ q),
                "size": float(after.norm() * q.norm()),
                "violation": float(abs(gradient @ q) / (gradient.norm() * q.norm())),
            }
        )
        momentum, moved = after, step.moved[FILTER][UNIT]
    units = {"charge": "ℓ", "momentum_along_step": "ℓ", "squared_norm": "w²", "size": "ℓ", "violation": "1"}
    return xr.Dataset({name: ("step", [row[name] for row in rows], {"units": unit}) for name, unit in units.items()})
