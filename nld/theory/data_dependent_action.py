"""The action of all invertible matrices on two layers that leaves outputs on given inputs as they are.

For Z = sigma(V x) of full rank let R_Z be an invertible matrix whose first columns are Z. Then

    g (U, V) = (U R_{sigma(V x)} R_{sigma(g V x)}^{-1}, g V)

keeps U sigma(V x) for any activation and any invertible g, since R_Z e = Z for the first columns e of the identity. It
depends on x: with one input Zhao and others (2023) take R_z as |z| times an orthogonal matrix. Here
Householder's reflections build it, for one input or for as many as there are hidden units; outputs on others change.
"""

from collections.abc import Callable

import numpy as np

from nld.errors import InvalidInput


def frame(z: np.ndarray) -> np.ndarray:
    """R_Z: square, with the columns z first and an orthonormal basis of their complement, times |z|, after them.

    Args:
        z: shape (units, inputs), of full rank.

    Raises:
        ValueError: more inputs than units, or inputs whose activations depend on each other.
    """
    units, inputs = z.shape
    orthogonal, triangle = np.linalg.qr(z, mode="complete")
    sizes = np.abs(np.diag(triangle))
    if inputs > units or sizes.min() <= 1e-12 * sizes.max():
        raise InvalidInput(
            f"expected activations of at most {units} independent inputs, got {inputs}; give fewer, or other ones"
        )
    completed = np.linalg.norm(z) * orthogonal
    completed[:, :inputs] = z
    return completed


def act(matrix: np.ndarray, outgoing: np.ndarray, incoming: np.ndarray, x: np.ndarray, sigma: Callable):
    """(U, V) after ``matrix`` has acted; outputs on the inputs x are as before.

    Args:
        matrix: g, invertible, shape (units, units).
        outgoing: U, shape (outputs, units).
        incoming: V, shape (units, features).
        x: shape (features, inputs).
        sigma: of arrays.
    """
    moved = matrix @ incoming
    before, after = frame(sigma(incoming @ x)), frame(sigma(moved @ x))
    return np.linalg.solve(after.T, (outgoing @ before).T).T, moved
