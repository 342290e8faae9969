"""A linear neural ODE and its discretization by residual layers: maps, losses, gradients and what layers conserve.

x' = W(t) x + b(t) on 0 <= t <= 1. L layers x <- x + (W_l x + b_l)/L stand for it, with W_l = W at (l + 1/2)/L. A point
is flat; ``fields`` has the shape (..., L, d, d + 1), the bias in the last column.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

Field = Callable[[float | np.ndarray], np.ndarray]  # W and b at a depth, shape (..., d, d + 1)


@dataclass(frozen=True, eq=False)
class ResidualChain:
    """L linear residual layers with biases.

    Args:
        layers: L.
        x: inputs, shape (samples, d).
        y: targets of the same shape.
    """

    layers: int
    x: np.ndarray
    y: np.ndarray

    def fields(self, q: np.ndarray) -> np.ndarray:
        """W and b of every layer of a flat point, shape (..., L, d, d + 1)."""
        d = self.x.shape[1]
        return q.reshape(*q.shape[:-1], self.layers, d, d + 1)

    def start(self, field: Field) -> np.ndarray:
        """The flat point whose layers are ``field`` at their depths."""
        return field((np.arange(self.layers) + 0.5) / self.layers).ravel()

    def loss(self, q: np.ndarray) -> float:
        """Mean over samples of |output - y|^2 / 2."""
        return float(((self._states(self.fields(q))[-1] - self.y) ** 2).sum() / 2 / len(self.x))

    def gradient(self, q: np.ndarray) -> np.ndarray:
        """L times the derivatives by the entries, flat: a density over the depth, which has a limit for many layers."""
        fields = self.fields(q)
        states = self._states(fields)
        back, found = (states[-1] - self.y) / len(self.x), np.empty_like(fields)
        for index in reversed(range(self.layers)):
            found[index, :, :-1] = back.T @ states[index]
            found[index, :, -1] = back.sum(0)
            back = back + back @ fields[index, :, :-1] / self.layers
        return found.ravel()

    def charges(self, q: np.ndarray) -> np.ndarray:
        """A_{l+1}^T A_{l+1} - A_l A_l^T - c_l c_l^T of the layers x -> A x + c, times L^2; shape (..., L - 1, d, d)."""
        fields, h = self.fields(q), 1 / self.layers
        matrix, bias = np.eye(self.x.shape[1]) + h * fields[..., :-1], h * fields[..., -1:]
        lower = matrix @ matrix.mT + bias @ bias.mT
        return (matrix[..., 1:, :, :].mT @ matrix[..., 1:, :, :] - lower[..., :-1, :, :]) / h**2

    def _states(self, fields: np.ndarray) -> list[np.ndarray]:
        states = [self.x]
        for layer in fields:
            x = states[-1]
            states.append(x + (x @ layer[:, :-1].T + layer[:, -1]) / self.layers)
        return states


def smooth_field(seed: int, size: int = 3, amplitude: float = 0.5) -> Field:
    """A random W and b that are waves in the depth: constant, half and whole periods."""
    waves = amplitude * np.random.default_rng(seed).normal(size=(4, size, size + 1))

    def field(t):
        t = np.asarray(t, float)
        parts = (np.ones_like(t), np.cos(np.pi * t), np.sin(np.pi * t), np.cos(2 * np.pi * t))
        return np.sum([part[..., None, None] * wave for part, wave in zip(parts, waves, strict=True)], axis=0)

    return field


def task(seed: int, size: int = 3, samples: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Normal inputs, and targets that an affine map makes of them."""
    random = np.random.default_rng([seed, 1])
    x = random.normal(size=(samples, size))
    return x, x @ (np.eye(size) + 0.6 * random.normal(size=(size, size))).T + 0.6 * random.normal(size=size)


def transport(field: Field, size: int = 3) -> np.ndarray:
    """The map of x' = W x + b from depth 0 to 1, shape (d, d + 1): its matrix, and in the last column its shift."""

    def slope(t: float, flat: np.ndarray) -> np.ndarray:
        at, state = field(t), flat.reshape(size, size + 1)
        moved = at[:, :-1] @ state
        moved[:, -1] += at[:, -1]
        return moved.ravel()

    solution = solve_ivp(slope, (0, 1), np.eye(size, size + 1).ravel(), "DOP853", rtol=1e-13, atol=1e-14)
    return solution.y[:, -1].reshape(size, size + 1)
