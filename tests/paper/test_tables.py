"""Tables that the chapters print: their cells against what is known."""

import numpy as np
import pytest
import sympy as sp

from nld.learning_rules import potentials, rules
from nld.table import Table
from nld.theory import bregman, lagrangian, noether, tables

t = sp.Symbol("t", positive=True)
m, mu = sp.symbols("m mu", positive=True)
ZEROS = {
    ("Euclidean", "translation"),
    ("Euclidean", "rotation"),
    ("quadratic form", "translation"),
    ("Burg", "scale"),
    ("Burg", "rescale"),
}


def test_table1_motions_are_the_papers():
    motions = {row[0]: row[1] for row in tables.bregman_table().rows}
    assert motions["Nesterov flow"] == r"$\ddot q + \tfrac{3}{t}\,\dot q + \nabla f = 0$"
    assert motions["damped particle"] == r"$m\,\ddot q + \mu\,\dot q + \nabla f = 0$"
    assert motions["heavy ball"] == r"$\tfrac{\eta (\beta + 1)}{2}\,\ddot q + (1 - \beta)\,\dot q + \nabla f = 0$"


def test_table1_a_wrong_limit_is_refused():
    with pytest.raises(ArithmeticError, match="expected the friction mu F"):
        tables.massless_motion(bregman.Scaling(-sp.log(m), sp.log(m), 2 * mu * t / m))


@pytest.mark.parametrize("family", tables.FAMILIES)
@pytest.mark.parametrize("geometry", tables.GEOMETRIES)
def test_eq07_table_of_breaking_has_its_zeros_where_the_metric_has_isometries(geometry, family):
    assert (tables.metric_breaking(geometry, family) == 0) == ((geometry, family) in ZEROS)


@pytest.mark.parametrize("family", ["scale", "rescale"])
def test_eq05_burg_keeps_scale_and_rescale_at_any_mass(family):
    q = lagrangian.coordinates("q", 2, t)
    scaling = bregman.damped_scaling(m, mu, t)
    breaking = noether.kinetic_symmetry_breaking(bregman.burg, q, tables.FAMILIES[family], scaling, t)
    assert sp.simplify(breaking) == 0


def test_eq05_burg_mirror_descent_commutes_with_a_scaling_at_finite_steps():
    rng = np.random.default_rng(0)
    q, g, c = rng.uniform(0.5, 2, 5), rng.normal(size=5), 7.0

    def gap(rule):
        scaled, _ = rule.step(c * q, (), lambda _: g / c)
        return np.abs(scaled - c * rule.step(q, (), lambda _: g)[0]).max()

    assert gap(rules.mirror(0.1, potentials.burg)) < 1e-13
    assert gap(rules.mirror(0.1, potentials.entropy)) > 0.01


def test_eq13_table_of_conservation():
    cells = {row[0].split(",")[0]: row[1:] for row in tables.conservation_table().rows}
    assert cells["Euclidean"][:2] == ("$q_{1} + q_{2}$", "–")
    assert cells["entropy"][2] == "$q_{1} + q_{2}$"
    assert all(row[1] == "–" for row in cells.values())


def test_a_table_refuses_ragged_rows_and_bars():
    assert str(Table(("a", "b"), (("1", "2"),))).splitlines()[1] == "| --- | --- |"
    with pytest.raises(ValueError, match="expected 2 cells in each row, got 1"):
        Table(("a", "b"), (("1",),))
    with pytest.raises(ValueError, match="without a vertical bar"):
        Table(("a",), (("|q|",),))
