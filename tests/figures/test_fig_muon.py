"""The judges of the claims about Muon's symmetry, part by part, and the laws that stand in the prose."""

import numpy as np
import pytest

from nld.figures import fig_muon
from nld.figures.verification import reference as references
from nld.inference.verdict import REPRODUCED
from tests.figures.judged import labels, outcomes
from tests.figures.stored import whole_reference


@pytest.fixture
def data():
    reference = whole_reference("fig-muon")
    return next(iter(references.split(reference).values()))


def test_fig_muon_reproduces_its_claims(data):
    assert set(labels(fig_muon, data).values()) == {REPRODUCED}


BALANCED, BIASES = "balanced-adapters-are-conditioned-best", "random-biases-remove-rotations"
PARTS = [
    ("muon-commutes-with-rotations", "Muon", "twin_kept", {"twin": "Muon", "step": 7}, 1e-8),
    ("muon-commutes-with-rotations", "Adam", "twin_lost", {"step": 30}, 0.01),
    ("equivariant-rules-leave-no-drift", "commuting", "products_kept",
     {"adapter_rule": "scaled gradient", "change": "any invertible"}, 1e-8),
    ("equivariant-rules-leave-no-drift", "Adam", "products_lost", {"adapter_rule": "Adam", "change": "rotation"}, 0.01),
    (BALANCED, "balanced", "condition_least", {}, 1.0),
    (BALANCED, "formula", "condition_predicted", {}, 1.0),
    (BIASES, "named", "named", {"biases": "drawn"}, 1),
    (BIASES, "counted", "left", {"group": "rotations", "draws": 1}, 5),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "part", "variable", "where", "value"), PARTS)
def test_fig_muon_each_part_turns(data, claim, part, variable, where, value):
    altered = data.copy(deep=True)
    altered[variable].loc[where] = value
    before, after = outcomes(fig_muon, data, claim), outcomes(fig_muon, altered, claim)
    assert {name for name in before if before[name] != after[name]} == {part}


def test_fig_muon_notices_a_place_that_is_better_than_balance(data):
    altered = data.copy(deep=True)
    altered["condition"][5] = altered["condition_predicted"][5] = 2.0
    before, after = outcomes(fig_muon, data, BALANCED), outcomes(fig_muon, altered, BALANCED)
    assert {name for name in before if before[name] != after[name]} == {"no place is better"}


def test_fig_muon_charges_follow_the_exact_law(data):
    assert float(data["turned_kept"].max()) < 1e-15
    np.testing.assert_allclose(data["turned"], data["turned_predicted"], atol=1e-15)
    ends = data["turned"].isel(step=-1)
    assert float(ends.sel(rule="Muon, lookahead")) > 1e-4
    assert float(ends.sel(rule="Adam")) > 1e-3
    assert float(data["stretch_residual"]) < 1e-12
    assert 1.2 < float(data["stretched_polar"][-1] / data["stretched"][-1]) < 1.7


def test_fig_muon_turns_heads_although_it_commutes(data):
    turning = data["turning"].mean("step")
    assert float(turning.sel(turning_rule="Muon") / turning.sel(turning_rule="Adam")) > 0.5
    assert float(data["turning_kept"].max()) < 1e-13


def test_fig_muon_in_half_precision_is_between_the_two(data):
    half = data["twin_half"].values
    assert (half > 1e-3).all()
    assert (half < data["twin_lost"].values).all()
