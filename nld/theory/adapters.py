"""How well a product of two thin matrices is conditioned, by where on its orbit it stands.

The loss of low-rank adapters sees B A, with A of shape (r, inputs) and B (outputs, r), r smaller than both, and not
G A, B G^{-1}. A change dA, dB moves the product by B dA + dB A. So where |B A - M|^2/2 has its minimum, the nonzero
eigenvalues of its Hessian are

    b_i + a_j,  b_i  and  a_j    with  a, b = the eigenvalues of A A^T and B^T B,

and their condition number is (b_1 + a_1)/min(b_r, a_r), the largest over the smallest. On an orbit it is smallest,
2 s_1/s_r with the singular values s of the product, where A A^T = B^T B: b_1 a_1 >= s_1^2, and the mean of two numbers
is not below the root of their product, while b_r a_r <= s_r^2. The charge A A^T - B^T B is what gradient flow keeps.
That balance conditions best is BaLoRA's statement (Castin et al. 2026); the proof is ours.
"""

import numpy as np

from nld.errors import InvalidInput


def condition_number(a: np.ndarray, b: np.ndarray) -> float:
    """(b_1 + a_1)/min(b_r, a_r), 1 being the least; a (r, inputs), b (outputs, r).

    Raises:
        ValueError: the rank is not below the numbers of inputs and outputs.
    """
    _check(a, b)
    first, second = np.linalg.svd(a, compute_uv=False) ** 2, np.linalg.svd(b, compute_uv=False) ** 2
    return float((first[0] + second[0]) / min(first[-1], second[-1]))


def best_condition_number(a: np.ndarray, b: np.ndarray) -> float:
    """2 s_1/s_r: the least on the orbit of these adapters, and that of the balanced ones.

    Raises:
        ValueError: the rank is not below the numbers of inputs and outputs.
    """
    _check(a, b)
    s = np.linalg.svd(b @ a, compute_uv=False)
    return float(2 * s[0] / s[len(a) - 1])


def balanced(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Adapters of the same product with A A^T = B^T B: S^{1/2} V^T and U S^{1/2} of B A = U S V^T."""
    u, s, v = np.linalg.svd(b @ a, full_matrices=False)
    root, rank = np.sqrt(s[: len(a)]), len(a)
    return root[:, None] * v[:rank], u[:, :rank] * root


def imbalance(a: np.ndarray, b: np.ndarray) -> float:
    """|A A^T - B^T B| / (|A|^2 + |B|^2), from 0 to 1."""
    return float(np.linalg.norm(a @ a.T - b.T @ b) / ((a**2).sum() + (b**2).sum()))


def _check(a: np.ndarray, b: np.ndarray) -> None:
    rank = len(a)
    if b.shape[1] != rank or not rank < min(a.shape[1], len(b)):
        raise InvalidInput(
            f"expected adapters (r, inputs) and (outputs, r) with r below both, got {a.shape} and {b.shape}"
        )
