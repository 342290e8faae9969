"""Twins of a language model, low-rank adapters and drawn biases: the symmetry itself, and who keeps it."""

import numpy as np
import pytest
import torch

import nld
from nld.experiment.datasets import source_text
from nld.experiment.studies import head_bases, low_rank_adapters, random_biases
from nld.experiment.training.language_model import language_model, next_byte_loss, text_batches
from nld.theory import adapters

STEPS = 4
RANDOM = np.random.default_rng(0)


def batch():
    return next(text_batches(source_text.training_text(), [0], seed=0, **head_bases.BATCH))


@pytest.mark.parametrize("draw", [head_bases.rotations, head_bases.signed_permutations, head_bases.invertibles])
def test_no_change_of_basis_of_the_heads_changes_the_loss(draw):
    model = language_model(0, torch.float64, **head_bases.SHAPE)
    before = next_byte_loss(model, *batch()).item()
    matrices = np.stack([draw(4, 8, RANDOM) for _ in range(2)])
    assert np.abs(matrices - np.eye(8)).max() > 0.5
    value = model.layers[0].attention.value.weight.detach().clone()
    head_bases.turn_heads(model, matrices)
    assert next_byte_loss(model, *batch()).item() == pytest.approx(before, rel=1e-12)
    assert (model.layers[0].attention.value.weight - value).norm() > 0.1 * value.norm()


def test_matrices_are_what_their_names_say():
    for draw in (head_bases.rotations, head_bases.signed_permutations):
        g = draw(3, 5, RANDOM)
        np.testing.assert_allclose(g @ g.mT, np.broadcast_to(np.eye(5), (3, 5, 5)), atol=1e-12)
    assert (np.abs(head_bases.signed_permutations(3, 5, RANDOM)) > 0).sum() == 15
    s = np.linalg.svd(head_bases.invertibles(3, 5, RANDOM), compute_uv=False)
    assert (s.min() >= 0.5, s.max() <= 2, s.max() / s.min() > 1.5) == (True, True, True)


KEPT = [
    ("heavy ball", head_bases.rotations, True), ("Muon", head_bases.rotations, True),
    ("Muon, exact polar factor", head_bases.rotations, True), ("Muon, lookahead", head_bases.rotations, True),
    ("Adam", head_bases.signed_permutations, True), ("Adam", head_bases.rotations, False),
    ("Muon", head_bases.invertibles, False), ("heavy ball", head_bases.invertibles, False),
    ("Muon, half precision", head_bases.rotations, False),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "draw", "kept"), KEPT)
def test_twins_stay_twins_where_the_rule_commutes(rule, draw, kept):
    apart = head_bases.distance_of_twins(head_bases.RULES[rule], draw, STEPS)
    assert apart.max() < 1e-11 if kept else apart.min() > 1e-3


def test_momenta_and_points_of_a_path_are_those_of_heavy_balls_steps():
    rule = head_bases.RULES["heavy ball"]
    path = head_bases.head_path(rule, STEPS)
    assert path.incoming.shape == path.outgoing.shape == (STEPS + 1, 4, 8, 32)
    for points, momenta in ((path.incoming, path.incoming_momentum), (path.outgoing, path.outgoing_momentum)):
        np.testing.assert_allclose(np.diff(points, axis=0), -rule.learning_rate * momenta, atol=1e-14)


GROUPS = {"Adam": 1, "heavy ball": 2, "Muon": 2, "scaled gradient": 3}


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("seed", [0, 5])
def test_products_of_adapters_agree_where_the_rule_commutes(name, seed):
    apart = [low_rank_adapters.distance_of_products(name, change, 40, seed) for change in low_rank_adapters.CHANGES]
    assert max(apart[: GROUPS[name]]) < 1e-11
    assert min([1.0, *apart[GROUPS[name] :]]) > 1e-3


def test_adapters_learn_under_each_rule():
    for name in GROUPS:
        model, x, y = low_rank_adapters.adapted()
        before = low_rank_adapters.squared_error(model, x, y).item()
        low_rank_adapters.train(model, name, x, y, 100)
        assert low_rank_adapters.squared_error(model, x, y).item() < 0.9 * before, name


def test_the_finder_names_the_general_linear_group_of_adapters():
    model, x, _ = low_rank_adapters.adapted()
    (block,) = nld.find_symmetries(model, x)
    assert (block.kind, block.size, set(block.parameters)) == ("general_linear", low_rank_adapters.RANK, {"a", "b"})


def test_places_of_an_orbit_have_one_product_and_the_condition_of_theory():
    model, _, _ = low_rank_adapters.adapted()
    a, b = (part.detach().numpy() for part in (model.a, model.b))
    many_a, many_b = low_rank_adapters.along_an_orbit(a, b, 6)
    np.testing.assert_allclose(many_b @ many_a, np.broadcast_to(b @ a, (6, *(b @ a).shape)), atol=1e-12)
    for place in zip(many_a, many_b, strict=True):
        assert low_rank_adapters.hessian_condition(*place) == pytest.approx(adapters.condition_number(*place), rel=1e-7)


@pytest.mark.parametrize(("kind", "parameters"), [("none", [2, 2]), ("drawn", []), ("trained", [3, 3])])
def test_the_finder_says_what_biases_leave(kind, parameters):
    blocks = nld.find_symmetries(*random_biases.head(kind))
    assert [len(block.parameters) for block in blocks if block.kind.is_matrix] == parameters


@pytest.mark.parametrize("seed", [0, 3])
def test_each_draw_takes_a_dimension(seed):
    size = random_biases.SIZE
    for draws in range(size + 1):
        free = size - draws
        assert random_biases.generators_left(draws, rotations=False, seed=seed) == 2 * size * free
        assert random_biases.generators_left(draws, rotations=True, seed=seed) == free * max(free - 1, 0)
