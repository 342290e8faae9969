"""ReLU networks with one hidden layer, trained on single noisy samples, and where noise would let their units rest.

Many networks side by side, one a seed; a hidden unit's incoming weights times a and its outgoing ones over a are the
same network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from nld.finder import Block, Member, OrbitOptimum, orbit_optimum

INPUTS, HIDDEN, OUTPUTS, SAMPLES = 5, 8, 3, 128
NOISE = 1.0  # deviation of what is added to each target
SPREAD = 0.5  # deviation of the logarithm of the factor by which each unit is out of balance at the start


@dataclass(frozen=True, eq=False)
class Networks:
    """Networks and the samples of each.

    Args:
        inner, outer: weights, shape (runs, hidden, inputs) and (runs, outputs, hidden).
        x, y: shape (runs, samples, inputs) and (runs, samples, outputs); the loss is the mean of |output - y|^2/2.
    """

    inner: np.ndarray
    outer: np.ndarray
    x: np.ndarray
    y: np.ndarray

    def losses(self) -> np.ndarray:
        """Of each run on its samples."""
        residual, _, _ = self._backward(self.x, self.y)
        return (residual**2).sum(-1).mean(-1) / 2

    def step(self, x: np.ndarray, y: np.ndarray, rate: float) -> "Networks":
        """One step of gradient descent on the mean over these samples."""
        residual, hidden, back = self._backward(x, y)
        inner = self.inner - rate / x.shape[1] * (back.mT @ x)
        outer = self.outer - rate / x.shape[1] * (residual.mT @ hidden)
        return replace(self, inner=inner, outer=outer)

    def squared_gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean over samples of |g|^2 of the incoming and of the outgoing weights of each unit, (runs, hidden)."""
        residual, hidden, back = self._backward(self.x, self.y)
        lengths = (self.x**2).sum(-1)[..., None], (residual**2).sum(-1)[..., None]
        return (back**2 * lengths[0]).mean(1), (hidden**2 * lengths[1]).mean(1)

    def optimum(self, run: int) -> OrbitOptimum:
        """Of the units of one run, under the noise of single samples."""
        residual, hidden, back = (part[run] for part in self._backward(self.x, self.y))
        gradients = {"inner": back[:, :, None] * self.x[run, :, None], "outer": residual[:, :, None] * hidden[:, None]}
        return orbit_optimum(block(), {name: torch.from_numpy(g) for name, g in gradients.items()})

    def at_optimum(self) -> "Networks":
        """The same functions at the optimum of each unit."""
        parameters = [
            {"inner": torch.from_numpy(w), "outer": torch.from_numpy(u)}
            for w, u in zip(self.inner, self.outer, strict=True)
        ]
        moved = [self.optimum(run).moved(each) for run, each in enumerate(parameters)]
        inner, outer = (np.stack([each[name].numpy() for each in moved]) for name in ("inner", "outer"))
        return replace(self, inner=inner, outer=outer)

    def rescaled(self, log_factor: float) -> "Networks":
        """All units moved along their orbits by one factor."""
        return replace(self, inner=self.inner * np.exp(log_factor), outer=self.outer * np.exp(-log_factor))

    def distances(self) -> np.ndarray:
        """Mean |s*| of the units of each run."""
        return np.array([float(self.optimum(run).distance.mean()) for run in range(len(self.inner))])

    def _backward(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Residuals, activities of hidden units and the loss's slope by their sums, each (runs, samples, ...)."""
        hidden = np.maximum(x @ self.inner.mT, 0)
        residual = hidden @ self.outer.mT - y
        return residual, hidden, (residual @ self.outer) * (hidden > 0)


def block() -> Block:
    """The rescale symmetry of the hidden units."""
    members = (Member("inner", (HIDDEN, INPUTS)), Member("outer", (OUTPUTS, HIDDEN), (1,), -1.0))
    return Block("rescale", "inner → outer", members)  # type: ignore[arg-type]


def start(seeds: Sequence[int]) -> Networks:
    """A random network a seed, its units out of balance, and noisy samples of another one."""
    parts = []
    for seed in seeds:
        random = np.random.default_rng([seed, 4])
        teacher, student = ((_random(random, HIDDEN, INPUTS), _random(random, OUTPUTS, HIDDEN)) for _ in range(2))
        factor = np.exp(SPREAD * random.normal(size=HIDDEN))
        x = random.normal(size=(SAMPLES, INPUTS))
        y = np.maximum(x @ teacher[0].T, 0) @ teacher[1].T + NOISE * random.normal(size=(SAMPLES, OUTPUTS))
        parts.append((factor[:, None] * student[0], student[1] / factor, x, y))
    return Networks(*(np.stack(each) for each in zip(*parts, strict=True)))


def train(
    networks: Networks, rate: float, counts: Sequence[int], seeds: Sequence[int], full: bool = False
) -> Iterator[Networks]:
    """The networks after each of the counts of steps, each on a sample drawn at random, or on all (``full``)."""
    runs = np.arange(len(networks.inner))
    order = [np.random.default_rng([seed, 5]).integers(SAMPLES, size=max(counts)) for seed in seeds]
    for number, rows in enumerate(np.stack(order, 1)):
        if number in counts:
            yield networks
        x, y = networks.x, networks.y
        if not full:
            x, y = x[runs, rows][:, None], y[runs, rows][:, None]
        networks = networks.step(x, y, rate)
    yield networks


def _random(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Entries of deviation 1/sqrt(columns)."""
    return random.normal(size=(rows, columns)) / np.sqrt(columns)
