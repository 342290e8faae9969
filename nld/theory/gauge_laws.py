"""Gauge symmetry of a linear neural ODE: its transformations, the charge density that they give, and what decay picks.

x' = W(t) x + b(t) on 0 <= t <= 1 maps x(0) to x(1) as before when x becomes Lambda(t) x with Lambda(0) = Lambda(1) = 1:

    W -> Lambda W Lambda^-1 + Lambda' Lambda^-1,    b -> Lambda b .

Gradients G = dL/dW, g = dL/db of any loss of the map obey Gauss's law G' = G W^T - W^T G + g b^T, and gradient flow
conserves, at every depth t,

    Q(t) = d/dt (W + W^T) + W^T W - W W^T - b b^T .

The transformations are those of Hashimoto, Hirono and Sannai (2024); the density, its discretization and the condition
under weight decay are ours. Fields are arrays of shape (..., depths, d, d + 1), the bias in the last column.
"""

import numpy as np


def transformed(field: np.ndarray, frame: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """(Lambda W Lambda^-1 + Lambda' Lambda^-1, Lambda b), which gives the same map if Lambda is 1 at both ends.

    Args:
        field: W and b at some depths, shape (..., d, d + 1).
        frame: Lambda there, shape (..., d, d).
        rate: its derivative by the depth, of the same shape.
    """
    weights, bias = field[..., :-1], field[..., -1:]
    inverse = np.linalg.inv(frame)
    return np.concatenate([frame @ weights @ inverse + rate @ inverse, frame @ bias], axis=-1)


def charge_density(field: np.ndarray) -> np.ndarray:
    """Q half-way between neighbouring layers, by central differences and means; shape (..., depths - 1, d, d).

    Holds if layer l of ``field`` is W and b at depth (l + 1/2)/depths. Units: w per depth.
    """
    middle = (field[..., 1:, :, :] + field[..., :-1, :, :]) / 2
    weights = middle[..., :-1]
    slope = field.shape[-3] * np.diff(field[..., :-1], axis=-3)
    return slope + slope.mT + weights.mT @ weights - middle @ middle.mT


def density_drift(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How far ``charge_density`` moves in layers of thickness h, to first order: -(h/2) d/dt (W^T W + W W^T + b b^T).

    The layers 1 + h W conserve (charge density) + (h/2) d/dt(...) + O(h^2) exactly; the arguments are as there.
    """
    change = _squares(after) - _squares(before)
    return -np.diff(change, axis=-3) / 2


def gauge_condition(field: np.ndarray) -> np.ndarray:
    """W' - W W^T + W^T W - b b^T between layers, zero where decay of W and b leaves the loss stationary.

    It is the condition that no transformation makes the integral of |W|^2 + |b|^2 smaller. In layers of thickness h it
    reads (W_{l+1} - W_l)/h - W_l W_l^T - b_l b_l^T + W_{l+1}^T W_{l+1}, exactly. Shape (..., depths - 1, d, d).
    """
    lower, upper = field[..., :-1, :, :], field[..., 1:, :, :-1]
    slope = field.shape[-3] * np.diff(field[..., :-1], axis=-3)
    return slope - lower @ lower.mT + upper.mT @ upper


def _squares(field: np.ndarray) -> np.ndarray:
    """W^T W + W W^T + b b^T."""
    weights = field[..., :-1]
    return weights.mT @ weights + field @ field.mT
