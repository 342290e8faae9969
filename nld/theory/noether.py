"""Noether's theorem for a learning rule: charges, kinetic symmetry breaking and the full law, in sympy.

Everything holds for any distance-generating function h, any differentiable symmetry and any loss
with it; the tests prove that with undetermined functions. Paper: Sections 2 and 3, Eq 6 to 13.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from nld.symmetry import Symmetry
from nld.theory.bregman import (
    DistanceGenerator,
    Scaling,
    bregman_lagrangian,
    dual_displacement,
    hessian,
    kinetic_energy,
)
from nld.theory.lagrangian import coordinates, inner, velocities


def variation(expression, q: Sequence, symmetry: Symmetry, time: sp.Symbol):
    """d/ds of an expression in q, q' and t along the symmetry, at s = 0.

    <dE/dq, A> + <dE/dq', dA/dt>: the velocity is carried along with the position.
    """
    generator = symmetry.generator(q)
    # sympy holds velocities constant in a derivative by a position, as the calculus of variations does
    along_position = [sp.diff(expression, part) for part in q]
    along_velocity = [sp.diff(expression, part) for part in velocities(q, time)]
    return inner(along_position, generator) + inner(along_velocity, velocities(generator, time))


def kinetic_symmetry_breaking(h: DistanceGenerator, q: Sequence, symmetry: Symmetry, scaling: Scaling, time: sp.Symbol):
    """dT_h/ds at s = 0: zero where the geometry of the learning rule shares the symmetry of the loss.

    Paper: Eq 5 and the definition that follows it; Eq 6 is its Euclidean case.
    """
    return variation(kinetic_energy(h, q, scaling, time), q, symmetry, time)


def euclidean_symmetry_breaking(q: Sequence, symmetry: Symmetry, scaling: Scaling, time: sp.Symbol):
    """(e^{-alpha_t}/2) d|Q'|^2/ds = e^{-alpha_t} <q', dA/dt>.

    Zero for translation and rotation, e^{-alpha_t} |q'|^2 for scale. Paper: Eq 6 (whose example prints
    e^{-2 alpha_t} for scale; the equation itself gives e^{-alpha_t}).
    """
    v = velocities(q, time)
    return sp.exp(-scaling.alpha) * inner(v, velocities(symmetry.generator(q), time))


def kinetic_symmetry_breaking_at(
    h: DistanceGenerator, symmetry: Symmetry, position: Sequence, velocity: Sequence, mass: float
) -> float:
    """dT_h/ds at s = 0 as a number, in ℓ, at a position and velocity and for e^{-alpha} = mass. Paper: Eq 5."""
    time = sp.Symbol("t")
    q = coordinates("q", len(position), time)
    breaking = kinetic_symmetry_breaking(h, q, symmetry, Scaling(-sp.log(mass), 0, 0), time).doit()
    swaps = [*zip(velocities(q, time), velocity, strict=True), *zip(q, position, strict=True)]
    return float(breaking.subs(swaps))


def leading_kinetic_energy(h: DistanceGenerator, q: Sequence, scaling: Scaling, time: sp.Symbol):
    """(e^{-alpha_t}/2) <q', F(q) q'>, F = Hessian of h: T_h up to O(e^{-2 alpha_t}). Paper: Eq 7."""
    v = velocities(q, time)
    return sp.exp(-scaling.alpha) / 2 * inner(v, hessian(h, q) * sp.Matrix(v))


def noether_charge(lagrangian, q: Sequence, symmetry: Symmetry, time: sp.Symbol):
    """<dL/dq', A(q)>."""
    return inner([sp.diff(lagrangian, v) for v in velocities(q, time)], symmetry.generator(q))


def noether_residual(lagrangian, q: Sequence, symmetry: Symmetry, time: sp.Symbol):
    """d/dt <dL/dq', A> - dL/ds, zero on every trajectory, whether or not anything is symmetric.

    Paper: Eq 8. Off a trajectory it is -<Euler-Lagrange expression, A>.
    """
    return sp.diff(noether_charge(lagrangian, q, symmetry, time), time) - variation(lagrangian, q, symmetry, time)


