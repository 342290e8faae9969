"""Kernel regression on two classes that are orbits of one cyclic group: the error at a point that was left out.

Order 2 N points so that the classes alternate and the group moves each point on by two. If the kernel sees no other
difference between neighbours, its matrix is circulant: its eigenvectors are waves, and the labels +1, -1, +1, ... are
the wave of the highest frequency. For any regression, what is left at a point that was left out is
(K^-1 y)_i / (K^-1)_ii, so that the labels' own eigenvalue is compared with all of them:

    error = (1/lambda_N) / mean_k (1/lambda_k) .

Perin and Deny (2024).
"""

import numpy as np


def left_out_error(row: np.ndarray) -> float:
    """label times (label - prediction) at a point that was left out: 0 if it is predicted, 1 if nothing is known of it.

    Holds if the kernel matrix is circulant with an even number of points and labels alternate.

    Args:
        row: the first row of the kernel matrix, with its ridge if there is one; shape (2 N,).
    """
    inverse = 1 / np.fft.fft(row).real
    return float(inverse[len(row) // 2] / inverse.mean())
