"""The copy of a model that is studied in its place, at a generic point, in float64 where the model can, and what of it
a symmetry must not change: its output, or the loss of it."""

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map, tree_map_only

from nld.errors import InvalidInput
from nld.finder.outputs import output_of, single_tensor
from nld.finder.tape import tensors


def twin_of(model: nn.Module, double: bool) -> nn.Module:
    """A copy, in float64 or in the model's own precision; tensors that modules keep inside a graph are detached."""
    held = [v for module in model.modules() for v in vars(module).values() if isinstance(v, torch.Tensor)]
    twin = copy.deepcopy(model, {id(v): v.detach().clone() for v in held if not v.is_leaf})
    return twin.double() if double else twin


def doubled(inputs: Any) -> Any:
    """Inputs for a twin in float64, apart from any graph."""

    def convert(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach().double() if tensor.is_floating_point() else tensor.detach().clone()

    return tree_map_only(torch.Tensor, convert, inputs)


def make_generic(parameters: Iterable[torch.Tensor]) -> None:
    """Move parameters to a generic point: initial zeros and ones have symmetries that training destroys."""
    with torch.no_grad():
        for p in parameters:
            if p.is_floating_point():
                size = float(p.abs().mean()) or 0.1
                p.add_(0.2 * size * torch.randn_like(p))


class StandIn(TorchFunctionMode):
    """Wherever a loss or a hook reaches for a tensor of the model, it gets that of the twin that is studied.

    A penalty on ``model.parameters()`` in the loss is the common case: it breaks scale symmetry, but only the twin's
    parameters are on the tape.
    """

    def __init__(self, model: nn.Module, twin: nn.Module):
        super().__init__()
        originals, stand_ins = ([*m.parameters(), *m.buffers()] for m in (model, twin))
        pairs = zip(originals, stand_ins, strict=True)
        self.twins = {id(original): (original, stand_in) for original, stand_in in pairs}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        args, kwargs = tree_map(lambda leaf: self.twins.get(id(leaf), (leaf, leaf))[1], (args, kwargs or {}))
        return func(*args, **kwargs)


class Outcome:
    """Model to what must not change: its output (see ``nld.finder.outputs``), or the loss of it.

    ``words`` says after the first call what was taken as the output; empty if that is all the model returns.
    """

    def __init__(self, example_inputs: Any, loss):
        self.example_inputs, self.loss = example_inputs, loss
        self.wants_target = loss is not None and _wants_target(loss)
        self.target: torch.Tensor | None = None
        self.words = ""

    def __call__(self, model: nn.Module) -> Any:
        returned = self._forward(model)
        if self.loss is None:
            output, self.words = output_of(returned)
            return output
        if not self.wants_target:
            return self.loss(returned)
        output, self.words = single_tensor(returned)
        if self.target is None:
            self.target = _target(self.loss, output.detach())
        return self.loss(output, self.target)

    def _forward(self, model: nn.Module) -> Any:
        torch.manual_seed(1)
        inputs = self.example_inputs
        if isinstance(inputs, Mapping):
            return model(**inputs)
        return model(*inputs) if isinstance(inputs, (tuple, list)) else model(inputs)


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
    if not any(t.requires_grad for t in floats(example)):
        raise InvalidInput(
            "expected an output that depends on the parameters, got one without gradient; take torch.no_grad, "
            ".detach() and .item() out of the forward pass and the loss, or unfreeze the parameters that it uses"
        )
    weights = [torch.randn_like(t.detach()) if loss is None else torch.ones_like(t.detach()) for t in floats(example)]
    return lambda output: sum((w * t).sum() for w, t in zip(weights, floats(output), strict=True))  # pyright: ignore
