"""The charges of a pair of layers under Muon, exactly in steps: what it turns, nothing; what it stretches, by roots.

Let the loss see only the product of two matrices, q_out q_in (values and outputs of a head, or two adapters), so that
it does not notice q_in -> G q_in, q_out -> q_out G^{-1}. The charges of all generators at once are the d x d matrix

    C_n = pi_in q_in^T - q_out^T pi_out    of <pi, A_B(q)> = sum_ab B_ab C_ab ,

with a momentum pi <- beta pi + c g. A step Delta moves them by kinetic symmetry breaking alone,

    C_{n+1} = beta (C_n + pi_in Delta_in^T - Delta_out^T pi_out) .

Under Muon Delta = -eta U f(S) V^T - eta k q for pi = U S V^T, and pi Delta^T = -eta U S f(S) U^T - eta k pi q^T, whose
first part is symmetric: the antisymmetric part of C, the charges of rotations, only decays. With f = 1 the source of
the symmetric part is a difference of square roots, (pi_in pi_in^T)^{1/2} - (pi_out^T pi_out)^{1/2}; heavy ball has
that of the squares. The laws are ours.
"""

from collections.abc import Callable

import numpy as np

from nld.learning_rules.rules import LearningRule

Response = Callable[[np.ndarray], np.ndarray]  # singular values to singular values, shape (..., rank) both


def polar_response(singular_values: np.ndarray) -> np.ndarray:
    """f(S) = 1: of the exact polar factor."""
    return np.ones_like(singular_values)


def polar_correlation(correlation: np.ndarray) -> np.ndarray:
    """<u, u'>/n of the polar factors of two large square matrices of normal entries with this correlation r < 1.

    c(r) = sum over even m of (16/pi^2) m^2/(m^2 - 1)^2 r^{m-1}: such a matrix beside its transpose is semicircular,
    Chebyshev's polynomials U_n of it lose a factor r^n, and the polar factor is its sign. It takes the place of the
    arcsine law (2/pi) arcsin r of signs; n x n matrices fall short of it by less than 1/(2 n).

    Args:
        correlation: r of each entry, shape (...), 0 <= r < 1.
    """
    m = np.arange(2.0, 802.0, 2.0)
    weights = 16 * m**2 / (np.pi * (m**2 - 1)) ** 2
    return (weights * np.asarray(correlation)[..., None] ** (m - 1)).sum(-1)


def newton_schulz_response(
    singular_values: np.ndarray, coefficients: tuple[float, float, float], iterations: int
) -> np.ndarray:
    """f(S): s <- a s + b s^3 + c s^5, again and again, from S over its root of the sum of squares."""
    s = singular_values / np.sqrt((singular_values**2).sum(-1, keepdims=True))
    a, b, c = coefficients
    for _ in range(iterations):
        s = a * s + b * s**3 + c * s**5
    return s


def stretch(momentum: np.ndarray, response: Response = polar_response) -> np.ndarray:
    """U S f(S) U^T of pi = U S V^T, shape (..., rows, rows): symmetric, and (pi pi^T)^{1/2} for the polar factor."""
    u, s, _ = np.linalg.svd(momentum, full_matrices=False)
    return (u * (s * response(s))[..., None, :]) @ np.swapaxes(u, -1, -2)


def next_charges(
    rule: LearningRule,
    charges: np.ndarray,
    incoming: np.ndarray,
    outgoing: np.ndarray,
    response: Response = polar_response,
) -> np.ndarray:
    """C_{n+1} = beta ((1 - eta k) C_n - eta (stretch(pi_in) - stretch(pi_out^T))) under Muon, exactly.

    Holds if every mini-batch's loss has the symmetry, and the whole momenta are orthogonalized as given.

    Args:
        rule: Muon.
        charges: C_n, shape (..., d, d).
        incoming: pi_in before the gradient enters it, shape (..., d, inputs).
        outgoing: pi_out^T, shape (..., d, outputs).
        response: f of the rule.
    """
    source = stretch(incoming, response) - stretch(outgoing, response)
    kept = 1 - rule.learning_rate * rule.weight_decay
    return rule.momentum * (kept * charges - rule.learning_rate * source)
