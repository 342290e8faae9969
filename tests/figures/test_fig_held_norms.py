"""The judges of the claims about held norms, part by part, and the words that depend on the data."""

import numpy as np
import pytest
import xarray as xr

from nld.figures import fig_held_norms
from nld.figures._data.held_prose import numbers
from nld.figures._data.held_scores import RULES, effect, hit_rate, measured, misses, predicted, seed_rates
from nld.inference.verdict import REFUTED, REPRODUCED, UNDECIDED
from tests.figures.judged import labels, outcomes, row

RULE, HELD = "symmetry-says-which-norms-may-be-held", "held-norms-train-better"
CARRIER, GAIN = "the-carrier-stays-free", "a-gain-carries-what-is-held"
UNITS = [f"{name}: {label}" for name in ("one", "two", "three", "four") for label in ("query", "up", "head")]
SAID = np.tile([0, -1, 1], 4)


def made(seeds=12, change=(0.0, -0.1, 0.2), chosen=-0.1, everything=0.1, gained=0.0, alone=0.0) -> xr.Dataset:
    """Four architectures of three classes, said to be harmless (with a scale of its own), helpful and harmful."""

    def rows(means):
        return np.stack([row(mean, 0.001, seeds) for mean in means], axis=1)

    carriers = [unit for unit in UNITS if unit.endswith("head")]
    return xr.Dataset(
        {
            "judged_loss": (("judging_seed", "architecture"), rows([2.0] * 4)),
            "judged_chosen_change": (("judging_seed", "architecture"), rows([chosen] * 4)),
            "judged_all_change": (("judging_seed", "architecture"), rows([everything] * 4)),
            "judged_change": (("judging_seed", "unit"), rows(list(change) * 4)),
            "judged_growth": (("judging_seed", "unit"), rows([1.5] * 12)),
            "judged_gained_change": (("judging_seed", "carrier"), rows([gained] * 4)),
            "judged_gain_alone": (("judging_seed", "carrier"), rows([alone] * 4)),
            "predicted_effect": ("unit", SAID),
            "predicted_growth": ("unit", np.tile([1.2, 3.0, 1.2], 4)),
            "scale_class": ("unit", np.tile([0, 2, 2], 4)),
            "own_scale": ("unit", np.tile([1, 0, 0], 4)),
            "is_text": ("architecture", [1, 1, 1, 0]),
        },
        coords={
            "judging_seed": 10_000 + np.arange(seeds), "unit": UNITS, "carrier": carriers,
            "architecture": ["one", "two", "three", "four"],
        },
    )  # fmt: skip


def test_fig_held_norms_reproduces_what_the_rule_says():
    assert set(labels(fig_held_norms, made()).values()) == {REPRODUCED}


@pytest.mark.parametrize(
    ("claim", "part", "altered"),
    [
        (HELD, "chosen", {"chosen": 0.1}),
        (CARRIER, "all", {"everything": -0.1}),
        (GAIN, "half the harm", {"gained": 0.15}),
        (RULE, "own scale", {"change": (0.03, -0.1, 0.2)}),
    ],
)
def test_fig_held_norms_each_part_turns(claim, part, altered):
    before, after = (outcomes(fig_held_norms, data, claim) for data in (made(), made(**altered)))
    assert before[part] != after[part]
    assert labels(fig_held_norms, made(**altered))[claim] != REPRODUCED


def test_fig_held_norms_compares_the_rule_with_both_simpler_ones():
    all_harmless = outcomes(fig_held_norms, made(change=(0.0, 0.0, 0.0)), RULE)
    assert (
        all_harmless["better than all harmless"] != outcomes(fig_held_norms, made(), RULE)["better than all harmless"]
    )
    as_own_scale = made(change=(0.0, 0.1, 0.2))  # what has no scale of its own is harmful
    assert labels(fig_held_norms, as_own_scale)[RULE] not in (REPRODUCED, UNDECIDED)


def test_fig_held_norms_is_undecided_with_few_seeds_and_says_how_many():
    found = labels(fig_held_norms, made(seeds=2))
    assert found[RULE] == UNDECIDED
    assert numbers(made(seeds=2))["seeds"] == "2 judging seeds"
    assert REFUTED not in found.values()


def test_law_an_effect_is_a_sign_beyond_the_margin():
    np.testing.assert_array_equal(effect(np.array([0.0101, 0.01, 0.0, -0.01, -0.0101])), [1, 0, 0, 0, -1])


def test_law_hit_rates_count_and_their_interval_is_that_of_whole_architectures():
    data = made()
    assert hit_rate(data, RULES[0]) == (1.0, 1.0, 1.0)
    assert hit_rate(data, RULES[2])[0] == pytest.approx(1 / 3)
    assert hit_rate(data, RULES[1])[0] == pytest.approx(2 / 3)
    np.testing.assert_allclose(seed_rates(data, RULES[2]), 1 / 3)
    data["judged_change"][:, :3] = 1.0  # one architecture of four is missed but for its head
    rate, low, high = hit_rate(data, RULES[0])
    assert rate == pytest.approx(10 / 12)
    assert low == pytest.approx(1 - 2 / 3 * 3 / 4, abs=0.1)  # three or four draws of it are rare
    assert high == 1.0
    assert misses(data) == ["one: query", "one: up"]
    assert (measured(data) == predicted(data, RULES[0])).sum() == 10


def test_fig_held_norms_chooses_its_sentences_by_the_data():
    fine, none = numbers(made()), numbers(made(change=(0.0, 0.0, 0.0), gained=0.02, alone=0.02))
    assert "its interval lies above theirs" in fine["verdict"]
    assert "not right more often" in none["verdict"]
    assert "none of them is harmful" in fine["gain"]
    assert "less than half" in none["gain"]
    assert "more than half" in numbers(made(gained=0.02))["gain"]
    assert "not due to holding" in numbers(made(gained=0.0, alone=0.0))["control"]
    assert "gain less" in numbers(made(gained=0.0, alone=0.05))["control"]
    assert "none of them is harmed" in fine["spoken"]
    assert "4 of them are harmed" in numbers(made(change=(0.1, 0.0, 0.2)))["spoken"]
    assert "Nearly every" in fine["summary"]
    assert "not all" in numbers(made(change=(0.1, 0.0, 0.2)))["summary"]
