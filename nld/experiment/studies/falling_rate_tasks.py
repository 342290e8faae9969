"""What is trained under falling rates: a byte-level language model, and a perceptron on digits with wrong labels."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from nld.experiment.datasets import data, source_text
from nld.experiment.training import networks
from nld.experiment.training.batches import BatchOrder, mini_batches
from nld.experiment.training.language_model import language_model, next_byte_loss, text_batches
from nld.experiment.training.loop import cross_entropy


@dataclass(frozen=True)
class Setting:
    """A network with its optimizer; learning rate and weight decay are those at the largest rate of the schedule."""

    rate: float
    decay: float
    warmup: int = 0
    momentum: float = 0.9
    shape: dict = field(default_factory=dict)
    batch: dict = field(default_factory=dict)
    label_noise: float = 0.0


LANGUAGE = Setting(
    6e-3, 1.5, warmup=20, shape={"width": 32, "layers": 2, "heads": 4, "hidden": 64},
    batch={"batch_size": 8, "context": 32},
)  # fmt: skip
DIGITS = Setting(0.1, 0.02, batch={"batch_size": 64}, label_noise=0.4)
LEARNED = replace(DIGITS, decay=5e-3)  # so little decay that wrong labels are learned by heart before the rate falls
PLAIN = replace(DIGITS, momentum=0.0, rate=DIGITS.rate / (1 - DIGITS.momentum))
SQUARES = 0.95  # memory of AdamW's squared gradients
EMBEDDING = 0.1  # deviation of its entries at first, in w
VALIDATION = {"batch_size": 256, "context": 32}


@dataclass(frozen=True)
class Task:
    """A network, what it is trained on, and the optimizer of its parameters.

    Args:
        model: at its start.
        example: inputs of one batch.
        batches: one a step.
        loss: of the model and a batch.
        optimizer: made of groups of parameters that name their weight decay.
    """

    model: torch.nn.Module
    example: torch.Tensor
    batches: Iterable[tuple]
    loss: Callable[..., torch.Tensor]
    optimizer: Callable[[list[dict]], torch.optim.Optimizer]


def language(seed: int, steps: int) -> Task:
    """A byte-level language model under AdamW, its embedding begun small, so that it settles before the rate falls."""
    model, text = language_model(seed, **LANGUAGE.shape), source_text.training_text()
    with torch.no_grad():
        model.token.weight.mul_(EMBEDDING)
    batches = text_batches(text, range(steps), seed=seed, **LANGUAGE.batch)
    example, _ = next(text_batches(text, [0], seed=seed, **LANGUAGE.batch))
    betas = LANGUAGE.momentum, SQUARES
    return Task(
        model, example, batches, next_byte_loss, lambda groups: torch.optim.AdamW(groups, lr=LANGUAGE.rate, betas=betas)
    )


def validation_loss(model: torch.nn.Module) -> float:
    """Of a language model, on one large batch of the validation text, in ℓ."""
    (held,) = text_batches(source_text.validation_text(), [0], seed=0, **VALIDATION)
    with torch.no_grad():
        return float(next_byte_loss(model, *held))


def digits(seed: int, steps: int, setting: Setting = DIGITS, fresh: bool = True) -> Task:
    """A perceptron with batch normalization under SGD with momentum; some labels are wrong.

    Args:
        fresh: whether other labels are wrong at each step, so that the network never rests; else always the same.
    """
    source = data.load("digits", label_noise=0.0 if fresh else setting.label_noise)
    model = networks.build("mlp", source.image, source.classes, width=1.0, epsilon=1e-8, seed=seed)
    batches = mini_batches(source, BatchOrder(source, setting.batch["batch_size"], seed), range(steps), torch.float32)
    if fresh:
        batches = mislabelled(batches, setting.label_noise, source.classes, seed)
    example = source.normalized(source.train_images[:64], torch.float32)
    rate, momentum = setting.rate, setting.momentum
    return Task(
        model, example, batches, cross_entropy, lambda groups: torch.optim.SGD(groups, lr=rate, momentum=momentum)
    )


def mislabelled(batches: Iterable[tuple], share: float, classes: int, seed: int) -> Iterator[tuple]:
    """Batches in which a share of the labels, drawn anew at each step, is replaced by any class."""
    for step, (images, labels) in enumerate(batches):
        random = np.random.default_rng([seed, step])
        wrong = torch.from_numpy(random.random(labels.shape) < share)
        yield images, torch.where(wrong, torch.from_numpy(random.integers(classes, size=labels.shape)), labels)
