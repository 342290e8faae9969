"""What must be so before a monitor is attached; each message says what to do."""

import os
from collections import Counter
from collections.abc import Sequence

import torch

from nld.errors import InvalidInput
from nld.finder.preconditions import require_real


def require_optimizers(model: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """See that a model has weights, and that the optimizers are this model's, each with parameters of its own.

    Raises:
        ValueError: it is not; the message says what to do.
    """
    require_real(model.named_parameters())
    if not optimizers:
        raise InvalidInput("expected an optimizer or several, got none; give those that train the model")
    holders: Counter[int] = Counter()
    for optimizer in optimizers:
        trained = {id(parameter) for group in getattr(optimizer, "param_groups", []) for parameter in group["params"]}
        holders.update(trained)
        if trained and trained.isdisjoint(id(parameter) for parameter in model.parameters()):
            raise InvalidInput(
                f"expected an optimizer of this model's parameters, got {type(optimizer).__name__} with {len(trained)} "
                "others; make it from model.parameters() after the model was copied, sharded or given new weights"
            )
    twice = [name for name, parameter in model.named_parameters() if holders[id(parameter)] > 1]
    if twice:
        raise InvalidInput(
            f"expected each parameter in one optimizer, got {', '.join(twice)} in several; give it to one of them"
        )


def require_new_file(stream: str | os.PathLike | None) -> None:
    """See that a record can be streamed to a file.

    Raises:
        ValueError: it exists or has no folder; the message says what to do.
    """
    if stream is None:
        return
    if os.path.exists(stream):
        raise InvalidInput(f"expected stream to be a new file, got {os.fspath(stream)!r}, which exists; move it away")
    if not os.path.isdir(os.path.dirname(os.path.abspath(stream))):
        raise InvalidInput(f"expected stream in a folder that exists, got {os.fspath(stream)!r}; make the folder")
