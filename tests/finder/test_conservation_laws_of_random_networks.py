"""Counts of laws for networks whose depth and widths are drawn, and laws that are polynomials, found by another way."""

import itertools
from math import comb

import numpy as np
import pytest
import sympy as sp
import torch

import nld
from tests.finder.parameterizations import deep_linear, linear_pair, normal

RANDOM = np.random.default_rng(0)
LINEAR = sorted({tuple(int(n) for n in RANDOM.integers(1, 4, RANDOM.integers(3, 6))) for _ in range(16)})
RELU = sorted({tuple(int(n) for n in RANDOM.integers(1, 4, RANDOM.integers(3, 5))) for _ in range(16)})


def rank_of_gradients(charges, q):
    """Number of functions among ``charges`` that are independent at q."""
    rows = torch.cat([j.flatten(1) for j in torch.autograd.functional.jacobian(charges, tuple(q))], 1)
    return int(torch.linalg.matrix_rank(rows))


def balances(*q):
    """Entries of W_l W_l^T - W_{l+1}^T W_{l+1} of all hidden layers."""
    return torch.cat([(a @ a.T - b.T @ b).flatten() for a, b in itertools.pairwise(q)])


def test_there_are_at_least_ten_networks_of_each_kind():
    assert min(len(LINEAR), len(RELU)) >= 10


@pytest.mark.parametrize("widths", LINEAR, ids=str)
def test_law_linear_networks_have_the_laws_of_their_layers_and_no_others(widths):
    phi, q = deep_linear(*widths)
    laws = nld.count_conservation_laws(phi, q)
    assert laws.settled
    assert int(laws) == rank_of_gradients(balances, q)


def paths(*q):
    """Products of weights along every path from an input to an output: all that a ReLU network's outputs depend on."""
    letters = "abcdefg"[: len(q) + 1]
    terms = [letters[i + 1] + letters[i] for i in range(len(q))]
    return torch.einsum(f"{','.join(terms)}->{letters}", *q)


@pytest.mark.parametrize("widths", RELU, ids=str)
def test_law_relu_networks_have_one_law_a_hidden_unit_and_no_others(widths):
    q = normal(*[(b, a) for a, b in itertools.pairwise(widths)])
    laws = nld.count_conservation_laws(lambda q: paths(*q), q)
    assert laws.settled
    assert (
        int(laws)
        == sum(widths[1:-1])
        == rank_of_gradients(lambda *q: torch.cat([(a**2).sum(1) - (b**2).sum(0) for a, b in itertools.pairwise(q)]), q)
    )


@pytest.mark.parametrize("units", [1, 2, 3])
def test_law_a_general_linear_group_has_a_direction_for_each_entry_and_a_law_for_each_symmetric_one(units):
    laws = nld.count_conservation_laws(*linear_pair(units, units, units))
    assert laws.dimension - laws.ranks[0] == units**2
    assert int(laws) == units * (units + 1) // 2


@pytest.mark.parametrize("factors", [2, 3, 4])
def test_law_quadratic_laws_of_a_product_by_linear_algebra(factors):
    """<grad P, grad phi> = 0 in the coefficients of P, for phi = x_1 ... x_D: differences of squares and no other."""
    x = sp.symbols(f"x1:{factors + 1}")
    phi = sp.prod(x)
    monomials = [a * b for i, a in enumerate(x) for b in x[i:]] + list(x)
    assert len(monomials) == comb(factors + 1, 2) + factors
    coefficients = sp.symbols(f"c:{len(monomials)}")
    law = sum(c * m for c, m in zip(coefficients, monomials, strict=True))
    condition = sp.Poly(sp.expand(sum(law.diff(v) * phi.diff(v) for v in x)), *x)
    system, _ = sp.linear_eq_to_matrix(condition.coeffs(), coefficients)
    solutions = [sum(v * m for v, m in zip(row, monomials, strict=True)) for row in system.nullspace()]
    assert len(solutions) == factors - 1
    for solution in solutions:  # a sum of squares whose coefficients add up to zero
        assert solution.subs(dict.fromkeys(x, 1)) == 0
        assert all(solution.diff(a, b) == 0 for a, b in itertools.combinations(x, 2))
    theta = normal((factors,))
    assert int(nld.count_conservation_laws(lambda q: q[0].prod()[None], theta)) == factors - 1


FORM = normal((5, 5), seed=3)[0]
FORM = FORM + FORM.T
COMMUTING = {  # fields that commute: their brackets are zero, of which rounding must make no directions
    "one quadratic form": (lambda q: (q[0] @ FORM @ q[0])[None], (5,), 4),
    "two that commute": (lambda q: torch.stack([q[0] @ FORM @ q[0], q[0] @ FORM @ FORM @ q[0]]), (5,), 3),
    "one that is not affine": (lambda q: (q[0].sin() @ FORM @ q[0].exp())[None], (5,), 4),
    "two of separate weights": (lambda q: torch.stack([q[0][:2].sin().prod(), q[0][2:].exp().sum().sin()]), (5,), 3),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMUTING)
def test_law_fields_that_commute_span_no_more_than_themselves(name):
    phi, shape, expected = COMMUTING[name]
    laws = nld.count_conservation_laws(phi, normal(shape))
    assert (int(laws), laws.settled, laws.ranks[0]) == (expected, True, laws.ranks[-1])
