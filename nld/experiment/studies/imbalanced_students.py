"""Two layers that learn from a teacher, from a chosen scale and imbalance: how far the kernel turns, and the loss.

A hidden unit with incoming weights w and an outgoing weight a has the charge delta = a^2 - |w|^2. All students are one
batched program. The start is that of Kunin and others (2024): |w| |a| = tau^2 for every unit, in random directions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product, repeat

import numpy as np
import torch
import xarray as xr
from torch import nn

from nld.experiment.training.ensemble import Ensemble, MemberHeavyBall
from nld.experiment.training.loop import training
from nld.experiment.training.networks import from_seed

RATE = 5e-3  # the learning rate times tau^2, as in the work
TEST = 1000  # samples


@dataclass(frozen=True, kw_only=True)
class Student:
    """How one student starts.

    Args:
        scale: tau, in w.
        imbalance: delta of each hidden unit, in w².
        seed: of the student's directions and signs, of its teacher and of the inputs.
        rate_ratio: learning rate of the incoming weights over that of the outgoing ones.
    """

    scale: float
    imbalance: float
    seed: int
    rate_ratio: float = 1.0

    @property
    def learning_rate(self) -> float:
        """RATE/tau^2, in w²/ℓ: the geometric mean of both layers' rates."""
        return RATE / self.scale**2

    def sizes(self) -> tuple[float, float]:
        """|w| and |a| of each unit: their product is tau^2, and a^2 - |w|^2 is delta."""
        ratio = self.imbalance / self.scale**2
        root = math.sqrt((math.sqrt(4 + ratio**2) - ratio) / 2)
        return self.scale * root, self.scale / root


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What is learned: inputs on the unit sphere, and what a small network with unit weights makes of them.

    Args:
        relu: between the two layers, of students and teacher; else both are linear.
        signs: outgoing weights of the teacher's units.
        inputs, hidden: widths of the students.
        samples: that they are trained on.
    """

    relu: bool = True
    signs: tuple[float, ...] = (1.0, -1.0, 1.0)
    inputs: int = 20
    hidden: int = 20
    samples: int = 400

    def samples_of(self, seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs of shape (count, inputs) and targets of shape (count); other counts are other inputs."""
        x = _directions(np.random.default_rng([seed, count]), count, self.inputs)
        hidden = x @ _directions(np.random.default_rng([seed, 1]), len(self.signs), self.inputs).T
        y = (np.maximum(hidden, 0) if self.relu else hidden) @ self.signs
        return torch.from_numpy(x), torch.from_numpy(y)

    def network(self, student: Student) -> nn.Sequential:
        """The student's two layers without biases, before the first step."""

        def make() -> nn.Sequential:
            incoming, outgoing = student.sizes()
            first, second = nn.Linear(self.inputs, self.hidden, bias=False), nn.Linear(self.hidden, 1, bias=False)
            with torch.no_grad():
                nn.init.normal_(first.weight)
                first.weight.mul_(incoming / first.weight.norm(dim=1, keepdim=True))
                second.weight.copy_(outgoing * (2.0 * torch.randint(2, (1, self.hidden)) - 1))
            return nn.Sequential(nn.Flatten(), first, *[nn.ReLU()] * self.relu, second)

        return from_seed(student.seed, make, torch.float64)

    def kernel(self, w: torch.Tensor, a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """<df(x)/dq, df(x')/dq>, shape (member, sample, sample), of w (member, unit, input) and a (member, 1, unit)."""
        hidden = x @ w.mT
        gate = (hidden > 0).to(x.dtype) if self.relu else torch.ones_like(hidden)
        return (x @ x.mT) * ((gate * a) @ (gate * a).mT) + (gate * hidden) @ (gate * hidden).mT


def grid(scales: Sequence[float], imbalances: Sequence[float], seeds: Sequence[int]) -> list[Student]:
    """A student for each seed, scale and imbalance, the imbalance running fastest."""
    return [Student(scale=tau, imbalance=delta, seed=s) for s, tau, delta in product(seeds, scales, imbalances)]


def squared_error(students: Ensemble, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean of (output - target)^2 of each member, (member)."""
    return (students(inputs)[..., 0] - targets).square().mean(1)


def teach(students: Sequence[Student], lesson: Lesson, looks: Sequence[int]) -> xr.Dataset:
    """Full-batch gradient descent on the mean squared error, looked at after these numbers of steps.

    Kernel and charges are those of the metric that the learning rates make: of q_i/sqrt(eta_i) for each layer i, over
    the geometric mean of both rates. With equal rates that is the plain kernel, and a^2 - |w|^2.

    Returns:
        Dataset along (student, look): kernel_distance, 1 - <K_0, K>/(|K_0| |K|) on the training inputs; test_loss, in
        ℓ; flipped, the share of units and samples whose gate has switched; time, in w²/ℓ. Along (student): residual,
        what the law of the charges leaves at most of a unit's charge in a step, and drift, by how much one has moved.
    """
    ensemble = Ensemble([lesson.network(student) for student in students])
    batch, test = (_stacked(students, lesson, count) for count in (lesson.samples, TEST))
    rates, none = [student.learning_rate for student in students], [0.0] * len(students)
    ratio = np.sqrt([student.rate_ratio for student in students])
    names = first, second = list(ensemble.parameters)
    factors = {first: list(ratio), second: list(1 / ratio)}
    update = MemberHeavyBall(ensemble.parameters, lambda _: rates, none, none, factors=factors)
    units = torch.from_numpy(np.sqrt(ratio))[:, None, None]  # of w in the metric; those of a are the inverse
    rate = torch.tensor(rates, dtype=torch.float64)[:, None]

    def metric(at: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        return at[first].detach() / units, at[second].detach() * units

    x, start = batch[0].flatten(2), metric(ensemble.parameters)
    kernel, gate = lesson.kernel(*start, x), x @ start[0].mT > 0
    residual, rows = torch.zeros(len(students), dtype=torch.float64), []
    for step in training(ensemble, update, repeat(batch, max(looks)), loss=squared_error, observe=names):
        slope = step.gradients[first] * units, step.gradients[second] / units
        moved = _charges(*metric(step.after)) - _charges(*metric(step.before))
        residual = torch.maximum(residual, (moved - rate**2 * _charges(*slope)).abs().amax(1))
        if step.index + 1 in looks:
            w, a = metric(step.after)
            distance = 1 - _cosine(kernel, lesson.kernel(w, a, x))
            flipped = ((x @ w.mT > 0) != gate).double().mean((1, 2))
            rows.append(torch.stack([distance, squared_error(ensemble, *test).detach(), flipped]))
    both, (distance, test_loss, flipped) = ("student", "look"), torch.stack(rows, -1).numpy()
    drift = (_charges(*metric(ensemble.parameters)) - _charges(*start)).abs().amax(1)
    return xr.Dataset(
        {
            "kernel_distance": (both, distance, {"units": "1"}),
            "test_loss": (both, test_loss, {"units": "ℓ"}),
            "flipped": (both, flipped, {"units": "1"}),
            "time": (both, np.outer(rates, looks), {"units": "w²/ℓ"}),
            "residual": ("student", residual.numpy(), {"units": "w²"}),
            "drift": ("student", drift.numpy(), {"units": "w²"}),
        },
        coords={"look": list(looks)},
    )


def _directions(random: np.random.Generator, count: int, size: int) -> np.ndarray:
    x = random.normal(size=(count, size))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _stacked(students: Sequence[Student], lesson: Lesson, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (member, sample, input, 1, 1) and targets (member, sample)."""
    inputs, targets = zip(*(lesson.samples_of(student.seed, count) for student in students), strict=True)
    return torch.stack(inputs)[..., None, None], torch.stack(targets)


def _charges(w: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """a^2 - |w|^2 of each unit, shape (member, unit)."""
    return a[:, 0].square() - w.square().sum(2)


def _cosine(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Of the angle between two matrices of each member."""
    return (first * second).sum((1, 2)) / (first.norm(dim=(1, 2)) * second.norm(dim=(1, 2)))
