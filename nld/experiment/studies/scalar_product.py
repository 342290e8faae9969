"""Gradient descent on a product of scalars, (u_1 ... u_D - y)^2/2, where steps may be too large for the valley."""

from dataclasses import dataclass

import numpy as np

from nld.experiment.training.runge_kutta import runge_kutta
from nld.learning_rules.rules import gradient_descent, iterate

LOST = 1e6  # a run with a factor beyond this has diverged
CONVERGED = 1e-6  # residual at the end of a run that has converged, in w^D


@dataclass(frozen=True, eq=False)
class ScalarProduct:
    """The product of the last axis and what it shall become; leading axes are runs side by side.

    Args:
        target: y, a number or one for each run.
    """

    target: float | np.ndarray

    def residual(self, q: np.ndarray) -> np.ndarray:
        """u_1 ... u_D - y, shape (...)."""
        return q.prod(-1) - self.target

    def others(self, q: np.ndarray) -> np.ndarray:
        """The product of all factors but one, for each of them."""
        return np.stack([np.delete(q, index, -1).prod(-1) for index in range(q.shape[-1])], axis=-1)

    def gradient(self, q: np.ndarray) -> np.ndarray:
        """Of half the squared residual; zero for runs that have diverged, so that they stop there."""
        lost = np.abs(q).max(-1, keepdims=True) > LOST
        safe = np.where(lost, 0.0, q)
        return np.where(lost, 0.0, self.residual(safe)[..., None] * self.others(safe))

    def sharpness(self, q: np.ndarray) -> np.ndarray:
        """Largest eigenvalue of the Hessian, by differences of the gradient."""
        size, step = q.shape[-1], 1e-5
        shifts = step * np.eye(size).reshape(size, *[1] * (q.ndim - 1), size)
        columns = (self.gradient(q + shifts) - self.gradient(q - shifts)) / (2 * step)
        hessian = np.moveaxis(columns, 0, -1)
        return np.linalg.eigvalsh((hessian + hessian.mT) / 2)[..., -1]


def descend(product: ScalarProduct, q: np.ndarray, rate, steps: int) -> np.ndarray:
    """Points of gradient descent, shape (steps + 1, runs, factors); ``rate`` is a number or one for each run."""
    rates = np.broadcast_to(np.asarray(rate, float), q.shape[:-1])[..., None]
    return iterate(gradient_descent(1.0), lambda point: rates * product.gradient(point), q, steps).position


def flow(product: ScalarProduct, q: np.ndarray, end: float, step: float) -> np.ndarray:
    """Points of gradient flow."""
    return runge_kutta(lambda point: -product.gradient(point), q, end, step)
