"""Low-rank adapters of a linear layer, begun at two places of one orbit: which rules reach one product from both.

The loss sees B A alone. A rule that commutes with G takes G A, B G^{-1} to the same products as A, B.
"""

from collections.abc import Callable
from itertools import repeat

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, jacrev

from nld.experiment.studies.head_bases import Draw, invertibles, polar_factor, rotations, signed_permutations
from nld.experiment.training.loop import Tensors, training
from nld.experiment.training.networks import from_seed
from nld.learning_rules.rules import LearningRule, adam, heavy_ball
from nld.learning_rules.spectral import muon

INPUTS, OUTPUTS, RANK, SAMPLES = 12, 8, 3, 64
SCALED_RATE = 0.1
RULES: dict[str, LearningRule] = {
    "Adam": adam(0.02, 0.9, 0.99, epsilon=1e-12),
    "heavy ball": heavy_ball(0.02, 0.9),
    "Muon": muon(0.02, 0.9, orthogonalized=polar_factor),
}
CHANGES: dict[str, Draw] = {
    "signed permutation": signed_permutations,
    "rotation": rotations,
    "any invertible": invertibles,
}


class Adapted(nn.Module):
    """x -> (W + B A) x with a fixed W."""

    weight: torch.Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randn(OUTPUTS, INPUTS) / INPUTS**0.5)
        self.a = nn.Parameter(torch.randn(RANK, INPUTS) / INPUTS**0.5)
        self.b = nn.Parameter(torch.randn(OUTPUTS, RANK) / RANK**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (self.weight + self.b @ self.a).mT


def adapted(seed: int = 0) -> tuple[Adapted, torch.Tensor, torch.Tensor]:
    """A layer with adapters, inputs, and targets of another layer, in double precision."""
    model = from_seed(seed, Adapted, torch.float64)
    generator = torch.Generator().manual_seed(seed + 1)
    x = torch.randn(SAMPLES, INPUTS, dtype=torch.float64, generator=generator)
    return model, x, x @ torch.randn(INPUTS, OUTPUTS, dtype=torch.float64, generator=generator) / INPUTS**0.5


def squared_error(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Half the mean square of an output's error, in ℓ."""
    return (model(x) - y).square().mean() / 2


def scaled_gradient(model: Adapted, learning_rate: float) -> Callable[[int, Tensors], None]:
    """A <- A - eta (B^T B)^{-1} g_A, B <- B - eta g_B (A A^T)^{-1}: commutes with every invertible matrix.

    References: Tong, Ma and Chi 2021.
    """

    @torch.no_grad()
    def update(_: int, gradients: Tensors) -> None:
        step_a = torch.linalg.solve(model.b.mT @ model.b, gradients["a"])
        step_b = torch.linalg.solve(model.a @ model.a.mT, gradients["b"].mT).mT
        model.a.sub_(learning_rate * step_a)
        model.b.sub_(learning_rate * step_b)

    return update


def train(model: Adapted, name: str, x: torch.Tensor, y: torch.Tensor, steps: int) -> None:
    """Full batches under a rule of ``RULES``, or "scaled gradient"."""
    update = scaled_gradient(model, SCALED_RATE) if name == "scaled gradient" else RULES[name]
    for _ in training(model, update, repeat((x, y), steps), loss=squared_error):
        pass


def distance_of_products(name: str, change: str, steps: int = 200, seed: int = 0) -> float:
    """|B' A' - B A| / |B A - B_0 A_0| after training from A, B and from G A, B G^{-1} under a rule.

    Args:
        name: of a rule in ``RULES``, or "scaled gradient".
        change: what G is, one of ``CHANGES``.
    """
    matrix = torch.as_tensor(CHANGES[change](1, RANK, np.random.default_rng([seed, 2]))[0])
    products = []
    for basis in (None, matrix):
        model, x, y = adapted(seed)
        if basis is not None:
            with torch.no_grad():
                model.a.copy_(basis @ model.a)
                model.b.copy_(model.b @ torch.linalg.inv(basis))
        first = (model.b @ model.a).detach()
        train(model, name, x, y, steps)
        products.append((model.b @ model.a).detach())
    return float((products[1] - products[0]).norm() / (products[0] - first).norm())


def along_an_orbit(a: np.ndarray, b: np.ndarray, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """G A (count, rank, inputs) and B G^{-1} (count, outputs, rank), from G = 1 to ever wider spread random G."""
    random = np.random.default_rng([seed, 3])
    left, right = (rotations(count, RANK, random) for _ in range(2))
    spread = np.linspace(0, 1.5, count)[:, None, None]
    g = (left * np.exp(spread * random.uniform(-1, 1, (count, 1, RANK)))) @ right
    return g @ a, b @ np.linalg.inv(g)


def hessian_condition(a: np.ndarray, b: np.ndarray) -> float:
    """Largest over smallest nonzero eigenvalue of the Hessian of |B A - M|^2/2 at its minimum, from all derivatives."""
    model, _, _ = adapted()
    point = {"a": torch.as_tensor(a), "b": torch.as_tensor(b)}
    identity = torch.eye(INPUTS, dtype=torch.float64)
    derivatives = jacrev(lambda q: functional_call(model, q, (identity,)).flatten())(point)
    s = torch.linalg.svdvals(torch.cat([part.flatten(1) for part in derivatives.values()], 1))
    return float((s[0] / s[RANK * (INPUTS + OUTPUTS - RANK) - 1]) ** 2)
