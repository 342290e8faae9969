"""What steps that are too large for a valley do to its charge.

Product of scalars, L = (u_1 ... u_D - y)^2/2 with residual r. Gradient descent multiplies each charge u_i^2 - u_j^2 by

    1 - (eta r prod_{k != i, j} u_k)^2,

exactly: it never grows in size while the square is at most 2. For two factors a minimum can only hold iterates if
eta lambda <= 2 with the sharpness lambda = sqrt(C^2 + 4 y^2) (``valley_sharpness``), which bounds the charge.

In larger networks iterates oscillate across the valley along the sharpest direction v, w +- sigma v, while the
sharpness S stays at 2/eta. Each step is 2 sigma v in size, and a charge <q, A q> moves by its kinetic symmetry
breaking

    <Delta, A Delta> = 4 sigma^2 <v, A v> .

Averaged over a period the gradient is grad L + sigma^2/2 grad S, and S stays where it is if

    sigma^2 = -2 <grad S, grad L>/|grad S|^2

(the central flow of Cohen and others 2025): so the drift is known from the valley alone.
"""

import math

import numpy as np

from nld.errors import InvalidInput


def charge_factor(rate, residual, others=1.0):
    """1 - (eta r p)^2, by which a step multiplies u_i^2 - u_j^2; p is the product of the other factors. Exact."""
    return 1 - (rate * residual * others) ** 2


def largest_charge(rate: float, target: float) -> float:
    """sqrt(4/eta^2 - 4 y^2), the largest |u^2 - v^2| of a minimum u v = y at which descent can stay.

    Raises:
        ValueError: eta |y| > 1, where it can stay at none.
    """
    if rate * abs(target) > 1:
        raise InvalidInput(f"expected a rate of at most 1/|y| = {1 / abs(target):g}, got {rate}; lower the rate")
    return 2 * math.sqrt(1 / rate**2 - target**2)


def central_variance(gradient, sharpness_gradient):
    """sigma^2 = -2 <grad S, grad L>/|grad S|^2, at least 0: the oscillation that holds the sharpness, in w^2.

    Args:
        gradient: of the loss at the centre of the oscillation, shape (..., parameters).
        sharpness_gradient: of the largest eigenvalue of the Hessian there, in the same shape.
    """
    inner = (sharpness_gradient * gradient).sum(-1)
    return np.maximum(-2 * inner / (sharpness_gradient**2).sum(-1), 0)


def edge_drift(variance, direction_charge):
    """4 sigma^2 <v, A v>, what a step at the edge adds to the charge <q, A q>; v is the sharpest direction."""
    return 4 * variance * direction_charge
