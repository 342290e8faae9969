"""The valley of f = (y - q_1 q_2)²/2: its gradient, the charge that gradient flow conserves, and paths in it."""

import numpy as np

from nld.learning_rules import rules
from nld.learning_rules.rules import iterate
from nld.theory.continuum import gradient_flow

TARGET, START = 0.6, (2.8, 3.5)  # y and (q_1, q_2) of f = (y - q_1 q_2)²/2
PATH_RATES, PATH_TIME = (0.001, 0.025, 0.05), 10.0


def gradient(q):
    """Of f = (y - q_1 q_2)²/2, which (c q_1, q_2/c) leaves alone; shape (..., 2)."""
    residual = TARGET - q[..., 0] * q[..., 1]
    return -residual[..., None] * q[..., ::-1]


def charge(q):
    """q_1² - q_2²; shape (..., 2) to (...)."""
    return q[..., 0] ** 2 - q[..., 1] ** 2


def paths() -> dict:
    """Paths of gradient descent and of gradient flow; charges by the exact law C <- C (1 - eta² r²)."""
    flow = gradient_flow(rules.gradient_descent(1.0), gradient, START, np.linspace(0, PATH_TIME, 401)).position
    longest = round(PATH_TIME / min(PATH_RATES)) + 1
    positions, gaps = np.full((len(PATH_RATES), longest, 2), np.nan), []
    for row, eta in zip(positions, PATH_RATES, strict=True):
        path = iterate(rules.gradient_descent(eta), gradient, START, round(PATH_TIME / eta)).position
        row[: len(path)] = path
        residual = TARGET - path[:-1].prod(1)
        law = charge(path[0]) * np.cumprod(1 - eta**2 * residual**2)
        gaps.append(np.abs(charge(path[1:]) - law).max())
    shown = np.r_[0:400, longest - 1 : longest]  # what the picture needs
    ends = np.array([row[np.isfinite(row[:, 0])][-1] for row in positions])
    place = {"units": "w", "long_name": "position"}
    return {
        "path": (("path_rate", "step", "axis"), positions[:, shown], place),
        "flow": (("moment", "axis"), flow, place),
        "end": (("path_rate", "axis"), ends, place),
        "law_gap": (("path_rate",), gaps, {"units": "w²", "long_name": "distance of the charge to its exact law"}),
        "path_rate": ("path_rate", list(PATH_RATES), {"units": "w²/ℓ"}),
    }
