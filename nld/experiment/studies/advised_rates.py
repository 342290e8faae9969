"""Short runs at the learning rate that a script came with, and at the one that the monitor's report of it advises.

Two language models of a byte a token and a convolutional network for digits, with optimizers at common defaults: the
rate rises over ten steps and falls by half a cosine to a tenth, as nanoGPT's does.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from nld.experiment.datasets import data, source_text
from nld.experiment.studies.held_networks import Text
from nld.experiment.training import networks
from nld.experiment.training.batches import BatchOrder, mini_batches
from nld.experiment.training.language_model import language_model, next_byte_loss, text_batches
from nld.experiment.training.loop import cross_entropy, training
from nld.finder import Block, find_symmetries
from nld.monitor import Monitor
from nld.monitor.turn_findings import rate_factor, typical_turn

STEPS, WARM_UP = 150, 10
LOWEST = 0.1  # the rate at the end over the largest
BATCH = {"batch_size": 8, "context": 64}
IMAGES = 64  # of a batch
HELD_IMAGES = 300  # of the training images, that rules are selected with
WINDOWS = 128  # of held-out text
FOLLOWED = 3  # times at most that advice is followed
NANO = Text(width=96, heads=6, key_heads=6, hidden=384, tied=True, learned_positions=True, norm="layer", gated=False,
            activation="gelu", biases=True, query_key_norm=False, spread=0.02)  # fmt: skip
ROTARY = {"width": 96, "layers": 2, "heads": 6}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "AdamW": lambda parameters, rate: torch.optim.AdamW(parameters, lr=rate, weight_decay=0.1),
    "SGD": lambda parameters, rate: torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=5e-4),
}


@dataclass(frozen=True)
class Setting:
    """A network with its optimizer and the largest learning rate of a script.

    Args:
        network: "rotary", "GPT-2" or "digits".
        optimizer: of ``OPTIMIZERS``.
        rate: in w for AdamW, in w²/ℓ for SGD.
    """

    network: str
    optimizer: str
    rate: float


@dataclass(frozen=True)
class Outcome:
    """Of one run.

    Args:
        loss: on held-out data at the end, in ℓ; of a diverged run that of guessing.
        turn: of the typical block, in radians; NaN if it was not watched.
        factor: of the learning rate that the report advises; 1 where it advises none.
    """

    loss: float
    turn: float = math.nan
    factor: float = 1.0


@dataclass(frozen=True)
class Task:
    """What is trained on what: the model at its start, its batches, its loss, and the loss on held-out data."""

    model: nn.Module
    example: torch.Tensor
    batches: Iterable[tuple]
    loss: Callable[..., torch.Tensor]
    held_out: Callable[[nn.Module], float]


def share(step: int, steps: int = STEPS) -> float:
    """The rate of a step over the largest."""
    falling = 0.5 * (1 + math.cos(math.pi * max(step - WARM_UP, 0) / (steps - WARM_UP)))
    return min((step + 1) / WARM_UP, LOWEST + (1 - LOWEST) * falling)


def train(setting: Setting, seed: int, part: str, *, factor: float = 1.0, watched: bool = True) -> Outcome:
    """One run at ``factor`` times the rate of the setting.

    Args:
        part: of the held-out data: "validation" for what selects, "test" for what judges.
        watched: whether a monitor reports on it.
    """
    task, rate = _task(setting.network, seed, part), factor * setting.rate
    optimizer = OPTIMIZERS[setting.optimizer](task.model.parameters(), rate)

    def set_rate(step: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = rate * share(step)

    steps = partial(training, task.model, optimizer, task.batches, loss=task.loss, schedule=set_rate)
    if not watched:
        for _ in steps():
            pass
        return Outcome(task.held_out(task.model))
    with Monitor(task.model, optimizer, blocks(setting.network), units="mean") as monitor:
        for _ in steps():
            pass
    record = monitor.record()
    return Outcome(task.held_out(task.model), typical_turn(record), rate_factor(record) or 1.0)


def follow(setting: Setting, seed: int, part: str) -> tuple[list[Outcome], Outcome]:
    """The run of the script, each that follows the advice of the one before until there is none, and a control.

    The control is not advised: it makes the first change once more, from the last rate.
    """
    runs, factor = [train(setting, seed, part)], 1.0
    while runs[-1].factor > 1 and len(runs) <= FOLLOWED:
        factor *= runs[-1].factor
        runs.append(train(setting, seed, part, factor=factor))
    return runs, train(setting, seed, part, factor=factor * runs[0].factor, watched=False)


@cache
def blocks(network: str) -> list[Block]:
    """The symmetries of the loss, which do not depend on the seed."""
    task = _task(network, 0, "test")
    return find_symmetries(task.model, task.example)


def _task(network: str, seed: int, part: str) -> Task:
    if network == "digits":
        return _digits(seed, part)
    model = (
        language_model(seed, torch.float32, **ROTARY) if network == "rotary" else networks.from_seed(seed, NANO.build)
    )
    text = source_text.training_text()
    example, _ = next(text_batches(text, [0], seed=seed, **BATCH))
    batches = text_batches(text, range(STEPS), seed=seed, **BATCH)
    return Task(model, example[:2], batches, next_byte_loss, partial(_text_loss, part=part))


def held_text(part: str) -> np.ndarray:
    """Modules that are not trained on: their first half is "validation", their second half "test"."""
    text = source_text.validation_text()
    half = len(text) // 2
    return text[:half] if part == "validation" else text[half:]


@torch.no_grad()
def _text_loss(model: nn.Module, part: str) -> float:
    (held,) = text_batches(held_text(part), [0], batch_size=WINDOWS, context=BATCH["context"], seed=0)
    return _finite(float(next_byte_loss(model, *held)), source_text.VOCABULARY)


def _digits(seed: int, part: str) -> Task:
    source = data.load("digits", validation_size=HELD_IMAGES if part == "validation" else 0)
    model = networks.build("digits_cnn", source.image, source.classes, width=1.0, epsilon=1e-8, seed=seed)
    batches = mini_batches(source, BatchOrder(source, IMAGES, seed), range(STEPS), torch.float32)
    example = source.normalized(source.train_images[:8], torch.float32)
    return Task(model, example, batches, cross_entropy, partial(_image_loss, source=source, part=part))


@torch.no_grad()
def _image_loss(model: nn.Module, source: data.Data, part: str) -> float:
    """With the batch statistics of all training images."""
    held = source.part(part)
    if held is None:
        raise AssertionError(f"no {part} images")
    model.train()
    model(source.normalized(source.train_images, torch.float32))
    model.eval()
    return _finite(float(F.cross_entropy(model(source.normalized(held[0], torch.float32)), held[1])), source.classes)


def _finite(loss: float, classes: int) -> float:
    return loss if math.isfinite(loss) else math.log(classes)
