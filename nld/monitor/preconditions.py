"""What must be so before a monitor is attached; each message says what to do."""

import torch

from nld.errors import InvalidInput
from nld.finder.preconditions import require_real


def require_optimizer(model: torch.nn.Module, optimizer: object) -> None:
    """See that a model has weights, and that the optimizer is one and this model's.

    Raises:
        ValueError: it is not; the message says what to do.
    """
    require_real(model.named_parameters())
    if isinstance(optimizer, (list, tuple, dict)):
        raise InvalidInput(
            f"expected one optimizer, got a {type(optimizer).__name__} of {len(optimizer)}; attach one monitor to each "
            "of them: nld.Monitor(model, optimizer, blocks)"
        )
    groups = getattr(optimizer, "param_groups", [])
    trained = {id(parameter) for group in groups for parameter in group["params"]}
    if trained and trained.isdisjoint(id(parameter) for parameter in model.parameters()):
        raise InvalidInput(
            f"expected an optimizer of this model's parameters, got {type(optimizer).__name__} with {len(trained)} "
            "others; make it from model.parameters() after the model was copied, sharded or given new weights"
        )
