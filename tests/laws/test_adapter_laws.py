"""Low-rank adapters: the Hessian's condition number against a dense Hessian, and its least on an orbit."""

import numpy as np
import pytest

from nld.errors import InvalidInput
from nld.theory import adapters

SHAPES = [(1, 4, 3), (2, 5, 3), (3, 4, 6)]


def start(rank, inputs, outputs, seed=0):
    random = np.random.default_rng([seed, rank])
    return random.normal(size=(rank, inputs)), random.normal(size=(outputs, rank))


def dense_hessian(a, b):
    """Of |B A - M|^2/2 at B A = M, column by column from the definition."""
    size, columns = a.size + b.size, []
    for i in range(size):
        unit = np.eye(size)[i]
        da, db = unit[: a.size].reshape(a.shape), unit[a.size :].reshape(b.shape)
        columns.append((b @ da + db @ a).ravel())
    jacobian = np.stack(columns, 1)
    return jacobian.T @ jacobian


@pytest.mark.parametrize("shape", SHAPES)
def test_law_condition_number_of_the_dense_hessian(shape):
    a, b = start(*shape)
    eigenvalues = np.linalg.eigvalsh(dense_hessian(a, b))
    gauge = shape[0] ** 2  # as many directions move nothing
    assert np.abs(eigenvalues[:gauge]).max() < 1e-10 * eigenvalues[-1]
    assert adapters.condition_number(a, b) == pytest.approx(eigenvalues[-1] / eigenvalues[gauge], rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_law_balanced_adapters_are_conditioned_best(shape):
    a, b = start(*shape)
    best = adapters.best_condition_number(a, b)
    at, bt = adapters.balanced(a, b)
    np.testing.assert_allclose(bt @ at, b @ a, atol=1e-12)
    np.testing.assert_allclose(at @ at.T, bt.T @ bt, atol=1e-12)
    assert adapters.imbalance(at, bt) < 1e-14
    assert adapters.condition_number(at, bt) == pytest.approx(best, rel=1e-9)
    random, rank = np.random.default_rng(1), shape[0]
    for _ in range(300):
        g = np.eye(rank) + random.exponential() * random.normal(size=(rank, rank))
        assert adapters.condition_number(g @ at, bt @ np.linalg.inv(g)) >= best * (1 - 1e-9)


def test_law_imbalance_is_one_where_one_side_is_nothing():
    a, _ = start(1, 4, 3)
    assert adapters.imbalance(a, np.zeros((3, 1))) == pytest.approx(1)


def test_adapters_of_full_rank_are_refused():
    with pytest.raises(InvalidInput, match="r below both"):
        adapters.condition_number(np.eye(3), np.eye(3))
