"""What others wrap around an optimizer: accelerate, Lightning and schedules of averaging keep the real one inside."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch


def unwrap_optimizers(optimizer: Any) -> list[torch.optim.Optimizer]:
    """The optimizers that take the steps, in a wrapper or in a collection of them, each once.

    A wrapper has the real optimizer as ``optimizer`` (accelerate's AcceleratedOptimizer, Lightning's
    LightningOptimizer, Lookahead), or several as ``optimizers``.
    """
    return list({id(one): one for one in _inside(optimizer)}.values())


def _inside(optimizer: Any) -> Iterable[Any]:
    if isinstance(optimizer, Mapping):
        optimizer = list(optimizer.values())
    several = optimizer if isinstance(optimizer, (list, tuple)) else getattr(optimizer, "optimizers", None)
    if isinstance(several, (list, tuple)):
        for one in several:
            yield from _inside(one)
    elif hasattr(getattr(optimizer, "optimizer", None), "param_groups"):
        yield from _inside(optimizer.optimizer)
    else:
        yield optimizer