def invariant_loss_residual(h: DistanceGenerator, q: Sequence, symmetry: Symmetry, scaling: Scaling, time: sp.Symbol):
    """d/dt <dL/dq', A> - e^{alpha_t + gamma_t} d/ds D_h(Q + e^{-alpha_t} Q', Q): zero if df/ds = 0.

    Paper: Eq 9.
    """
    charge = noether_charge(bregman_lagrangian(h, 0, q, scaling, time), q, symmetry, time)
    breaking = kinetic_symmetry_breaking(h, q, symmetry, scaling, time)
    return sp.diff(charge, time) - sp.exp(scaling.gamma) * breaking


@dataclass(frozen=True)
class LearningDynamics:
    """The terms of Noether's learning dynamics. Paper: Eq 10.

    ``motion + dissipation = dynamic_symmetry_breaking + non_euclidean_metric + potential_breaking``.
    """

    motion: Any
    dissipation: Any
    dynamic_symmetry_breaking: Any
    non_euclidean_metric: Any
    potential_breaking: Any

    @property
    def residual(self):
        """Left minus right side: zero on every trajectory in an invariant loss."""
        right = self.dynamic_symmetry_breaking + self.non_euclidean_metric + self.potential_breaking
        return self.motion + self.dissipation - right


def noethers_learning_dynamics(
    h: DistanceGenerator, q: Sequence, symmetry: Symmetry, scaling: Scaling, time: sp.Symbol, weight_decay=0
) -> LearningDynamics:
    """d/dt <Delta, A> + gamma' <Delta, A> = <Delta, A'> + e^alpha <Delta - e^-alpha F q', A> - e^(alpha+beta) k <q, A>.

    Delta is ``dual_displacement`` (Eq 11), F the Hessian of h at q. The last term is what weight
    decay adds: the potential f + k |q|^2/2 breaks the symmetry explicitly.
    Holds if the loss f is invariant; for every h, symmetry and scaling. Paper: Eq 10.
    """
    delta = dual_displacement(h, q, scaling, time)
    generator = symmetry.generator(q)
    charge = inner(delta, generator)
    metric = hessian(h, q) * sp.Matrix(velocities(q, time))
    beyond = [d - sp.exp(-scaling.alpha) * force for d, force in zip(delta, metric, strict=True)]
    return LearningDynamics(
        motion=sp.diff(charge, time),
        dissipation=sp.diff(scaling.gamma, time) * charge,
        dynamic_symmetry_breaking=inner(delta, velocities(generator, time)),
        non_euclidean_metric=sp.exp(scaling.alpha) * inner(beyond, generator),
        potential_breaking=-sp.exp(scaling.alpha + scaling.beta) * weight_decay * inner(q, generator),
    )


def damped_residual(
    h: DistanceGenerator, q: Sequence, symmetry: Symmetry, mass, friction, scaling: Scaling, time: sp.Symbol
):
    """m d/dt <Delta, A> + mu <Delta, A> - m dT/ds: Eq 10 with the scaling of a damped particle.

    Without kinetic symmetry breaking the charge decays as e^{-mu t/m}. Paper: Eq 12.
    """
    charge = inner(dual_displacement(h, q, scaling, time), symmetry.generator(q))
    breaking = kinetic_symmetry_breaking(h, q, symmetry, scaling, time)
    return mass * sp.diff(charge, time) + friction * charge - mass * breaking


def overdamped_constraint(h: DistanceGenerator, q: Sequence, symmetry: Symmetry, time: sp.Symbol):
    """<F(q) q', A(q)>, F = Hessian of h, zero on the gradient flow of an invariant loss.

    The limit m -> 0 of <grad h(q + m q') - grad h(q), A>/m; Euclidean: <q', A>. Paper: Eq 13.
    """
    return inner(hessian(h, q) * sp.Matrix(velocities(q, time)), symmetry.generator(q))


def conserved_charge(h: DistanceGenerator, q: Sequence, symmetry: Symmetry):
    """C(q) with dC/dt = <F(q) q', A(q)>: what gradient flow conserves, or None if there is no such function.

    Translation <q, n>, scale |q|^2/2, rescale (|q_in|^2 - |q_out|^2)/2, other geometries others; none for
    a rotation, whose form <q', A> is not a differential. ``q`` are plain symbols. Paper: Eq 13.
    """
    form = hessian(h, q) * sp.Matrix(symmetry.generator(q))
    charge = sp.Integer(0)
    for part, slope in zip(q, form, strict=True):
        charge += sp.integrate(sp.expand(slope - sp.diff(charge, part)), part)
    left_over = [sp.simplify(slope - sp.diff(charge, part)) for part, slope in zip(q, form, strict=True)]
    return sp.simplify(charge) if not any(left_over) else None
