"""Runge and Kutta's method of order four with a fixed step, for flows whose fields have kinks."""

from collections.abc import Callable

import numpy as np


def runge_kutta(slope: Callable[[np.ndarray], np.ndarray], start: np.ndarray, end: float, step: float) -> np.ndarray:
    """States of y' = slope(y) at 0, step, 2 step, ..., end, shape (steps + 1, ...), the start first.

    The error falls as step^4 where the slope is smooth. Solvers that choose their step stall at the kinks of a ReLU.
    """
    states = [start]
    for _ in range(round(end / step)):
        state = states[-1]
        k1 = slope(state)
        k2 = slope(state + step / 2 * k1)
        k3 = slope(state + step / 2 * k2)
        k4 = slope(state + step * k3)
        states.append(state + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    return np.stack(states)
