"""Bregman potentials: the geometry in which a learning rule measures its steps, as maps on numpy arrays."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from nld.errors import InvalidInput


@dataclass(frozen=True)
class Potential:
    """A Bregman distance-generating function h, strictly convex, through the maps it defines.

    Args:
        name: "euclidean", "entropy", ...
        value: h(q), summed over the last axis.
        gradient: the mirror map z = grad h(q).
        inverse: q as a function of z, the gradient of the convex conjugate.
        inverse_metric: (q, g) -> F(q)^{-1} g with F = Hessian of h.
    """

    name: str
    value: Callable[[Any], Any]
    gradient: Callable[[Any], Any]
    inverse: Callable[[Any], Any]
    inverse_metric: Callable[[Any, Any], Any]


euclidean = Potential(
    "euclidean",
    value=lambda q: (q * q).sum(-1) / 2,
    gradient=lambda q: q,
    inverse=lambda z: z,
    inverse_metric=lambda q, g: g,
)

entropy = Potential(
    "entropy",  # h = sum q log q - q on q > 0: exponentiated gradient
    value=lambda q: (q * np.log(q) - q).sum(-1),
    gradient=np.log,
    inverse=np.exp,
    inverse_metric=lambda q, g: q * g,
)

burg = Potential(
    "Burg",  # h = -sum log q on q > 0: its divergence (Itakura and Saito's) sees only ratios
    value=lambda q: -np.log(q).sum(-1),
    gradient=lambda q: -1 / q,
    inverse=lambda z: -1 / z,
    inverse_metric=lambda q, g: q * q * g,
)


def p_norm(p: float) -> Potential:
    """h = sum |q|^p / (p (p - 1)), so F = |q|^{p-2}; p > 1, and p = 2 is Euclidean.

    Its flow conserves sum |q_in|^p - sum |q_out|^p under a rescale symmetry.

    Raises:
        ValueError: p is 1 or less.
    """
    if isinstance(p, Real) and not p > 1:
        raise InvalidInput(f"expected p > 1, got {p}; use p_norm(2) for the Euclidean potential")
    return Potential(
        f"{p}-norm",
        value=lambda q: (np.abs(q) ** p).sum(-1) / (p * (p - 1)),
        gradient=lambda q: np.sign(q) * np.abs(q) ** (p - 1) / (p - 1),
        inverse=lambda z: np.sign(z) * ((p - 1) * np.abs(z)) ** (1 / (p - 1)),
        inverse_metric=lambda q, g: np.abs(q) ** (2 - p) * g,
    )


def quadratic_form(matrix: np.ndarray) -> Potential:
    """h = q.M q / 2 with M symmetric and positive definite: a constant, non-Euclidean metric.

    Raises:
        ValueError: M is not symmetric or not positive definite.
    """
    matrix = np.asarray(matrix, float)
    if matrix.ndim != 2 or not np.array_equal(matrix, matrix.T) or np.linalg.eigvalsh(matrix)[0] <= 0:
        raise InvalidInput(f"expected a symmetric positive definite matrix, got {matrix.tolist()}; use (M + M.T)/2")
    inverse = np.linalg.inv(matrix)
    return Potential(
        "quadratic form",
        value=lambda q: (q * (q @ matrix)).sum(-1) / 2,
        gradient=lambda q: q @ matrix,
        inverse=lambda z: z @ inverse,
        inverse_metric=lambda q, g: g @ inverse,
    )
