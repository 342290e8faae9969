"""What must be so before a model can be searched or watched; each message says what to do."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from nld.errors import InvalidInput
from nld.finder.wrappers import unwrap

# What modules call the probability of a dropout: PyTorch's layers, its attention and recurrent ones, and timm's,
# torchvision's and Hugging Face's.
DROPOUT = ("p", "dropout", "drop_prob", "attention_dropout", "dropout_p")


def require_searchable(model: nn.Module, loss: Any) -> None:
    """See that a model can be run here, and that a loss is a function.

    Raises:
        ValueError: it cannot, or the loss is none; the message says what to do.
    """
    if loss is not None and not callable(loss):
        raise InvalidInput(
            f"expected loss to be a function of the output, or None, got {loss!r}; pass the function itself, such as "
            "torch.nn.functional.cross_entropy"
        )
    require_real(model.named_parameters())
    require_whole(model)


def require_whole(model: nn.Module) -> None:
    """See that no parameter lies in pieces on several processes: a model then computes on all of them or on none.

    Raises:
        ValueError: one does; the message says what to do.
    """
    sharded = [name for name, p in model.named_parameters() if hasattr(p, "full_tensor") or "_flat_param" in name]
    if sharded:
        raise InvalidInput(
            f"expected whole parameters, got {len(sharded)} that are sharded ({sharded[0]} is the first); find the "
            "symmetries before fully_shard(model) and give these to nld.Monitor, or train with DistributedDataParallel"
        )


def require_real(parameters: Iterable[tuple[str, torch.Tensor]]) -> None:
    """See that no parameter is on the meta device, where tensors have no values.

    Raises:
        ValueError: one is.
    """
    empty = [name for name, parameter in parameters if parameter.is_meta]
    if empty:
        raise InvalidInput(
            f"expected parameters with values, got {len(empty)} on the meta device ({empty[0]} is the first); give the "
            "model its weights first: model.to_empty(device='cpu') and its initialization, or load its checkpoint"
        )


def modes(model: nn.Module) -> dict[str, bool]:
    """Whether each submodule is in training mode that computes otherwise in evaluation: batch norms and dropouts."""
    return {name: module.training for name, module in model.named_modules() if _has_modes(module)}


def _has_modes(module: nn.Module) -> bool:
    if isinstance(module, _NormBase):
        return module.track_running_stats and module.running_mean is not None
    values = (getattr(module, name, 0) for name in DROPOUT)
    return any(isinstance(value, float) and 0 < value < 1 for value in values)


def require_modes(model: nn.Module, searched: Mapping[str, bool]) -> None:
    """See that a model is trained in the mode that its symmetries were found in.

    Args:
        searched: what ``modes`` said then.

    Raises:
        ValueError: a submodule is in the other mode.
    """
    now = modes(unwrap(model)[0])
    changed = [name for name, training in searched.items() if now.get(name, training) != training]
    if changed:
        before, after = ("train", "eval") if searched[changed[0]] else ("eval", "train")
        raise InvalidInput(
            f"expected the model in the mode that its symmetries were found in, got {changed[0] or 'the model'} "
            f"found in {before} mode and trained in {after} mode, where it computes something else; "
            f"call model.{after}() before find_symmetries, or before nld.Monitor with example_inputs"
        )
