"""What holding the norms of a class of tensors costs: a network trained with each class held, as one batched program.

A class is all matrices of one name, such as the value maps of all layers; each tensor's norm is held as a whole.
Members share start, batches and optimizer, AdamW with a warm-up and a linear fall of its rate, and differ in the
classes that are held, which have no weight decay, and in those whose tensors have a gain: one trained factor exp(s).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, vmap

from nld.experiment.datasets import source_text
from nld.experiment.datasets.data import load
from nld.experiment.studies.held_networks import Digits, Text
from nld.experiment.training.batches import BatchOrder, mini_batches
from nld.experiment.training.language_model import text_batches
from nld.experiment.training.networks import from_seed

Tensors = dict[str, torch.Tensor]
Batch = tuple[torch.Tensor, torch.Tensor]
EPSILON = 1e-8  # of AdamW


@dataclass(frozen=True, kw_only=True)
class Training:
    """How all members are trained.

    Args:
        learning_rate: η of AdamW at its largest.
        gain_rate: the same of the logarithms of gains.
        betas: memories of AdamW.
        weight_decay: of matrices that are not held.
        warm_up: steps of it; from its end the rate falls to zero linearly.
        batch_size: texts of a batch, each of ``context`` bytes; digits come four times as many.
        dtype: of all numbers.
    """

    steps: int = 200
    learning_rate: float = 1e-2
    gain_rate: float = 3e-2
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1
    warm_up: int = 20
    batch_size: int = 16
    context: int = 32
    dtype: torch.dtype = torch.float32

    def schedule(self, step: int) -> float:
        """The rate at a step, relative to its largest."""
        return min(1.0, (step + 1) / self.warm_up) * (1 - step / self.steps)


@dataclass(frozen=True)
class Member:
    """The classes whose norms are held, and those whose tensors have gains."""

    held: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of the members.

    Args:
        loss: on validation data at the end, in ℓ, (members,).
        growth: of each class, final over initial norm, the geometric mean over its tensors, (members,).
    """

    loss: np.ndarray
    growth: Mapping[str, np.ndarray]


TRAINING = Training()


def classes(network: nn.Module) -> dict[str, list[str]]:
    """Names of the matrices, by class: the last word of the name, the first of several hidden layers set apart."""
    found: dict[str, list[str]] = {}
    for name, q in network.named_parameters():
        if math.prod(q.shape[1:]) > 1:
            words = [word for word in name.removesuffix(".weight").split(".") if not word.isdigit()]
            found.setdefault(words[-1], []).append(name)
    if len(hidden := found.get("hidden", [])) > 1:
        return {"first": hidden[:1], **found, "hidden": hidden[1:]}
    return found


