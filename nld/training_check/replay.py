"""The gradient of a loss, computed again on a copy of the model: at the same weights, with the same random numbers."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from nld.errors import InvalidInput
from nld.finder.wrappers import unwrap
from nld.training_check.random_state import RandomState, random_state, replayed

Gradients = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Moment:
    """A model and all random states, as they were when a forward pass began."""

    model: nn.Module
    random: RandomState
    earlier: RandomState | None  # when the iteration began, if random numbers were drawn since
    batch: Any

    @staticmethod
    def now(model: nn.Module, batch: Any, earlier: RandomState) -> "Moment":
        """A copy of the model inside its wrappers, without the hooks that could change a backward pass."""
        random = random_state()
        twin = copy.deepcopy(unwrap(model)[0])
        for module in twin.modules():
            module._backward_hooks.clear()
            module._backward_pre_hooks.clear()
        return Moment(twin, random, None if earlier.is_as(random) else earlier, batch)

    def alternatives(self, loss: Callable[[nn.Module, Any], torch.Tensor]) -> tuple[Gradients, ...]:
        """Its gradients, and those with the random numbers that were drawn first: by the loss, or before it."""
        first = self.gradients(loss)
        return (first,) if self.earlier is None else (first, replace(self, random=self.earlier).gradients(loss))

    def gradients(self, loss: Callable[[nn.Module, Any], torch.Tensor]) -> Gradients:
        """∂loss/∂q of every parameter that the loss depends on, by name.

        Raises:
            ValueError: the loss is no scalar with a gradient, or does not use the model that it is given.
        """
        model = copy.deepcopy(self.model)  # a forward pass may change buffers, and this moment may be asked again
        named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        with replayed(self.random), torch.enable_grad():
            value = loss(model, copy.deepcopy(self.batch))
            if not isinstance(value, torch.Tensor) or value.numel() != 1 or not value.requires_grad:
                got = f"one of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
                raise InvalidInput(
                    f"expected loss(model, batch) to return a scalar tensor with a gradient, got {got}; return the "
                    "loss that the loop calls backward on, computed with the model that it is given"
                )
            found = torch.autograd.grad(value.reshape(()), list(named.values()), allow_unused=True)
        gradients = {name: dense(g) for name, g in zip(named, found, strict=True) if g is not None}
        if not gradients:
            raise InvalidInput(
                "expected loss(model, batch) to use the model that it is given, got a loss that depends on none of its "
                "weights; write model(...) with the argument, not with the model of the script"
            )
        return gradients

    def beside_output(self, loss: Callable[[nn.Module, Any], torch.Tensor]) -> Gradients:
        """The part of the gradient that does not come through the model's output: of penalties on weights."""
        model = copy.deepcopy(self.model)
        model.register_forward_hook(lambda *call: tree_map(_detached, call[-1]))
        named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        with replayed(self.random), torch.enable_grad():
            value = loss(model, copy.deepcopy(self.batch))
            if not value.requires_grad:
                return {}
            found = torch.autograd.grad(value.reshape(()), list(named.values()), allow_unused=True)
        return {name: dense(g) for name, g in zip(named, found, strict=True) if g is not None}

    def is_repeatable(self, loss: Callable[[nn.Module, Any], torch.Tensor]) -> bool:
        """Whether the same random state gives the same gradient: a generator of the loss's own makes it another."""
        first, second = self.gradients(loss), self.gradients(loss)
        return all(torch.allclose(first[name], second[name], equal_nan=True) for name in first)

    def is_random(self, loss: Callable[[nn.Module, Any], torch.Tensor]) -> bool:
        """Whether another random state gives another gradient, as with dropout."""
        first, second = self.gradients(loss), replace(self, random=random_state()).gradients(loss)
        return not all(torch.allclose(first[name], second[name], equal_nan=True) for name in first)


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, torch.Tensor) else value


def dense(tensor: torch.Tensor) -> torch.Tensor:
    """A copy without gradient, of a sparse one filled up."""
    tensor = tensor.detach()
    return tensor.to_dense() if tensor.layout != torch.strided else tensor.clone()
