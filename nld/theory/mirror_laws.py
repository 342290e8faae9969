"""The charge of a rescale symmetry under mirror flow, and how much a step of mirror descent moves it.

Let the loss not notice when part i of the parameters is multiplied by (1 + s)^{c_i}, so that sum_i c_i <g_i, q_i> = 0,
and let the potential h be a sum over coordinates. With z = grad h(q) and the convex conjugate h*(z) = <z, q> - h(q),
whose gradient is q, mirror flow z' = -g conserves

    C = sum_i c_i h*(z_i),    since    C' = sum_i c_i <q_i, z_i'> = -sum_i c_i <q_i, g_i> = 0 .

Mirror descent z_{n+1} = z_n - eta g_n takes <q_n, z_{n+1} - z_n> along c to zero at any eta, and so moves it by

    C_{n+1} - C_n = sum_i c_i D_h(q_n, q_{n+1}),

the Bregman divergence: kinetic symmetry breaking, exactly. Euclidean h: C = sum_i c_i |q_i|^2/2, moved by eta^2
sum_i c_i |g_i|^2/2. The p-norm: sum_i c_i |q_i|^p/p (Saul 2023); entropy: sum_i c_i q_i; Burg: sum_i c_i log q_i.
The conjugate and the law in steps are ours.

With momentum, q'' + tau q' = -(tau q + q') g for the entropy (Marcotte and others 2024), and in general z = grad h(u)
with u = q + q'/tau and z' = -g(q). The charge at u then moves: C' = -sum_i c_i <q_i', g_i>/tau.
"""

from collections.abc import Sequence

from nld.learning_rules.potentials import Potential
from nld.symmetry import Parts


def conjugate(potential: Potential, q):
    """h*(grad h(q)) = <grad h(q), q> - h(q), summed over the last axis."""
    return (potential.gradient(q) * q).sum(-1) - potential.value(q)


def divergence(potential: Potential, y, x):
    """D_h(y, x) = h(y) - h(x) - <grad h(x), y - x>, summed over the last axis."""
    return potential.value(y) - potential.value(x) - (potential.gradient(x) * (y - x)).sum(-1)


def rescale_charge(potential: Potential, q: Parts, exponents: Sequence[float] = (1, -1)):
    """sum_i c_i h*(grad h(q_i)), which mirror flow conserves; +1 incoming, -1 outgoing weights.

    Args:
        potential: h, a sum over coordinates.
        q: a part for each exponent, shape (..., coordinates).
    """
    return sum(c * conjugate(potential, part) for c, part in zip(exponents, q, strict=True))


def rescale_charge_change(potential: Potential, before: Parts, after: Parts, exponents: Sequence[float] = (1, -1)):
    """sum_i c_i D_h(q_n, q_{n+1}): by how much a step of mirror descent moves ``rescale_charge``, to rounding.

    Holds if the loss of the batch has the symmetry and the step is z -> z - eta g, for any eta.
    """
    return sum(c * divergence(potential, x, y) for c, x, y in zip(exponents, before, after, strict=True))


def momentum_rescale_charge_rate(
    velocity: Parts, gradient: Parts, friction: float, exponents: Sequence[float] = (1, -1)
):
    """-sum_i c_i <q_i', g_i>/tau, the rate of ``rescale_charge`` at q + q'/tau under mirror flow with momentum.

    From C' = sum_i c_i <u_i, z_i'>, of which the symmetry leaves the part of u - q. It vanishes for tau -> infinity,
    where the flow is mirror flow, and not for any potential: with momentum the charge is lost.

    Args:
        velocity: q', a part for each exponent, shape (..., coordinates).
        gradient: g at q, alike.
        friction: tau.
    """
    terms = zip(exponents, velocity, gradient, strict=True)
    return -sum(c * (v * g).sum(-1) for c, v, g in terms) / friction
