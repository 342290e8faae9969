"""Laws of a one-parameter symmetry, over the table of all of them and three kinds of arithmetic."""

import numpy as np
import pytest
import sympy as sp
import torch

from nld import symmetry
from tests.cases import SYMMETRIES, numeric_gradient

names = pytest.mark.parametrize("name", SYMMETRIES)


def point(size, seed=0, width=3):
    return tuple(np.random.default_rng(seed).normal(size=(size, width)))


@names
def test_law_identity_at_zero(name):
    sym, size, _ = SYMMETRIES[name]
    q = point(size)
    for before, after in zip(q, sym.transform(q, 0), strict=True):
        np.testing.assert_array_equal(before, after)


@names
def test_law_generator_is_the_derivative_of_the_transform(name):
    sym, size, _ = SYMMETRIES[name]
    s, q = sp.Symbol("s"), sp.symbols(f"q:{size}")
    derivative = [sp.diff(part, s).subs(s, 0) for part in sym.transform(q, s)]
    assert [sp.nsimplify(sp.expand(a - b)) for a, b in zip(derivative, sym.generator(q), strict=True)] == [0] * size


@names
@pytest.mark.parametrize("s", [-0.4, 0.3, 2.0])
def test_law_a_loss_with_the_symmetry_does_not_change(name, s):
    sym, size, loss = SYMMETRIES[name]
    q = point(size, seed=1)
    assert loss(sym.transform(q, s)) == pytest.approx(loss(q), rel=1e-11, abs=1e-11)


@names
def test_law_the_gradient_is_orthogonal_to_the_generator(name):
    sym, size, loss = SYMMETRIES[name]
    q = point(size, seed=2)
    gradient = numeric_gradient(loss, q)
    generator = sym.generator(q)
    along = sum(np.vdot(a, g) for a, g in zip(generator, gradient, strict=True))
    size = np.sqrt(sum(np.vdot(a, a) for a in generator) * sum(np.vdot(g, g) for g in gradient))
    assert size > 0.1
    assert abs(along) < 1e-8 * size


@names
def test_law_the_transform_moves_points_and_the_linear_part_carries_differences(name):
    sym, size, _ = SYMMETRIES[name]
    q, v = point(size, seed=3), point(size, seed=4)
    moved = [b - a for a, b in zip(q, sym.transform(q, 0.5), strict=True)]
    assert max(np.abs(part).max() for part in moved) > 0.1
    # the linear part carries differences: A(q + v) - A(q) = DA v
    shifted = sym.generator([a + b for a, b in zip(q, v, strict=True)])
    for a, b, c in zip(shifted, sym.generator(q), sym.linear_part(v), strict=True):
        np.testing.assert_allclose(a - b, c, atol=1e-14)


@names
def test_law_one_value_serves_numpy_torch_and_sympy(name):
    sym, size, _ = SYMMETRIES[name]
    q = point(size, seed=5, width=1)
    by_numpy = sym.transform(q, 0.25)
    by_torch = sym.transform([torch.tensor(part) for part in q], 0.25)
    by_sympy = sym.transform([sp.Float(part[0], 30) for part in q], sp.Rational(1, 4))
    for a, b, c in zip(by_numpy, by_torch, by_sympy, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-14, atol=1e-15)
        assert float(a[0]) == pytest.approx(float(c), rel=1e-14, abs=1e-15)


def test_wrong_number_of_parts_is_said():
    with pytest.raises(ValueError, match="expected a point of 2 parts for this rescale, got 3"):
        symmetry.rescale((1, -1)).transform((1, 2, 3), 0.1)
    with pytest.raises(ValueError, match="expected row and column below size 2"):
        symmetry.general_linear(2, 0, 2)
