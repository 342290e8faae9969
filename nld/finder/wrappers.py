"""What others wrap around a model: compilation and data parallelism put words before the names of its parameters."""

from torch import nn


def clean_name(name: str) -> str:
    """A parameter's name without what torch.compile and DistributedDataParallel put before it."""
    return ".".join(part for part in name.split(".") if part not in ("_orig_mod", "module"))


def unwrap(model: nn.Module) -> tuple[nn.Module, str]:
    """The module inside ``torch.compile`` and data-parallel wrappers, and what they put before its names."""
    prefix = ""
    while True:
        if hasattr(model, "_orig_mod"):
            model, prefix = model._orig_mod, prefix + "_orig_mod."  # pyright: ignore[reportAssignmentType]
        elif isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model, prefix = model.module, prefix + "module."
        else:
            return model, prefix
