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
    inner: Any = getattr(optimizer, "optimizer", None)
    several: Any = getattr(optimizer, "optimizers", optimizer)
    if isinstance(several, Mapping):
        several = list(several.values())
    if isinstance(several, (list, tuple)):
        for one in several:
            yield from _inside(one)
    elif hasattr(inner, "param_groups"):
        yield from _inside(inner)
    else:
        yield optimizer
