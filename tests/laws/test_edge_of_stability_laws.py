"""What steps that are too large do to charges, in rational arithmetic and on a valley that is known."""

from itertools import combinations
from math import prod

import numpy as np
import pytest
import sympy as sp

from nld.errors import InvalidInput
from nld.theory import edge_of_stability


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_law_a_step_multiplies_each_charge(depth):
    u, rate, y = sp.symbols(f"u:{depth}", positive=True), *sp.symbols("eta y", positive=True)
    residual = prod(u) - y
    after = [x - rate * (residual**2 / 2).diff(x) for x in u]
    for i, j in combinations(range(depth), 2):
        others = prod(u[k] for k in range(depth) if k not in (i, j))
        factor = edge_of_stability.charge_factor(rate, residual, others)
        assert sp.expand(after[i] ** 2 - after[j] ** 2 - factor * (u[i] ** 2 - u[j] ** 2)) == 0


@pytest.mark.parametrize(("share", "stays"), [(0.98, True), (1.02, False)])
def test_law_descent_stays_at_a_minimum_up_to_the_largest_charge(share, stays):
    rate, y = 0.45, 1.0
    charge = share * edge_of_stability.largest_charge(rate, y)
    size = np.sqrt(charge**2 + 4 * y**2)
    u, v = np.sqrt((size + charge) / 2), np.sqrt((size - charge) / 2)
    u += 1e-6
    first = abs(u * v - y)
    for _ in range(200):
        residual = u * v - y
        u, v = u - rate * residual * v, v - rate * residual * u
    assert (abs(u * v - y) < first) == stays


def test_law_no_minimum_holds_a_rate_beyond_the_flattest():
    assert edge_of_stability.largest_charge(0.5, 2.0) == 0
    with pytest.raises(InvalidInput, match="at most 1/"):
        edge_of_stability.largest_charge(0.6, 2.0)


def test_law_the_oscillation_that_keeps_the_sharpness():
    # S(z) x^2/2 - c z with S = z: z rises by c until x^2/2 averages c, so that x^2 = 2c at the edge z = 2/eta
    rate, c = 0.1, 0.02
    x, z, squares = 0.25, 2 / rate, []
    for _ in range(4000):
        x, z = x - rate * z * x, z + rate * (c - x**2 / 2)
        squares.append(x**2)
    variance = edge_of_stability.central_variance(np.array([0.0, -c]), np.array([0.0, 1.0]))
    assert variance == pytest.approx(2 * c)
    assert np.mean(squares) == pytest.approx(variance, rel=0.02)
    assert edge_of_stability.central_variance(np.array([0.0, c]), np.array([0.0, 1.0])) == 0
    # steps from -x to x: the charge x^2 - z^2 would move by (2x)^2 in each
    assert edge_of_stability.edge_drift(variance, 1.0) == pytest.approx(4 * variance)
