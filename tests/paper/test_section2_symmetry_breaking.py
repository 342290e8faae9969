"""Section 2, kinetic symmetry breaking: Eq 5 to 7."""

import pytest
import sympy as sp

from nld import symmetry
from nld.theory import bregman, lagrangian, noether
from tests.cases import ISOMETRIES, polynomial_potential

t = sp.Symbol("t", positive=True)
s = sp.Symbol("s")
alpha, beta, gamma = (sp.Function(name)(t) for name in ("alpha", "beta", "gamma"))
SCALING = bregman.Scaling(alpha, beta, gamma)
q = lagrangian.coordinates("q", 2, t)
FAMILIES = {
    "translation": (symmetry.translation((1, 2)), 2),
    "scale": (symmetry.scale(), 2),
    "rescale": (symmetry.rescale((1, -1)), 2),
    "rotation": (symmetry.rotation(), 2),
    "shear": (symmetry.general_linear(2, 0, 1), 4),
}
GEOMETRIES = {
    "euclidean": bregman.euclidean,
    "entropy": bregman.entropy,
    "3-norm": bregman.p_norm(3),
    "quadratic form": bregman.quadratic_form([[2, 1], [1, 3]]),
}
families = pytest.mark.parametrize("name", FAMILIES)


def by_definition(expression, position, family):
    """d/ds of an expression with Q(q(t), s) in the place of q(t), at s = 0."""
    moved = family.transform(position, s)
    replaced = expression.subs(dict(zip(position, moved, strict=True)), simultaneous=True).doit()
    return sp.diff(replaced, s).subs(s, 0).doit()


def test_eq05_kinetic_energy_is_the_divergence_and_its_euclidean_case():
    energy = bregman.kinetic_energy(bregman.euclidean, q, SCALING, t)
    v = lagrangian.velocities(q, t)
    assert sp.simplify(energy - sp.exp(-alpha) / 2 * (v[0] ** 2 + v[1] ** 2)) == 0
    action = bregman.bregman_lagrangian(bregman.generic(), 0, q, SCALING, t)
    energy = bregman.kinetic_energy(bregman.generic(), q, SCALING, t)
    assert sp.simplify(action - sp.exp(gamma) * energy) == 0


@pytest.mark.parametrize("geometry", ["euclidean", "entropy", "3-norm"])
@pytest.mark.parametrize("name", ["translation", "scale", "rescale", "rotation"])
def test_eq05_breaking_is_the_derivative_of_the_transformed_energy(name, geometry):
    family, size = FAMILIES[name]
    position = lagrangian.coordinates("q", size, t)
    h = GEOMETRIES[geometry]
    energy = bregman.kinetic_energy(h, position, SCALING, t)
    breaking = noether.kinetic_symmetry_breaking(h, position, family, SCALING, t)
    at = dict(zip(position, (sp.Rational(6, 5), sp.Rational(3, 4)), strict=True))
    speeds = dict(zip(lagrangian.velocities(position, t), (sp.Rational(1, 3), sp.Rational(2, 7)), strict=True))

    def value(expression):
        return expression.doit().subs(speeds).subs(at).subs(alpha, sp.Rational(1, 5)).evalf(30)

    assert abs(value(breaking) - value(by_definition(energy, position, family))) < 1e-25


@families
def test_eq06_euclidean_breaking(name):
    family, size = FAMILIES[name]
    position = lagrangian.coordinates("q", size, t)
    breaking = noether.kinetic_symmetry_breaking(bregman.euclidean, position, family, SCALING, t)
    moved = lagrangian.velocities(family.transform(position, s), t)
    printed = sp.exp(-alpha) / 2 * sp.diff(sum(v**2 for v in moved), s).subs(s, 0).doit()
    assert sp.simplify(breaking - printed) == 0
    assert sp.simplify(noether.euclidean_symmetry_breaking(position, family, SCALING, t) - printed) == 0
    assert (sp.simplify(breaking) == 0) == (name in ISOMETRIES)


def test_eq06_scale_carries_one_power_of_the_inverse_rate():
    """Erratum: the paper's example prints e^{-2 alpha_t} |q'|^2; the equation gives e^{-alpha_t} |q'|^2."""
    v = lagrangian.velocities(q, t)
    breaking = noether.euclidean_symmetry_breaking(q, symmetry.scale(), SCALING, t)
    assert sp.simplify(breaking - sp.exp(-alpha) * (v[0] ** 2 + v[1] ** 2)) == 0
    assert sp.simplify(breaking - sp.exp(-2 * alpha) * (v[0] ** 2 + v[1] ** 2)) != 0


def test_eq07_metric_energy_is_the_leading_order():
    epsilon = sp.Symbol("epsilon", positive=True)
    small = bregman.Scaling(-sp.log(epsilon), beta, gamma)
    energy = bregman.kinetic_energy(polynomial_potential, q, small, t)
    leading = noether.leading_kinetic_energy(polynomial_potential, q, small, t)
    gap = sp.expand(sp.expand(energy) - leading)
    assert sp.expand(leading) != 0
    assert [gap.coeff(epsilon, order) for order in (-1, 0, 1)] == [0, 0, 0]
    assert gap.coeff(epsilon, 2) != 0


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("name", ["translation", "scale", "rescale", "rotation"])
def test_eq07_a_metric_breaks_what_is_not_its_own_isometry(name, geometry):
    """Only a constant metric leaves translations alone, only the Euclidean one rotations."""
    family, _ = FAMILIES[name]
    leading = noether.leading_kinetic_energy(GEOMETRIES[geometry], q, SCALING, t)
    breaking = sp.simplify(noether.variation(leading, q, family, t))
    kept = {("translation", "euclidean"), ("translation", "quadratic form"), ("rotation", "euclidean")}
    assert (breaking == 0) == ((name, geometry) in kept)
