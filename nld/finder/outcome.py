"""What a symmetry must not change: a model's output, or the loss of it."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from nld.errors import InvalidInput
from nld.finder.tape import tensors


def outcome_of(example_inputs: Any, loss) -> Callable[[nn.Module], Any]:
    """Model to what must not change: its output, or the loss of it."""

    def forward(model: nn.Module):
        torch.manual_seed(1)
        if isinstance(example_inputs, Mapping):
            return model(**example_inputs)
        return model(*example_inputs) if isinstance(example_inputs, (tuple, list)) else model(example_inputs)

    if loss is None:
        return forward
    if not _wants_target(loss):
        return lambda model: loss(forward(model))
    targets: list[torch.Tensor] = []

    def with_target(model: nn.Module):
        output = forward(model)
        if not targets:
            targets.append(_target(loss, output.detach()))
        return loss(output, targets[0])

    return with_target


def _wants_target(loss) -> bool:
    function = loss.forward if isinstance(loss, nn.Module) else loss
    needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    return len([p for p in needed if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]) > 1


def _target(loss, output: torch.Tensor) -> torch.Tensor:
    classes = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)
    if isinstance(loss, classes) or loss in (F.cross_entropy, F.nll_loss, F.multi_margin_loss):
        axis = 1 if output.ndim > 1 else 0
        shape = [n for a, n in enumerate(output.shape) if a != axis]
        return torch.randint(output.shape[axis], shape, device=output.device)
    if isinstance(loss, (nn.BCELoss, nn.BCEWithLogitsLoss)):
        return torch.rand_like(output)
    return torch.randn_like(output)


def scalar_of(example: Any, loss) -> Callable[[Any], torch.Tensor]:
    """A generic linear functional of every floating-point output."""

    def floats(output) -> list[torch.Tensor]:
        return [t for t in tensors(output) if t.is_floating_point()]

    if not floats(example):
        raise InvalidInput(
            f"expected floating-point tensors as output, got {type(example)}; return the logits or the loss"
        )
    weights = [torch.randn_like(t.detach()) if loss is None else torch.ones_like(t.detach()) for t in floats(example)]
    return lambda output: sum((w * t).sum() for w, t in zip(weights, floats(output), strict=True))  # pyright: ignore
