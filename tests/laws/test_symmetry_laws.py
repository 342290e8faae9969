"""Laws of a one-parameter symmetry, over the table of all of them and three kinds of arithmetic."""

import numpy as np
import pytest
import scipy.linalg
import sympy as sp
import torch

from nld import symmetry
from tests.cases import CURVED, SYMMETRIES, numeric_gradient

ALL = SYMMETRIES | CURVED
affine, names = pytest.mark.parametrize("name", SYMMETRIES), pytest.mark.parametrize("name", ALL)


def point(size, seed=0, width=3):
    return tuple(np.random.default_rng(seed).normal(size=(size, width)))


@names
def test_law_identity_at_zero(name):
    sym, size, _ = ALL[name]
    q = point(size)
    for before, after in zip(q, sym.transform(q, 0), strict=True):
        np.testing.assert_array_equal(before, after)


@names
def test_law_generator_is_the_derivative_of_the_transform(name):
    sym, size, _ = ALL[name]
    s, q = sp.Symbol("s"), sp.symbols(f"q:{size}")
    derivative = [sp.diff(part, s).subs(s, 0) for part in sym.transform(q, s)]
    assert [sp.nsimplify(sp.expand(a - b)) for a, b in zip(derivative, sym.generator(q), strict=True)] == [0] * size


@names
@pytest.mark.parametrize("s", [-0.4, 0.3, 2.0])
def test_law_a_loss_with_the_symmetry_does_not_change(name, s):
    sym, size, loss = ALL[name]
    q = point(size, seed=1)
    assert loss(sym.transform(q, s)) == pytest.approx(loss(q), rel=1e-11, abs=1e-11)


@names
def test_law_the_gradient_is_orthogonal_to_the_generator(name):
    sym, size, loss = ALL[name]
    q = point(size, seed=2)
    gradient = numeric_gradient(loss, q)
    generator = sym.generator(q)
    along = sum(np.vdot(a, g) for a, g in zip(generator, gradient, strict=True))
    size = np.sqrt(sum(np.vdot(a, a) for a in generator) * sum(np.vdot(g, g) for g in gradient))
    assert size > 0.1
    assert abs(along) < 1e-8 * size


@affine
def test_law_the_transform_moves_points_and_the_linear_part_carries_differences(name):
    sym, size, _ = ALL[name]
    q, v = point(size, seed=3), point(size, seed=4)
    moved = [b - a for a, b in zip(q, sym.transform(q, 0.5), strict=True)]
    assert max(np.abs(part).max() for part in moved) > 0.1
    # the linear part carries differences: A(q + v) - A(q) = DA v
    shifted = sym.generator([a + b for a, b in zip(q, v, strict=True)])
    for a, b, c in zip(shifted, sym.generator(q), sym.linear_part(v), strict=True):
        np.testing.assert_allclose(a - b, c, atol=1e-14)


@names
def test_law_one_value_serves_numpy_torch_and_sympy(name):
    sym, size, _ = ALL[name]
    q = point(size, seed=5, width=1)
    by_numpy = sym.transform(q, 0.25)
    by_torch = sym.transform([torch.tensor(part) for part in q], 0.25)
    by_sympy = sym.transform([sp.Float(part[0], 30) for part in q], sp.Rational(1, 4))
    for a, b, c in zip(by_numpy, by_torch, by_sympy, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-14, atol=1e-15)
        assert float(a[0]) == pytest.approx(float(c), rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("antisymmetric", [False, True])
def test_law_linear_pairs_keep_their_product_and_their_charges_are_those_of_every_generator(antisymmetric):
    """Three matrices, the last one on the other side: its products with the first two stay at any s."""
    rng = np.random.default_rng(6)
    b, sides = rng.normal(size=(3, 3)), (1, 2.0, -1)
    b = b - b.T if antisymmetric else b
    family = symmetry.linear(b, sides, scipy.linalg.expm)
    q, p = ([rng.normal(size=(3, width)) for width in (4, 1, 5)] for _ in range(2))
    moved = family.transform(q, 0.7)
    for i in range(2):
        np.testing.assert_allclose(moved[2].T @ moved[i], q[2].T @ q[i], atol=1e-12)
        assert np.abs(moved[i] - q[i]).max() > 0.1
    if antisymmetric:  # then all turn alike, and products of one side stay too
        np.testing.assert_allclose(moved[0].T @ moved[0], q[0].T @ q[0], atol=1e-12)
    ahead, behind = family.transform(q, 1e-5), family.transform(q, -1e-5)
    for a, c, along in zip(ahead, behind, family.generator(q), strict=True):
        np.testing.assert_allclose((a - c) / 2e-5, along, atol=1e-8)
    charges = symmetry.linear_charges([x @ y.T for x, y in zip(p, q, strict=True)], sides, antisymmetric)
    assert np.vdot(charges, b) == pytest.approx(sum(map(np.vdot, p, family.generator(q))), rel=1e-12)
    # the same in sympy and torch, there for a stack of two
    by_sympy = symmetry.linear(sp.Matrix(b), sides, lambda m: m.exp()).generator([sp.Matrix(part) for part in q])
    stacked = symmetry.linear(torch.tensor(np.stack([b, 2 * b])), sides, torch.linalg.matrix_exp)
    twice = stacked.transform([torch.tensor(np.stack([part, part])) for part in q], 0.35)
    for exact, pair, after, along in zip(by_sympy, twice, moved, family.generator(q), strict=True):
        np.testing.assert_allclose(np.array(exact, float), along, atol=1e-12)
        np.testing.assert_allclose(pair[1].numpy(), after, atol=1e-12)


def test_law_an_elementary_matrix_acts_on_rows_as_on_the_matrix():
    rng = np.random.default_rng(7)
    first, last = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    for row, column in ((0, 2), (1, 1)):
        elementary = np.zeros((3, 3))
        elementary[row, column] = 1.0
        whole = symmetry.linear(elementary, (1, -1), scipy.linalg.expm).generator((first, last))
        rows = symmetry.general_linear(3, row, column).generator((*first, *last))
        np.testing.assert_array_equal(np.concatenate(whole), rows)


def test_law_real_exponents():
    family = symmetry.rescale((0.5, -1.5))
    q = (np.array([1.0, 2.0]), np.array([3.0]))
    moved = family.transform(q, 0.21)
    np.testing.assert_allclose(moved[0], 1.1 * q[0])
    np.testing.assert_allclose(moved[1] * 1.1**3, q[1])
    np.testing.assert_array_equal(np.concatenate(family.generator(q)), [0.5, 1.0, -4.5])


def test_wrong_number_of_parts_is_said():
    with pytest.raises(ValueError, match="expected a point of 2 parts for this rescale, got 3"):
        symmetry.rescale((1, -1)).transform((1, 2, 3), 0.1)
    with pytest.raises(ValueError, match="expected row and column below size 2"):
        symmetry.general_linear(2, 0, 2)
