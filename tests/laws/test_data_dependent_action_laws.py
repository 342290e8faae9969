"""The action of invertible matrices on two layers that keeps outputs on given inputs."""

import numpy as np
import pytest

from nld.errors import InvalidInput
from nld.theory.data_dependent_action import act, frame

SIGMA = {
    "tanh": np.tanh, "ReLU": lambda z: np.maximum(z, 0) + 0.0, "sine": np.sin,
    "swish": lambda z: z / (1 + np.exp(-z)),
}  # fmt: skip


def layers(seed):
    random = np.random.default_rng(seed)
    return random.normal(size=(3, 6)), random.normal(size=(6, 4)), random.normal(size=(6, 6)), random


@pytest.mark.parametrize("name", SIGMA)
@pytest.mark.parametrize("seed", range(8))
def test_law_one_input_has_the_same_output_under_any_matrix(name, seed):
    u, v, g, random = layers(seed)
    x = random.normal(size=(4, 1))
    moved_u, moved_v = act(g, u, v, x, SIGMA[name])
    before, after = u @ SIGMA[name](v @ x), moved_u @ SIGMA[name](moved_v @ x)
    assert np.abs(after - before).max() < 1e-12 * max(1, np.linalg.cond(g))
    other = random.normal(size=(4, 1))
    assert np.abs(moved_u @ SIGMA[name](moved_v @ other) - u @ SIGMA[name](v @ other)).max() > 1e-3


def test_law_as_many_inputs_as_hidden_units_keep_their_outputs():
    u, v, g, random = layers(0)
    x = random.normal(size=(4, 6))
    moved_u, moved_v = act(g, u, v, x, np.tanh)
    assert np.abs(moved_u @ np.tanh(moved_v @ x) - u @ np.tanh(v @ x)).max() < 1e-9
    with pytest.raises(InvalidInput, match="at most 6 independent"):
        act(g, u, v, random.normal(size=(4, 7)), np.tanh)
    with pytest.raises(InvalidInput, match="independent"):
        act(g, u, v, np.repeat(x[:, :1], 2, axis=1), np.tanh)


def test_law_acting_twice_is_acting_with_the_product():
    u, v, g, random = layers(1)
    h, x = random.normal(size=(6, 6)), random.normal(size=(4, 1))
    once = act(h @ g, u, v, x, np.tanh)
    twice = act(h, *act(g, u, v, x, np.tanh), x, np.tanh)
    for a, b in zip(once, twice, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)
    same = act(np.eye(6), u, v, x, np.tanh)
    np.testing.assert_allclose(same[0], u, atol=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_law_the_frame_begins_with_its_vector_whatever_the_signs_are(sign):
    z = sign * np.array([[0.3], [-1.2], [0.5], [-0.1]])
    r = frame(z)
    np.testing.assert_allclose(r[:, :1], z, rtol=1e-15)
    np.testing.assert_allclose(r.T @ r, np.eye(4) * (z**2).sum(), atol=1e-14)
