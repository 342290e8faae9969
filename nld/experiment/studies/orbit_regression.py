"""Two classes of points that are orbits of one cyclic group of rotations, and kernel regression without each point."""

import numpy as np

RATE, RIDGE = 1.96, 1e-10  # kernel exp(-RATE |x - y|^2), plus RIDGE on the diagonal


def two_rings(points: int, separation: float) -> np.ndarray:
    """2 N points in space, shape (2 N, 3): N on each of two circles of radius one, in turns around their axis."""
    angle = np.pi * np.arange(2 * points) / points
    height = separation / 2 * (-1.0) ** np.arange(2 * points)
    return np.stack([np.cos(angle), np.sin(angle), height], axis=1)


def gaussian_kernel(x: np.ndarray) -> np.ndarray:
    """exp(-RATE |x_i - x_j|^2) + RIDGE on the diagonal, shape (points, points)."""
    distance = ((x[:, None] - x) ** 2).sum(-1)
    return np.exp(-RATE * distance) + RIDGE * np.eye(len(x))


def left_out_errors(kernel: np.ndarray) -> np.ndarray:
    """For each point, one minus the prediction of the others times its label; labels are +1 and -1 in turns."""
    labels = (-1.0) ** np.arange(len(kernel))
    errors = []
    for point in range(len(kernel)):
        rest = np.arange(len(kernel)) != point
        weights = np.linalg.solve(kernel[np.ix_(rest, rest)], labels[rest])
        errors.append(1 - labels[point] * (kernel[point, rest] @ weights))
    return np.array(errors)
