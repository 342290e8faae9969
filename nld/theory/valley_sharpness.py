"""How sharp a valley is where its charge puts the end of training.

One input, one hidden unit, one output: L = (y - u sigma(v))^2/2. Its minima u sigma(v) = y are a curve, the charge
C = u^2/2 - Phi(v) of ``activation_charges`` counts along it, and the Hessian there has one eigenvalue that is not zero,

    lambda = sigma(v)^2 + u^2 sigma'(v)^2 .

For the linear unit, with Q = u^2 - v^2 = 2 C, it is u^2 + v^2 = sqrt(Q^2 + 4 y^2) (Zhao and others 2023).
"""

import math

import numpy as np
from scipy.optimize import brentq

from nld.errors import InvalidInput
from nld.theory.activation_charges import ActivationCharge

SPAN = 30.0  # logarithms of u that are searched, both ways


def predict_minimum(activation: ActivationCharge, charge: float, target: float) -> tuple[float, float]:
    """(u, v) with u sigma(v) = y and the charge C, for y > 0 and u > 0; the charge grows with u along the valley.

    Args:
        activation: with an inverse.
        charge: C = u^2/2 - Phi(v).
        target: y.

    Raises:
        ValueError: y is not positive, the activation has no inverse, or no minimum in floating point has this charge.
    """
    if target <= 0 or activation.inverse is None:
        raise InvalidInput(
            f"expected a target > 0 and an activation with an inverse, got {target} and {activation.name}; "
            "mirror the signs of u and y, or take a leaky ReLU"
        )
    arrays = activation.arrays
    least = target / activation.supremum

    def excess(logarithm: float) -> float:
        u = least + math.exp(logarithm)
        return u**2 / 2 - float(arrays["integral"](arrays["inverse"](np.array(target / u)))) - charge

    if not excess(-SPAN) < 0 < excess(SPAN):
        raise InvalidInput(f"expected a charge that a minimum has, got {charge}; take one nearer to 0")
    u = least + math.exp(float(brentq(excess, -SPAN, SPAN, xtol=1e-14)))  # type: ignore[arg-type]
    return u, float(arrays["inverse"](np.array(target / u)))


def sharpness(activation: ActivationCharge, u, v):
    """sigma(v)^2 + u^2 sigma'(v)^2, the curvature across the valley at a minimum, in ℓ/w^2."""
    value = activation.arrays["sigma"](v)
    slope = value / activation.arrays["ratio"](v)
    return value**2 + (u * slope) ** 2


def predict_sharpness(activation: ActivationCharge, charge: float, target: float) -> float:
    """The curvature across the valley where its charge is C; sqrt(4 C^2 + 4 y^2) for the linear unit."""
    return float(sharpness(activation, *map(np.array, predict_minimum(activation, charge, target))))
