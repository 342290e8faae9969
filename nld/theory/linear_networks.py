"""Linear networks in closed form: what weight decay leaves of their singular values, and when each of them rises.

Layers W_1, ..., W_{D+1} around D hidden ones have the product P = W_{D+1} ... W_1. The loss is

    a |P - M|^2 + gamma sum_i |W_i|^2 .

The charges W_i W_i^T - W_{i+1}^T W_{i+1} decay as e^{-4 gamma t}; where they are zero, all layers have the singular
values sigma^{1/(D+1)} with sigma of P, and the penalty is (D + 1) gamma sigma^{2/(D+1)}: one loss a singular value.
References: Ziyin and Ueda 2022 (transitions), Ziyin and others 2025 (thresholds), Saxe and others 2014 (times).
"""

import math

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

from nld.errors import InvalidInput


def balanced_loss(sigma, decay, *, hidden_layers: int, strength: float, curvature: float = 1.0):
    """F(sigma) = a (sigma - y)^2 + (D + 1) gamma sigma^{2/(D+1)}, the least of layers whose product has sigma.

    Args:
        sigma: singular value of the product, at least 0.
        decay: gamma.
        hidden_layers: D.
        strength: y, the singular value of the target.
        curvature: a.
    """
    layers = hidden_layers + 1
    return curvature * (sigma - strength) ** 2 + layers * decay * sigma ** (2 / layers)


def critical_decay(*, hidden_layers: int, strength: float, curvature: float = 1.0) -> float:
    """gamma_c = (a y/D) [y (D-1)/D]^{(D-1)/(D+1)}, above which 0 is the lowest minimum; a y for D = 1."""
    height = jump(hidden_layers, strength)
    return curvature * strength / hidden_layers * height ** _power(hidden_layers)


def jump(hidden_layers: int, strength: float) -> float:
    """y (D - 1)/D, by which the lowest minimum jumps at gamma_c; 0 for one hidden layer.

    Raises:
        ValueError: no hidden layer, where decay shrinks and nothing switches off.
    """
    if hidden_layers < 1:
        raise InvalidInput(f"expected at least one hidden layer, got {hidden_layers}; with none there is no transition")
    return strength * (hidden_layers - 1) / hidden_layers


def spinodal_decay(*, hidden_layers: int, strength: float, curvature: float = 1.0) -> float:
    """gamma_sp = gamma_c ((D+1)/2) 2^{-(D-1)/(D+1)}: up to it the minimum above 0 exists; gamma_c for D = 1."""
    critical = critical_decay(hidden_layers=hidden_layers, strength=strength, curvature=curvature)
    return critical * (hidden_layers + 1) / 2 / 2 ** _power(hidden_layers)


def upper_minimum(decay: float, *, hidden_layers: int, strength: float, curvature: float = 1.0) -> float:
    """The minimum of F above 0, or 0 if there is none: gamma = a (y - sigma) sigma^{(D-1)/(D+1)}, the larger root.

    It is max(y - gamma/a, 0) for one hidden layer. With more it ends at gamma_sp, at half the jump, and 0 is a minimum
    too at any gamma > 0.
    """
    ends = {"hidden_layers": hidden_layers, "strength": strength, "curvature": curvature}
    if decay >= spinodal_decay(**ends):
        return 0.0
    if decay == 0:
        return strength
    power, lowest = _power(hidden_layers), jump(hidden_layers, strength) / 2
    return float(brentq(lambda s: curvature * (strength - s) * s**power - decay, lowest, strength, xtol=1e-15))  # type: ignore[arg-type]


def thresholded(singular_values, decay):
    """max(y - gamma/a, 0) with a = 1, for each singular value: what one hidden layer leaves of the target's."""
    return np.maximum(np.asarray(singular_values) - decay, 0)


def half_rise_time(strength: float, start: float, hidden_layers: int = 1) -> float:
    """When a singular value has reached half of its target, without decay, from balanced layers.

    All layers have the singular value u, and gradient flow of |P - M|^2/2 gives u' = u^D (y - u^{D+1}). For one hidden
    layer u^2 is a logistic function and the time log(y/u_0^2 - 1)/(2 y).

    Args:
        strength: y.
        start: u_0 at t = 0.
        hidden_layers: D.
    """
    if hidden_layers == 1:
        return math.log(strength / start**2 - 1) / (2 * strength)
    layers = hidden_layers + 1

    def time_per_log(x: float) -> float:
        u = math.exp(x)
        return 1 / (u ** (layers - 2) * (strength - u**layers))

    half = math.log(strength / 2) / layers
    return quad(time_per_log, math.log(start), half, epsabs=0, epsrel=1e-10, limit=200)[0]


def rising(strength: float, start: float, time):
    """u^2 of ``half_rise_time`` at the given times, one hidden layer: y / (1 + (y/u_0^2 - 1) e^{-2 y t})."""
    return strength / (1 + (strength / start**2 - 1) * np.exp(-2 * strength * np.asarray(time)))


def _power(hidden_layers: int) -> float:
    return (hidden_layers - 1) / (hidden_layers + 1)
