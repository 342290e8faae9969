"""Gradient descent on a scale-invariant loss tunes its own step: bounds on where the effective learning rate ends.

<g, q> = 0 gives |q_{n+1}|^2 = |q_n|^2 + eta^2 |g_n|^2, so that steps which are too long lengthen q until they are not.
Reference: Arora, Li and Lyu 2019, who prove the T^{-1/2}; the constants here are those of the short proof for one
scale-invariant block and no weight decay.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Landscape:
    """Three numbers of a scale-invariant loss, all in ℓ.

    Args:
        curvature: largest second derivative along any straight line that leaves the unit sphere at right angles to q.
        steepest: largest gradient on the unit sphere.
        depth: highest loss minus lowest.
    """

    curvature: float
    steepest: float
    depth: float


def rayleigh_landscape(eigenvalues) -> Landscape:
    """Of f(q) = <q, A q>/|q|^2, with D = largest minus smallest eigenvalue: S = 2 D, G = D.

    Along a line that starts at right angles f = m + (d/2) cos(2 theta - psi), d <= D, with tan(theta) the way gone;
    its second derivative along the line is 2 d cos(theta)^3 times a cosine.
    """
    spread = float(np.max(eigenvalues) - np.min(eigenvalues))
    return Landscape(2 * spread, spread, spread)


def squared_norm_bounds(landscape: Landscape, learning_rate, initial, first_gradient):
    """Lowest and highest |q_T|^2 after any number T >= 1 of steps of gradient descent without decay, in w^2.

    Low: the norm only grows, so what the first step makes of it, r^2 + eta^2 |g^_0|^2/r^2, is kept. High: once
    |q|^2 >= S eta every step lowers the loss by eta |g|^2/2 or more, so that from there the norm grows by 2 eta D at
    most; the step that crosses S eta adds eta^2 G^2/r^2 at most. With S, G, D of the landscape,

        r^2_T <= r^2 + 2 eta D  if r^2 >= S eta,  else  S eta + eta^2 G^2/r^2 + 2 eta D .

    Args:
        learning_rate: eta, in w^2/ℓ, any shape.
        initial: |q_0|^2 = r^2, in w^2.
        first_gradient: |g^_0|, of the first gradient at unit norm, in ℓ.
    """
    eta = np.asarray(learning_rate, float)
    low = initial + eta**2 * np.square(first_gradient) / initial
    crossing = landscape.curvature * eta + eta**2 * landscape.steepest**2 / initial
    return low, np.where(initial >= landscape.curvature * eta, initial, crossing) + 2 * eta * landscape.depth


def smallest_gradient_bound(landscape: Landscape, learning_rate, initial, steps):
    """Bound K/sqrt(T) on the smallest unit gradient of T steps, in ℓ, with K = r^2_T/eta at its highest.

    sum |g^_n|^2 <= r^2_T sum |g_n|^2 <= (r^2_T/eta)^2: the norm has counted the gradients.
    """
    _, high = squared_norm_bounds(landscape, learning_rate, initial, 0.0)
    return high / np.asarray(learning_rate) / np.sqrt(steps)
