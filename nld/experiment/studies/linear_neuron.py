"""A linear neuron f(x) = a <w, x> that is trained: its gradient, its kernel by definition, and its imbalance.

Points are flat, q = (a, w), and any leading axes are runs side by side.
"""

from dataclasses import dataclass

import numpy as np

from nld.experiment.training.runge_kutta import runge_kutta
from nld.learning_rules.rules import gradient_descent, iterate


@dataclass(frozen=True, eq=False)
class LinearNeuron:
    """A neuron and its data; the loss is |X a w - y|^2/2.

    Args:
        x: X, shape (samples, inputs).
        y: shape (samples).
    """

    x: np.ndarray
    y: np.ndarray

    def gradient(self, q: np.ndarray) -> np.ndarray:
        """Of the loss, shape (..., 1 + inputs)."""
        a, w = q[..., :1], q[..., 1:]
        slope = (a * w @ self.x.T - self.y) @ self.x
        return np.concatenate([(w * slope).sum(-1, keepdims=True), a * slope], axis=-1)

    def kernel(self, q: np.ndarray, rate_ratio: np.ndarray | float = 1.0) -> np.ndarray:
        """sum_i eta_i df(x)/dq_i df(x')/dq_i over sqrt(eta_a eta_w), shape (..., samples, samples).

        Args:
            rate_ratio: eta_w/eta_a.
        """
        by_a = (q[..., 1:] @ self.x.T)[..., None]
        by_w = q[..., :1, None] * self.x
        root = np.sqrt(np.asarray(rate_ratio))[..., None, None]
        return by_a @ by_a.mT / root + root * (by_w @ by_w.mT)


def descend(neuron: LinearNeuron, q: np.ndarray, rate: float, steps: int, rate_ratio: np.ndarray | float = 1.0):
    """Positions of gradient descent, shape (steps + 1, ..., 1 + inputs).

    Args:
        rate: sqrt(eta_a eta_w), in w²/ℓ.
        rate_ratio: eta_w/eta_a, one a run.
    """
    root = np.sqrt(np.asarray(rate_ratio, float))[..., None]
    factors = np.concatenate([1 / root, *[root] * neuron.x.shape[1]], axis=-1)
    return iterate(gradient_descent(rate), lambda q: factors * neuron.gradient(q), q, steps).position


def flow(neuron: LinearNeuron, q: np.ndarray, end: float, step: float) -> np.ndarray:
    """Positions of gradient flow by Runge and Kutta's method of order four, shape (times, ..., 1 + inputs)."""
    return runge_kutta(lambda q: -neuron.gradient(q), q, end, step)


def kernel_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """1 - <K_0, K>/(|K_0| |K|) of two kernels, over the last two axes."""
    sizes = np.linalg.norm(first, axis=(-2, -1)) * np.linalg.norm(second, axis=(-2, -1))
    return 1 - (first * second).sum((-2, -1)) / sizes


def imbalance(q: np.ndarray) -> np.ndarray:
    """a^2 - |w|^2."""
    return q[..., 0] ** 2 - (q[..., 1:] ** 2).sum(-1)
