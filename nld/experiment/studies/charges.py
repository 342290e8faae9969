"""Translation, scale and rescale in one network: every parameter of a training run, and the charges read off it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from nld.experiment.datasets import data
from nld.experiment.training.batches import BatchOrder, mini_batches
from nld.experiment.training.loop import cross_entropy, training
from nld.experiment.training.networks import from_seed
from nld.finder import Block, find_symmetries

BATCH = 64
HIDDEN = 24
KINDS = ("translation", "scale", "rescale")
Layers = Sequence[np.ndarray]  # first weight, second weight and bias, last weight and bias, after any leading axes


@dataclass(frozen=True, eq=False)
class Run:
    """A run of gradient descent or heavy ball, in float64.

    Args:
        position: the five parameters before each step and at the end, (steps + 1, ...).
        gradient: of the batch of each step, without weight decay, (steps, ...).
        loss: of the batch of each step, (steps,).
    """

    position: Layers
    gradient: Layers
    loss: np.ndarray

    @property
    def step(self) -> Layers:
        """q_{n+1} - q_n, (steps, ...)."""
        return [np.diff(q, axis=0) for q in self.position]


def network(seed: int) -> nn.Sequential:
    """Three linear layers on digits: normalization after the first, ReLU after the first two, softmax at the end.

    The shift and the scale of the images do not matter, for the normalization removes both. Its epsilon is below
    rounding; PyTorch refuses zero.
    """

    def make() -> nn.Sequential:
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, HIDDEN, bias=False),
            nn.BatchNorm1d(HIDDEN, affine=False, eps=1e-20, track_running_stats=False),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, 10),
        )

    return from_seed(seed, make, torch.float64)


def symmetries(model: nn.Module) -> list[Block]:
    """What the library's search finds in it, with as many units as there are charges."""
    source = data.digits()
    return find_symmetries(model, source.normalized(source.train_images[:8], torch.float64), nn.CrossEntropyLoss())


def train_network(
    learning_rate: float, steps: int, *, momentum: float = 0.0, weight_decay: float = 0.0, seed: int = 0
) -> Run:
    """Train on mini-batches of digits and keep every position and every gradient."""
    source, model = data.digits(), network(seed)
    parameters = dict(model.named_parameters())
    optimizer = torch.optim.SGD(parameters.values(), lr=learning_rate, momentum=momentum, weight_decay=weight_decay)
    batches = mini_batches(source, BatchOrder(source, BATCH, seed), range(steps), torch.float64)
    start = {name: q.detach().clone() for name, q in parameters.items()}
    taken = list(training(model, optimizer, batches, observe=list(parameters)))
    return Run(
        position=[torch.stack([start[name], *(step.after[name] for step in taken)]).numpy() for name in parameters],
        gradient=[torch.stack([step.gradients[name] for step in taken]).numpy() for name in parameters],
        loss=torch.stack([step.loss for step in taken]).numpy(),
    )


def charges(q: Layers) -> dict[str, np.ndarray]:
    """What gradient flow conserves, by symmetry, (..., units).

    Translation, in w: sums of the columns of the last weight, then of its bias. Scale, in w^2: squared norms of the
    normalized rows. Rescale, in w^2: incoming minus outgoing squared norm of the units of the second ReLU.
    """
    return {"translation": shifts(q), **products(q, q)}


def drives(v: Layers) -> dict[str, np.ndarray]:
    """<v, DA v> of steps, velocities or gradients: what feeds each charge, nothing for a translation."""
    return {"translation": np.zeros_like(shifts(v)), **products(v, v)}


def along(g: Layers, q: Layers) -> dict[str, np.ndarray]:
    """<g, A(q)>, by symmetry, (..., units)."""
    return {"translation": shifts(g), **products(g, q)}


def shifts(v: Layers) -> np.ndarray:
    """<v, n> of the translations of the logits: one for each unit before them, and one for the bias."""
    return np.concatenate([v[3].sum(-2), v[4].sum(-1)[..., None]], axis=-1)


def products(u: Layers, v: Layers) -> dict[str, np.ndarray]:
    """<u, DA v> of the other two symmetries."""
    rows = [np.einsum("...ij,...ij->...i", u[i], v[i]) for i in (0, 1)]
    outgoing = np.einsum("...ij,...ij->...j", u[3], v[3])
    return {"scale": rows[0], "rescale": rows[1] + u[2] * v[2] - outgoing}


def hessian_constraints(q: Layers) -> dict[str, float]:
    """Largest entry of H A(q) + DA^T g, over the units of each symmetry, on the first ``BATCH`` images.

    Args:
        q: the five parameters at one point.
    """
    source, model = data.digits(), network(0)
    x, y = source.normalized(source.train_images[:BATCH], torch.float64), source.train_labels[:BATCH]
    parameters = list(model.parameters())
    with torch.no_grad():
        for parameter, value in zip(parameters, q, strict=True):
            parameter.copy_(torch.from_numpy(np.array(value)))
    g = torch.autograd.grad(cross_entropy(model, x, y), parameters, create_graph=True)
    worst: dict[str, float] = {}
    for kind in KINDS:
        worst[kind] = 0.0
        for unit in range(HIDDEN + (kind == "translation")):
            direction = _generator(kind, unit, parameters)
            power = torch.stack([(a * b).sum() for a, b in zip(g, direction, strict=True)]).sum()
            moved = torch.autograd.grad(power, parameters, retain_graph=True)
            turned = [0 * part for part in g] if kind == "translation" else _generator(kind, unit, g)
            left = max((a + b).abs().max().item() for a, b in zip(moved, turned, strict=True))
            worst[kind] = max(worst[kind], left)
    return worst


@torch.no_grad()
def _generator(kind: str, unit: int, v: Sequence[torch.Tensor]) -> tuple:
    """A(v) of one unit."""
    first, weight, bias, last, shift = (torch.zeros_like(part) for part in v)
    if kind == "translation":
        (last[:, unit] if unit < HIDDEN else shift).fill_(1)
    elif kind == "scale":
        first[unit] = v[0][unit]
    else:
        weight[unit], bias[unit], last[:, unit] = v[1][unit], v[2][unit], -v[3][:, unit]
    return first, weight, bias, last, shift
