"""Records of a small language model's scale symmetries under AdamW, Muon and SGD with momentum and two schedules.

Each head's queries, each head's keys, and all that is written to the residual stream have one scale symmetry each.
"""

import math
from collections.abc import Callable, Sequence

import torch
import xarray as xr
from torch import nn

from nld.experiment.datasets.source_text import training_text
from nld.experiment.training.language_model import language_model, next_byte_loss, text_batches
from nld.experiment.training.loop import training
from nld.finder import find_symmetries
from nld.monitor import Monitor

STEPS = 1500
WARM_UP = 0.05  # of the run
SHAPE = {"width": 48, "layers": 2, "heads": 4}
BATCH = {"batch_size": 8, "context": 32}
MATRICES = ("query", "key", "value", "out", "gate", "up", "down")  # which Muon moves; it leaves the rest to AdamW
OTHERS = {"lr": 3e-3, "betas": (0.9, 0.95), "weight_decay": 0.1}


def cosine(step: int, steps: int = STEPS) -> float:
    """A linear warm-up, then half a cosine to zero."""
    begin = WARM_UP * steps
    return min((step + 1) / begin, 0.5 * (1 + math.cos(math.pi * max(step - begin, 0) / (steps - begin))))


def stable_then_decay(step: int, steps: int = STEPS) -> float:
    """A linear warm-up, a constant rate, and a linear decay to zero in the last fifth (WSD)."""
    return min((step + 1) / (WARM_UP * steps), 1.0, (steps - step) / (0.2 * steps))


SCHEDULES: dict[str, Callable[..., float]] = {"cosine": cosine, "WSD": stable_then_decay}
RULES: dict[str, Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer]] = {
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=3e-3, betas=(0.9, 0.95), weight_decay=0.4),
    "Muon": lambda parameters: torch.optim.Muon(parameters, lr=0.02, weight_decay=0.05),
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.3, momentum=0.9, weight_decay=2e-4),
}


def scale_record(rule: str, schedule: str, seed: int, steps: int = STEPS) -> xr.Dataset:
    """What a monitor records of every scale symmetry that the rule moves, at each step.

    Args:
        rule: of ``RULES``.
        schedule: of ``SCHEDULES``.
        seed: of the weights and the text.
    """
    model = language_model(seed, torch.float32, **SHAPE)
    parameters = dict(model.named_parameters())
    matrices = [name for name in parameters if name.split(".")[-2] in MATRICES]
    moved = matrices if rule == "Muon" else list(parameters)
    optimizer = RULES[rule]([parameters[name] for name in moved])
    rest = [q for name, q in parameters.items() if name not in moved]
    optimizers = [optimizer, torch.optim.AdamW(rest, **OTHERS)] if rest else [optimizer]
    batches = text_batches(training_text(), range(steps), seed=seed, **BATCH)
    tokens = next(text_batches(training_text(), range(1), seed=seed, **BATCH))[0]
    blocks = [
        block
        for block in find_symmetries(model, tokens[:2])
        if block.kind == "scale" and all(name in moved for name in block.parameters)
    ]
    base = [(group, group["lr"]) for each in optimizers for group in each.param_groups]

    def set_rates(step: int) -> None:
        for group, rate in base:
            group["lr"] = rate * SCHEDULES[schedule](step, steps)

    def update(step: int, gradients: dict[str, torch.Tensor]) -> None:
        for name, q in parameters.items():
            q.grad = gradients[name]
        for each in optimizers:
            each.step()

    with Monitor(model, optimizer, blocks) as monitor:
        for _ in training(model, update, batches, loss=next_byte_loss, schedule=set_rates):
            pass
    return monitor.record()
