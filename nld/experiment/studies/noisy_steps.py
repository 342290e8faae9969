"""SGD on fresh noisy samples in two small models with a symmetry, many runs side by side.

- ``valley``: l = (u w x - y)^2, whose charge is u^2 - w^2 (rescale);
- ``normalized``: l = (x.q/|q| - y)^2/2, whose charge is |q|^2 (scale).

The noise of a run depends on its seed alone and not on what else is run. ``decay`` is the gamma of a penalty
gamma |q|^2, whose gradient is 2 gamma q.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

CHUNK = 500  # steps whose samples are drawn at once


def draws(seeds: Sequence[int], steps: int, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Standard normal numbers of each step, shape (seeds, *shape), from one generator a seed."""
    generators = [np.random.default_rng([seed, 1]) for seed in seeds]
    for first in range(0, steps, CHUNK):
        count = min(CHUNK, steps - first)
        yield from np.stack([random.normal(size=(count, *shape)) for random in generators], 1)


@dataclass(frozen=True, eq=False)
class Valley:
    """Runs in the plane of two weights: ``position`` (steps + 1, runs, 2) and the slope g = 2 (u w x - y) x there."""

    position: np.ndarray
    slope: np.ndarray

    @property
    def charge(self) -> np.ndarray:
        """u^2 - w^2, shape (steps + 1, runs)."""
        return self.position[..., 0] ** 2 - self.position[..., 1] ** 2


def valley(
    start: np.ndarray, rate: float, steps: int, *, noise: float, decay: float = 0.0, full: bool = False, seed: int = 0
) -> Valley:
    """Runs from each point of ``start``, shape (runs, 2), each on its own samples x ~ N(0, 1), y = x + noise.

    The minima of the mean loss are u w = 1.

    Args:
        full: steps with the mean over all samples that there are, whose slope is 2 (u w - 1), instead of one sample.
        seed: of the first run; the next ones have the next seeds.
    """
    q, position, slopes = np.array(start, float), [], []
    for sample in draws(range(seed, seed + len(q)), steps, (2,)):
        product = q.prod(1)
        x, y = sample[:, 0], sample[:, 0] + noise * sample[:, 1]
        slope = 2 * (product - 1) if full else 2 * (product * x - y) * x
        position.append(q)
        slopes.append(slope)
        q = (1 - 2 * rate * decay) * q - rate * slope[:, None] * q[:, ::-1]
    return Valley(np.stack([*position, q]), np.stack(slopes))


def normalized(
    start: np.ndarray, rate: float, steps: int, *, noise: float, decay: np.ndarray, seeds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """|q|^2 before each step and at the end, (steps + 1, runs), and |g|^2 at each step, (steps, runs).

    x ~ N(0, 1) in each coordinate, y = x.t + noise with |t| = 1.

    Args:
        start: q, shape (runs, dimension).
        decay: gamma of each run.
        seeds: of the samples, one a run.
    """
    q, target = np.array(start, float), np.eye(start.shape[1])[0]
    squared_norm, squared_gradient = [], []
    for sample in draws(seeds, steps, (start.shape[1] + 1,)):
        x, y = sample[:, :-1], sample[:, :-1] @ target + noise * sample[:, -1]
        squared = (q**2).sum(1)
        norm = np.sqrt(squared)
        along = (x * q).sum(1) / norm
        g = ((along - y) / norm)[:, None] * (x - (along / norm)[:, None] * q)
        squared_norm.append(squared)
        squared_gradient.append((g**2).sum(1))
        q = (1 - 2 * rate * decay)[:, None] * q - rate * g
    return np.stack([*squared_norm, (q**2).sum(1)]), np.stack(squared_gradient)
