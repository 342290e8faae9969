"""Learning rules that treat a weight matrix as a matrix: Muon, the steepest descent of the spectral norm.

The last two axes of a point are the rows and columns of one matrix. With pi = U S V^T, the singular value decomposition
of the momentum, Muon steps along the polar factor U V^T = (pi pi^T)^{-1/2} pi, or along what a few iterations of Newton
and Schulz make of it. Both are U f(S) V^T, and so turn with the bases of rows and columns.
References: Jordan et al. 2024 (Muon).
"""

from collections.abc import Callable
from typing import Any

from nld.learning_rules.rules import LearningRule

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of Jordan's odd polynomial a s + b s^3 + c s^5
ITERATIONS = 5
TINY = 1e-30  # in the place of a norm of zero


def newton_schulz(matrix, coefficients=COEFFICIENTS, iterations: int = ITERATIONS):
    """X <- a X + b (X X^T) X + c (X X^T)^2 X, from the matrix over its Frobenius norm: nearly the polar factor.

    Singular values end near one, between 0.68 and 1.21 with these coefficients, where they begin above 0.002 of the
    norm. Any odd polynomial leaves the singular vectors as they are.

    Args:
        matrix: shape (..., rows, columns); a matrix of zeros stays one.
    """
    x = matrix / ((matrix * matrix).sum((-2, -1))[..., None, None] ** 0.5 + TINY)
    a, b, c = coefficients
    for _ in range(iterations):
        gram = x @ x.swapaxes(-1, -2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def muon(
    learning_rate: Any,
    momentum: Any = 0.95,
    weight_decay: Any = 0,
    orthogonalized: Callable[[Any], Any] = newton_schulz,
    lookahead: bool = False,
) -> LearningRule:
    """buffer <- beta buffer + (1 - beta) g, q <- (1 - eta k) q - eta orthogonalized(buffer).

    Args:
        orthogonalized: from a momentum to the direction of the step.
        lookahead: whether beta buffer + (1 - beta) g is orthogonalized instead, as is PyTorch's default (Nesterov).
    """

    def update(rule, q, state, gradient):
        (buffer,) = state or (0,)
        force = (1 - rule.momentum) * gradient(q)
        buffer = rule.momentum * buffer + force
        direction = orthogonalized(rule.momentum * buffer + force if lookahead else buffer)
        return (1 - rule.learning_rate * rule.weight_decay) * q - rule.learning_rate * direction, (buffer,)

    return LearningRule(
        "Muon", update, learning_rate, momentum, weight_decay, gradient_weight=1 - momentum, decoupled=True,
        interpolation=momentum**2 if lookahead else None,
    )  # fmt: skip