def train(shape: Text | Digits, members: Sequence[Member], seed: int, training: Training = TRAINING) -> Outcome:
    """Train all members from one start; a diverged one has the loss of guessing."""
    network = from_seed(seed, shape.build, training.dtype)
    class_of = {name: label for label, names in classes(network).items() for name in names}
    parameters = {
        name: q.detach().expand(len(members), *q.shape).clone().requires_grad_()
        for name, q in network.named_parameters()
    }
    gains = {name: torch.zeros(len(members), dtype=training.dtype, requires_grad=True) for name in class_of}
    held = {name: torch.tensor([label in member.held for member in members]) for name, label in class_of.items()}
    gained = {name: torch.tensor([label in member.gained for member in members]) for name, label in class_of.items()}
    start = {name: _norms(parameters[name]) for name in class_of}
    rates = [torch.tensor(training.learning_rate) for _ in parameters]
    rates += [training.gain_rate * gained[name] for name in gains]
    decays = [training.weight_decay * ~held[name] if name in held else torch.tensor(0.0) for name in parameters]
    decays += [torch.tensor(0.0) for _ in gains]
    step = _AdamW([*parameters.values(), *gains.values()], rates, decays, training)

    def logits(own: Tensors, factors: Tensors, inputs: torch.Tensor) -> torch.Tensor:
        scaled = {name: q * factors[name].exp() if name in factors else q for name, q in own.items()}
        return functional_call(network, scaled, (inputs,))

    def losses(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        rows = vmap(logits, in_dims=(0, 0, None))(parameters, gains, inputs).flatten(1, -2)
        wanted = targets.flatten().expand(rows.shape[:2])
        return F.cross_entropy(rows.flatten(0, 1), wanted.flatten(), reduction="none").view(rows.shape[:2]).mean(1)

    for index, batch in enumerate(training_batches(shape, seed, training)):
        step(index, torch.autograd.grad(losses(*batch).sum(), step.parameters))
        with torch.no_grad():
            for name in class_of:
                q = parameters[name]
                q.mul_(_column(torch.where(held[name], start[name] / _norms(q), 1.0), q))
    with torch.no_grad():
        parts = [losses(*batch).double() for batch in validation_batches(shape, training)]
        loss = torch.stack(parts).mean(0)
        loss = torch.where(loss.isfinite(), loss, math.log(shape.outputs))
        ratio = {name: (_norms(parameters[name]) / start[name]).log() for name in class_of}
    growth = {
        label: torch.stack([ratio[name] for name in names]).mean(0).exp().numpy()
        for label, names in classes(network).items()
    }
    return Outcome(loss.numpy(), growth)


def training_batches(shape: Text | Digits, seed: int, training: Training = TRAINING) -> Iterator[Batch]:
    """Inputs and targets of each step; members share them."""
    if isinstance(shape, Text):
        text, size = source_text.training_text(), {"batch_size": training.batch_size, "context": training.context}
        return text_batches(text, range(training.steps), seed=seed, **size)
    data = load("digits")
    order = BatchOrder(data, 4 * training.batch_size, seed)
    return mini_batches(data, order, range(training.steps), training.dtype)


def validation_batches(shape: Text | Digits, training: Training = TRAINING) -> Iterator[Batch]:
    """Text of other modules, 512 windows that are the same for all seeds; or the test images of the digits."""
    if isinstance(shape, Text):
        text = source_text.validation_text()
        yield from text_batches(text, range(8), batch_size=64, context=training.context, seed=0)
    else:
        data = load("digits")
        yield data.normalized(data.test_images, training.dtype), data.test_labels


class _AdamW:
    """AdamW with rates and decays of each member; all parameters stacked along a first dimension."""

    def __init__(self, parameters: list[torch.Tensor], rates: list[torch.Tensor], decays: list, training: Training):
        self.parameters, self.training = parameters, training
        self.rates = [_column(rate, q) for rate, q in zip(rates, parameters, strict=True)]
        self.decays = [_column(decay, q) for decay, q in zip(decays, parameters, strict=True)]
        self.first, self.second = ([torch.zeros_like(q) for q in parameters] for _ in range(2))

    @torch.no_grad()
    def __call__(self, index: int, gradients: tuple[torch.Tensor, ...]) -> None:
        (one, two), schedule = self.training.betas, self.training.schedule(index)
        torch._foreach_lerp_(self.first, gradients, 1 - one)
        torch._foreach_mul_(self.second, two)
        torch._foreach_addcmul_(self.second, gradients, gradients, 1 - two)
        roots = torch._foreach_sqrt(self.second)
        torch._foreach_div_(roots, math.sqrt(1 - two ** (index + 1)))
        torch._foreach_add_(roots, EPSILON)
        for q, mean, root, rate, decay in zip(self.parameters, self.first, roots, self.rates, self.decays, strict=True):
            q.sub_(schedule * rate * (mean / root / (1 - one ** (index + 1)) + decay * q))


def _norms(stacked: torch.Tensor) -> torch.Tensor:
    """Of each member, (members,)."""
    return stacked.detach().flatten(1).norm(dim=1)


def _column(values: torch.Tensor, stacked: torch.Tensor) -> torch.Tensor:
    """One value a member, or one for all, shaped to multiply a stacked parameter."""
    return values.reshape(-1, *[1] * (stacked.dim() - 1)).to(stacked.dtype)
