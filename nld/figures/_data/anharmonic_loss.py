"""A loss without symmetry on which orders of accuracy are measured, shape (..., 2), and where runs start."""

import numpy as np

START = (1.7, 0.9)


def potential(q):
    """An anharmonic loss without symmetry; shape (..., 2) to (...)."""
    x, y = q[..., 0], q[..., 1]
    return x**2 / 2 - x + x * y / 2 - 0.3 * np.cos(x) + y**2 - y + y**4 / 20


def gradient(q):
    """Gradient of ``potential``."""
    x, y = q[..., 0], q[..., 1]
    return np.stack([x - 1 + 0.5 * y + 0.3 * np.sin(x), 0.5 * x + 2 * (y - 0.5) + 0.2 * y**3], -1)
