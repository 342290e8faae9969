"""A training loop as its owner hands it over: what is trained, the loss, the batches, and what one iteration does."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn

from nld.errors import InvalidInput
from nld.finder.preconditions import require_real
from nld.monitor.optimizer_wrappers import unwrap_optimizers
from nld.training_check.findings import require_topics


@dataclass(frozen=True)
class TrainingLoop:
    """What `nld.check_training` runs.

    Args:
        model: the model; compiled or in DistributedDataParallel on one process is fine.
        optimizer: its optimizer, or several.
        loss: ``loss(model, batch)``, what the training is to minimize, as a scalar tensor. It is called with a copy
            of the model, must use that, and is where autocast belongs.
        batches: what a data loader gives.
        step: ``step(batch)``, one iteration of the loop as it stands: zeroing, backward, clipping, the optimizer's
            step, the schedule. Where gradients are accumulated, it need not step each time: the gradient should then be
            that of the mean loss.
        clip_norm: the largest norm of the whole gradient, if the loop clips it on purpose.
        allow: topics of `nld.training_check.TOPICS` that are meant.

    Raises:
        ValueError: one of these is something else; the message says what to do.
    """

    model: nn.Module
    optimizer: Any
    loss: Callable[[nn.Module, Any], torch.Tensor]
    batches: Iterable
    step: Callable[[Any], Any]
    clip_norm: float | None = None
    allow: Collection[str] = ()

    def __post_init__(self):
        if not isinstance(self.model, nn.Module):
            raise InvalidInput(f"expected model to be a torch.nn.Module, got a {type(self.model).__name__}")
        require_real(self.model.named_parameters())
        for name in ("loss", "step"):
            if not callable(getattr(self, name)):
                raise InvalidInput(f"expected {name} to be a function, got a {type(getattr(self, name)).__name__}")
        if not isinstance(self.batches, Iterable):
            raise InvalidInput(f"expected batches that can be gone through, got a {type(self.batches).__name__}")
        require_topics(self.allow)
        if not self.optimizers:
            raise InvalidInput("expected an optimizer, got none; hand over all that the loop steps")

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Every optimizer, without wrappers."""
        return unwrap_optimizers(self.optimizer)


def read_loop(value: Any) -> TrainingLoop:
    """What a factory returned, as a TrainingLoop: one, its fields in their order, or a dictionary of them.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, TrainingLoop):
        return value
    names = [field.name for field in fields(TrainingLoop)]
    if isinstance(value, Mapping) and set(names[:5]) <= set(value) <= set(names):
        return TrainingLoop(**value)
    if isinstance(value, Sequence) and 5 <= len(value) <= len(names):
        return TrainingLoop(*value)
    got = f"a dictionary of {', '.join(map(str, value))}" if isinstance(value, Mapping) else f"a {type(value).__name__}"
    raise InvalidInput(
        f"expected an nld.TrainingLoop, or a tuple or dictionary of {', '.join(names[:5])}, got {got}; "
        "return model, optimizer, loss, batches, step"
    )
