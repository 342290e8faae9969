"""When weights and optimizer states are loaded, in the factory and in the loop."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook


@dataclass
class Loads:
    """What was loaded since an optimizer's last step, by identity."""

    weights: set[int]  # parameters that a load changed
    states: set[int]  # optimizers

    def forget(self, optimizer: torch.optim.Optimizer, *_) -> None:
        """An optimizer has taken a step: what is loaded later counts anew."""
        self.states.discard(id(optimizer))
        self.weights -= {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}


@contextlib.contextmanager
def noticed_loads() -> Iterator[Loads]:
    """Inside, every ``load_state_dict`` of a module or an optimizer is written down."""
    loads = Loads(set(), set())
    load_weights, load_state = nn.Module.load_state_dict, torch.optim.Optimizer.load_state_dict

    def weights(module: nn.Module, *args: Any, **kwargs: Any):
        before = {id(p): p.detach().clone() for p in module.parameters() if not p.is_meta}
        result = load_weights(module, *args, **kwargs)
        loads.weights |= {id(p) for p in module.parameters() if id(p) in before and not torch.equal(before[id(p)], p)}
        return result

    def state(optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any):
        loads.states.add(id(optimizer))
        return load_state(optimizer, *args, **kwargs)

    handle = register_optimizer_step_post_hook(loads.forget)
    try:
        nn.Module.load_state_dict = weights  # pyright: ignore[reportAttributeAccessIssue]
        torch.optim.Optimizer.load_state_dict = state  # pyright: ignore[reportAttributeAccessIssue]
        yield loads
    finally:
        nn.Module.load_state_dict, torch.optim.Optimizer.load_state_dict = load_weights, load_state
        handle.remove()
