"""Linear layers in a chain: what their loss depends on, and the charges of their general linear symmetry.

With P = W_{D+1} ... W_1 the loss is the mean of |P x - y|^2 plus gamma sum |W_i|^2. The data enter through two matrices
only, E[x x^T] and the best product, E[y x^T] E[x x^T]^-1. Points are flat, so that a learning rule from
``learning_rules`` steps them, and any leading axes are runs side by side.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True, eq=False)
class LinearChain:
    """Linear layers without bias, and what their product shall become.

    Args:
        widths: inputs, hidden layers, outputs.
        target: the best product, shape (outputs, inputs).
        covariance: E[x x^T], or a number a if it is a times the identity; the loss is then a |product - target|^2.
    """

    widths: tuple[int, ...]
    target: np.ndarray
    covariance: float | np.ndarray = 1.0

    def layers(self, q: np.ndarray) -> list[np.ndarray]:
        """W_1, W_2, ... of a flat point, shapes (..., out, in)."""
        return matrices(q, self.widths)

    def product(self, q: np.ndarray) -> np.ndarray:
        """W_{D+1} ... W_1, shape (..., outputs, inputs)."""
        return _products(self.layers(q))[-1]

    def gradient(self, q: np.ndarray) -> np.ndarray:
        """Of the mean squared error, flat."""
        weights = self.layers(q)
        inputs, covariance = _products(weights), np.asarray(self.covariance)
        residual = inputs[-1] - self.target
        back = 2 * (residual @ covariance if covariance.ndim else covariance * residual)
        parts = []
        for index in reversed(range(len(weights))):
            parts.append(back @ inputs[index - 1].mT if index else back)
            back = weights[index].mT @ back
        return np.concatenate([part.reshape(*q.shape[:-1], -1) for part in reversed(parts)], axis=-1)

    def charges(self, q: np.ndarray) -> list[np.ndarray]:
        """W_i W_i^T - W_{i+1}^T W_{i+1} of each hidden layer, which gradient flow without decay conserves."""
        weights = self.layers(q)
        return [w @ w.mT - after.mT @ after for w, after in pairwise(weights)]

    def start(self, seed: int, size: float) -> np.ndarray:
        """A random flat point; entries of each layer have the deviation size/sqrt(its inputs)."""
        random = np.random.default_rng(seed)
        scaled = [size / math.sqrt(n) * random.normal(size=m * n) for n, m in pairwise(self.widths)]
        return np.concatenate(scaled)

    def balanced_start(self, size: float) -> np.ndarray:
        """A flat point at which all charges are zero and every layer has the singular values ``size``.

        The outer layers have the singular vectors of the target; layers must be at least as wide as its rank.
        """
        u, _, v = np.linalg.svd(self.target, full_matrices=False)
        weights = [size * np.eye(m, n) for n, m in pairwise(self.widths)]
        rank = len(v)
        weights[0] = size * np.eye(self.widths[1], rank) @ v
        weights[-1] = size * u @ np.eye(rank, self.widths[-2])
        return np.concatenate([w.ravel() for w in weights])


def matrices(q: np.ndarray, widths: tuple[int, ...]) -> list[np.ndarray]:
    """W_1, W_2, ... between layers of these widths, of a flat point; shapes (..., out, in)."""
    shapes = [(m, n) for n, m in pairwise(widths)]
    ends = np.cumsum([rows * columns for rows, columns in shapes])[:-1]
    parts = np.split(q, ends, axis=-1)
    return [part.reshape(*q.shape[:-1], *shape) for part, shape in zip(parts, shapes, strict=True)]


def _products(weights: list[np.ndarray]) -> list[np.ndarray]:
    """W_1, W_2 W_1, ..."""
    products = [weights[0]]
    for w in weights[1:]:
        products.append(w @ products[-1])
    return products
