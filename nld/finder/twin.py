"""The copy of a model that is studied in its place: at a generic point, in float64 where the model can."""

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map, tree_map_only


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
