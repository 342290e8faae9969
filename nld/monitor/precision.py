"""In which precision gradients were computed, and how much of a step rounding ate: seen in samples of the entries."""

from collections.abc import Sequence

import torch
from torch import nn

from nld.monitor.sharded import computed_in, local

SAMPLE = 1024  # entries of a tensor that are looked at
ENOUGH = 16  # distinct numbers that must all fit a precision before it is believed
NOISE = 1e-4  # gradients below this part of the largest may be no more than rounding errors, which are round numbers
COARSE = (torch.bfloat16, torch.float16, torch.float32)  # coarsest first


def sample(tensor: torch.Tensor) -> torch.Tensor:
    """At most SAMPLE entries, evenly spaced; a copy."""
    flat = local(tensor).detach().reshape(-1)
    return flat[:: max(1, -(-flat.numel() // SAMPLE))].clone()


class GradientPrecision:
    """What computed the gradient: of float32 weights under autocast every gradient is a bfloat16 number.

    Clipping, accumulation and the optimizer's state come later and hide it, so gradients are looked at where autograd
    hands them over, in all backward passes before the first step; then the hooks are gone. Of weights that
    ``fully_shard`` has sharded autograd hands over nothing, and its policy is read.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], model: nn.Module | None = None):
        self._samples: list[torch.Tensor] = []
        own = min((torch.finfo(p.dtype).eps for p in parameters if p.is_floating_point()), default=0.0)
        told = computed_in(model, parameters) if model is not None else set()
        self._told = [dtype for dtype in told if dtype in COARSE and torch.finfo(dtype).eps > own]
        self._handles = [parameter.register_hook(self._hook()) for parameter in parameters if parameter.requires_grad]

    def _hook(self):
        def look(gradient: torch.Tensor) -> None:
            if type(gradient) is torch.Tensor and gradient.layout == torch.strided:
                self._samples.append(sample(gradient))

        look.__torch_unserializable__ = True  # a model saved meanwhile needs no warning
        return look

    def close(self) -> None:
        """Look no more."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def coarsest(self) -> str | None:
        """The coarsest precision of any sample, as "bfloat16"; None if that is its tensor's own or nothing was seen."""
        sizes = [float(values.abs().nan_to_num(0, 0, 0).max()) if values.numel() else 0.0 for values in self._samples]
        told = [v for v, size in zip(self._samples, sizes, strict=True) if size > NOISE * max(sizes)]
        fitting = [dtype for values in told if (dtype := fits(values)) is not None] + self._told
        return str(min(fitting, key=COARSE.index)).removeprefix("torch.") if fitting else None


def fits(values: torch.Tensor) -> torch.dtype | None:
    """The coarsest precision below their own that holds some numbers without error; None if none does."""
    values = values[torch.isfinite(values) & (values != 0)]
    if values.unique().numel() < ENOUGH:
        return None
    for dtype in COARSE:
        if torch.finfo(dtype).eps > torch.finfo(values.dtype).eps and torch.equal(values.to(dtype).to(values), values):
            return dtype
    return None


class Unmoved:
    """The share of entries with a gradient that a step leaves where they are, of weights in half precision.

    A step below half the spacing of numbers at a weight's size is rounded away: of a bfloat16 gain of 1 all that is
    less than 0.002.
    """

    def __init__(self, parameters: dict[str, torch.Tensor]):
        self._parameters = {name: p for name, p in parameters.items() if p.is_floating_point() and p.element_size() < 4}
        self._before: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._counts: dict[str, torch.Tensor] = {}  # entries that stayed, entries with a gradient

    def before_step(self, found_inf: torch.Tensor | None) -> None:
        """Copy the samples; ``found_inf`` is positive if the optimizer will skip the step."""
        self._before = {}
        for name, parameter in self._parameters.items():
            if parameter.grad is not None:
                pulled = sample(parameter.grad) != 0
                if found_inf is not None:
                    pulled &= (found_inf == 0).to(pulled.device)
                self._before[name] = sample(parameter), pulled

    def after_step(self) -> None:
        """Compare them."""
        for name, (values, pulled) in self._before.items():
            stayed = (sample(self._parameters[name]) == values) & pulled
            counts = torch.stack([stayed.sum(), pulled.sum()])
            self._counts[name] = self._counts[name] + counts if name in self._counts else counts
        self._before = {}

    def shares(self) -> dict[str, float]:
        """The share of each parameter that had a gradient, over all steps so far."""
        counts = {name: count.tolist() for name, count in self._counts.items()}
        return {name: round(stayed / pulled, 4) for name, (stayed, pulled) in counts.items() if pulled}
