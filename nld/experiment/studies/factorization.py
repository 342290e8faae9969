"""Two linear layers under momentum: their symmetric and antisymmetric charges, along the flow and in steps."""

from dataclasses import dataclass

import numpy as np

from nld.experiment.training.runge_kutta import runge_kutta

FRICTION = 0.7


@dataclass(frozen=True, eq=False)
class Path:
    """Positions q = (U; V) of shape (times, n + m, r), velocities alike, at times of shape (times,)."""

    time: np.ndarray
    position: np.ndarray
    velocity: np.ndarray

    @property
    def antisymmetric(self) -> np.ndarray:
        """J = q^T v - v^T q, the charge of a rotation of the hidden units, shape (times, r, r)."""
        product = self.position.mT @ self.velocity
        return product - product.mT


def target(seed: int, n: int, m: int) -> np.ndarray:
    """The matrix that the product shall become."""
    return np.random.default_rng(seed).normal(size=(n, m))


def start(seed: int, n: int, m: int, r: int) -> tuple[np.ndarray, np.ndarray]:
    """A random position and a random velocity."""
    random = np.random.default_rng(seed + 1)
    return 0.7 * random.normal(size=(n + m, r)), random.normal(size=(n + m, r))


def gradient(q: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Of |U V^T - goal|^2 / 2."""
    u, v = q[: len(goal)], q[len(goal) :]
    residual = u @ v.T - goal
    return np.concatenate([residual @ v, residual.T @ u])


def flow(q: np.ndarray, v: np.ndarray, goal: np.ndarray, end: float, step: float) -> Path:
    """q'' + FRICTION q' = -grad by Runge and Kutta's method of order four."""

    def slope(state: np.ndarray) -> np.ndarray:
        return np.stack([state[1], -FRICTION * state[1] - gradient(state[0], goal)])

    position, velocity = runge_kutta(slope, np.stack([q, v]), end, step).swapaxes(0, 1)
    return Path(step * np.arange(len(position)), position, velocity)


def heavy_ball(q: np.ndarray, v: np.ndarray, goal: np.ndarray, rate: float, momentum: float, steps: int, seed: int):
    """Heavy ball on noisy targets; ``velocity[n]`` is the buffer after step n, ``position[n]`` where it began."""
    random, buffer = np.random.default_rng(seed), -v
    positions, buffers = [], []
    for _ in range(steps):
        buffer = momentum * buffer + gradient(q, goal + 0.3 * random.normal(size=goal.shape))
        positions.append(q)
        buffers.append(buffer)
        q = q - rate * buffer
    return Path(rate * np.arange(steps), np.stack(positions), np.stack(buffers))
