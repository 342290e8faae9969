"""Two linear layers that SGD trains on fresh noisy samples: how far the noise of the two is from balance.

The loss |U W x - y|^2/2 of every mini-batch has the general linear symmetry W -> T W, U -> U T^{-1}. Its charges
U^T U - W W^T change by eta^2 (G_U^T G_U - G_W G_W^T) in a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nld.experiment.studies.noisy_steps import draws
from nld.finder import Block, Member, orbit_optimum

SAMPLED_EVERY = 10  # steps between two looks at singular values


@dataclass(frozen=True)
class PairTask:
    """y = A x + noise with one random A a seed; x and the noise are normal and independent by coordinate.

    Args:
        inputs, outputs: deviations of x and of the noise, one a coordinate.
        hidden: units between the layers.
        batch: samples of a mini-batch.
        sizes: deviation of the entries of the larger and of the smaller layer at the start.
    """

    inputs: tuple[float, ...] = (1.2, 1.0, 0.8, 0.7, 0.6, 0.5)
    outputs: tuple[float, ...] = (1.5, 1.2, 0.9, 0.6, 0.4)
    hidden: int = 4
    batch: int = 4
    sizes: tuple[float, float] = (0.8, 0.2)

    def target(self, seed: int) -> np.ndarray:
        """A, shape (outputs, inputs)."""
        random = np.random.default_rng([seed, 2])
        return random.normal(size=(len(self.outputs), len(self.inputs))) / np.sqrt(len(self.inputs))

    def start(self, seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        """W and U of a start: U is the larger one in those of even number, W in those of odd number."""
        random = np.random.default_rng([seed, 3, number])
        large, small = self.sizes
        of_inner, of_outer = (large, small) if number % 2 else (small, large)
        inner = of_inner * random.normal(size=(self.hidden, len(self.inputs)))
        return inner, of_outer * random.normal(size=(len(self.outputs), self.hidden))

    def best(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """W and U of the least mean loss, with one of the many balances that have it."""
        u, s, v = np.linalg.svd(self.target(seed) * self.inputs, full_matrices=False)
        root = np.sqrt(s[: self.hidden])
        return root[:, None] * v[: self.hidden] / self.inputs, u[:, : self.hidden] * root


@dataclass(frozen=True, eq=False)
class LinearPair:
    """What was summed up to each of some counts of steps; leading axes (counts, runs).

    Args:
        steps: the counts.
        noise_inner, noise_outer: sums of G_W G_W^T and G_U^T G_U of the mini-batches, shape (..., hidden, hidden).
        moved: U^T U - W W^T after the steps, minus that at the start.
        singular_values: mean of those of U since the count before.
        inner, outer: W and U after the steps.
    """

    steps: np.ndarray
    noise_inner: np.ndarray
    noise_outer: np.ndarray
    moved: np.ndarray
    singular_values: np.ndarray
    inner: np.ndarray
    outer: np.ndarray

    @property
    def imbalance(self) -> np.ndarray:
        """|G_U^T G_U - G_W G_W^T| / |G_U^T G_U + G_W G_W^T| of the averages over all steps, (counts, runs)."""
        return _relative(self.noise_outer, self.noise_inner)

    @property
    def norm_imbalance(self) -> np.ndarray:
        """|U^T U - W W^T| / |U^T U + W W^T|, (counts, runs)."""
        return _relative(self.outer.mT @ self.outer, self.inner @ self.inner.mT)


def train(
    task: PairTask, seeds: Sequence[int], starts: int, rate: float, counts: Sequence[int], full: bool = False
) -> LinearPair:
    """Every seed from each start, in the order (seed, start); the starts of one seed see the same mini-batches.

    ``full``: steps with the mean over all samples that there are; the mini-batches are only looked at.
    """
    inputs, outputs = np.array(task.inputs), np.array(task.outputs)
    target = np.repeat([task.target(seed) for seed in seeds], starts, 0)
    first = [task.start(seed, number) for seed in seeds for number in range(starts)]
    inner, outer = (np.stack(layers) for layers in zip(*first, strict=True))
    charge = outer.mT @ outer - inner @ inner.mT
    noise_inner, noise_outer = np.zeros_like(charge), np.zeros_like(charge)
    rows, values = [], []
    for number, sample in enumerate(draws(seeds, max(counts), (task.batch, len(inputs) + len(outputs))), 1):
        sample = np.repeat(sample, starts, 0)
        x, noise = inputs * sample[..., : len(inputs)], outputs * sample[..., len(inputs) :]
        error = outer @ inner - target
        slope = (x @ error.mT - noise).mT @ x / task.batch  # of the loss, as a function of U W
        g_inner, g_outer = outer.mT @ slope, slope @ inner.mT
        noise_inner += g_inner @ g_inner.mT
        noise_outer += g_outer.mT @ g_outer
        if full:
            slope = error * inputs**2
            g_inner, g_outer = outer.mT @ slope, slope @ inner.mT
        inner, outer = inner - rate * g_inner, outer - rate * g_outer
        if number % SAMPLED_EVERY == 0:
            values.append(np.linalg.svd(outer, compute_uv=False))
        if number in counts:
            moved = outer.mT @ outer - inner @ inner.mT - charge
            mean = np.mean(values or [np.linalg.svd(outer, compute_uv=False)], axis=0)
            rows.append((noise_inner.copy(), noise_outer.copy(), moved, mean, inner, outer))
            values = []
    return LinearPair(np.array(counts), *(np.stack(each) for each in zip(*rows, strict=True)))


def resting_values(task: PairTask, seed: int, samples: int = 20_000) -> np.ndarray:
    """Singular values of U where the noise at the least mean loss is in balance, decreasing.

    Without decay the size of the mini-batches does not matter: at a minimum it scales all noise alike.
    """
    inner, outer = task.best(seed)
    random = np.random.default_rng([seed, 6])
    x = random.normal(size=(samples, len(task.inputs))) * task.inputs
    noise = random.normal(size=(samples, len(task.outputs))) * task.outputs
    slope = (x @ (outer @ inner - task.target(seed)).T - noise)[:, :, None] * x[:, None]
    gradients = {"inner": torch.from_numpy(outer.T @ slope), "outer": torch.from_numpy(slope @ inner.T)}
    parameters = {"inner": torch.from_numpy(inner), "outer": torch.from_numpy(outer)}
    moved = orbit_optimum(block(task), gradients).moved(parameters)
    return torch.linalg.svdvals(moved["outer"]).numpy()


def block(task: PairTask) -> Block:
    """The general linear symmetry of the two layers."""
    hidden, inputs, outputs = task.hidden, len(task.inputs), len(task.outputs)
    return Block(
        "general_linear",  # type: ignore[arg-type]
        "inner → outer",
        (
            Member("inner", (1, hidden, inputs), (0,), 1.0, matrix_axis=1),
            Member("outer", (1, outputs, hidden), (0,), -1.0, matrix_axis=2),
        ),
    )


def _relative(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a - b| / |a + b| of matrices."""
    return np.linalg.norm(a - b, axis=(-2, -1)) / np.linalg.norm(a + b, axis=(-2, -1))
