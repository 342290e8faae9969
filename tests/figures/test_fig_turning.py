"""fig-turning: its verdicts follow its numbers, each part by itself, and sentences follow the verdicts."""

import numpy as np
import pytest

from nld.figures import fig_turning
from nld.figures._data import turning_prose
from nld.inference.verdict import PARTLY, REFUTED, REPRODUCED
from tests.figures.judged import labels, outcomes, row
from tests.figures.stored import whole_reference

COSINE, WARM_UP, BALANCE = (claim.name for claim in fig_turning.CLAIMS)


@pytest.fixture
def data():
    """The stored runs, with judging seeds for which all claims hold."""
    stored = whole_reference("fig-turning").isel(arithmetic=0, drop=True)
    losses = np.exp(np.stack([row(-4, 0.1), row(-4.5, 0.11), row(-5, 0.12), row(-4.9, 0.13)], 1))
    seeds = "judging_seed"
    return stored.drop_dims(seeds).assign(
        judged_filters=(seeds, np.ones(32)),
        judged_others=(seeds, row(0.001, 0.001)),
        judged_loss=((seeds, "judged_treatment"), losses),
        judged_spread=((seeds, "judged_kind"), np.stack([row(0.15), row(0.02, 0.002)], 1)),
    ).assign_coords(judged_treatment=stored["judged_treatment"], judged_kind=stored["judged_kind"])  # fmt: skip


def test_fig_turning_rules_on_every_claim_and_nothing_else(data):
    assert labels(fig_turning, data) == dict.fromkeys((COSINE, WARM_UP, BALANCE), REPRODUCED)


@pytest.mark.parametrize(
    ("claim", "part", "variable", "place", "value", "after"),
    [
        (COSINE, "filters", "judged_filters", {"judging_seed": 3}, 0.99, PARTLY),
        (COSINE, "no others", "judged_others", {}, row(0.03, 0.005), PARTLY),
        (COSINE, "no others", "judged_others", {}, row(0.01, 0.05), PARTLY),
        (WARM_UP, "AdamW gains", "judged_loss", {"judged_treatment": 1}, np.exp(row(-4, 0.1)) * 1.3, None),
        (WARM_UP, "it gains more", "judged_loss", {"judged_treatment": 3}, np.exp(row(-6.5, 0.1)), PARTLY),
        (BALANCE, "standardized below 0.05", "judged_spread", {"judged_kind": 1}, row(0.08), PARTLY),
        (BALANCE, "across the layer above 0.1", "judged_spread", {"judged_kind": 0}, row(0.06), PARTLY),
    ],
)
def test_fig_turning_each_part_turns(data, claim, part, variable, place, value, after):
    before = outcomes(fig_turning, data, claim)
    data[variable][place] = value
    assert outcomes(fig_turning, data, claim)[part] != before[part]
    if after is not None:
        assert labels(fig_turning, data)[claim] == after


def test_fig_turning_both_parts_wrong_is_a_refutation(data):
    data["judged_spread"][:] = np.stack([row(0.06), row(0.08)], 1)
    assert labels(fig_turning, data)[BALANCE] == REFUTED


def test_fig_turning_sentences_follow_the_rulings(data):
    told = turning_prose.need_of_warm_up(fig_turning.judge(data)), turning_prose.told_apart(fig_turning.judge(data))
    assert told == ("With prescribed angles there is less to gain.", "It takes no other weights for such.")
    data["judged_others"][:] = row(0.03, 0.005)
    data["judged_loss"][{"judged_treatment": 3}] = np.exp(row(-6.5, 0.1))
    told = turning_prose.need_of_warm_up(fig_turning.judge(data)), turning_prose.told_apart(fig_turning.judge(data))
    assert "more to gain" in told[0]
    assert "other weights for such as well" in told[1]
    data["judged_loss"][{"judged_treatment": 1}] = np.exp(row(-4, 0.1))
    assert "does not gain enough" in turning_prose.need_of_warm_up(fig_turning.judge(data))


def test_fig_turning_neurons_follow_the_radial_force_and_standardized_ones_have_none(data):
    """The stored runs: angles against the law, and no force where every neuron has the symmetry."""
    across, standardized = (data.sel(kind=kind) for kind in data["kind"].values)
    assert np.corrcoef(across["neuron_angle"], across["neuron_law"])[0, 1] > 0.9
    np.testing.assert_allclose(standardized["neuron_law"], data["unit_law"], rtol=1e-6)
    np.testing.assert_allclose(standardized["neuron_angle"], data["unit_law"], rtol=0.1)


@pytest.mark.slow
def test_fig_turning_draws_and_says_what_it_measures(data):
    assert fig_turning.draw(data).axes
    assert "nan" not in fig_turning.caption(data) + fig_turning.alt(data)
