"""Sentences on the paper's figures are chosen by the data: each is asked for on data of which the opposite is true."""

import numpy as np
import pytest
import xarray as xr

from nld.figures import (
    fig_2,
    fig_amplification,
    fig_closures,
    fig_conservation,
    fig_dictionary,
    fig_effective_rates,
    fig_grid,
    fig_orders,
    fig_photographs,
)
from nld.figures._data import (
    photographs_prose,
)
from nld.inference.registration import registrations
from nld.inference.verdict import OPEN, OPPOSITE, PASSES, UNDECIDED, Finding, Verdict
from tests.figures.test_captions import reference


def test_fig_orders_a_start_from_rest_is_called_worse_only_where_it_is():
    data = reference("fig-orders")
    assert "no better" in fig_orders.from_rest(data)
    rate = data["scaled_rate"].values
    assert fig_orders.from_rest(data.assign(cold_error=("scaled_rate", rate**2))) == "2.00, better than gradient flow's"


def test_fig_orders_measures_how_far_its_curves_are():
    time = np.linspace(0, 1, 5)
    still = np.stack([time, 0 * time], 1)
    data = xr.Dataset({
        "curves": (("flow", "time", "axis"), [still + np.array([0, 0.3]), still]),
        "iterates": (("step", "axis"), still[::2]),
    })  # fmt: skip
    np.testing.assert_allclose(fig_orders.apart(data), [0.3, 0])


def test_fig_2_orders_the_balls_by_their_masses_only_where_they_are_so():
    data = reference("fig-2")
    assert fig_2.rise(data) == "the more the heavier the ball, and 3 of the 4 fall again before the figure ends"
    turned = data.assign(scale=data["scale"].copy(data=data["scale"].values[::-1]))
    assert "not in the order of the masses" in fig_2.rise(turned)


def test_fig_conservation_says_where_smaller_rates_help_under_adam():
    data = reference("fig-conservation")
    assert "do not bring the laws back" in fig_conservation.under_adam(data)
    assert "stays within rounding" in fig_conservation.caption(data)
    drift = data["drift"].copy()
    drift[{"optimizer": 1}] = data["learning_rate"].isel(optimizer=1) ** 2
    drift[{"optimizer": 0, "symmetry": 0}] = 1e-3
    broken = data.assign(drift=drift)
    assert "lessens some of the drifts, which have orders of 2.00 to 2.00" in fig_conservation.under_adam(broken)
    assert "the charge of a translation moves by at most" in fig_conservation.caption(broken)


def test_fig_amplification_names_the_model_that_the_network_is_near():
    data = reference("fig-amplification")
    said = fig_amplification.sentences(data)
    assert said["mini-batches"] == "Mini-batches are noise first and signal second."
    assert "more of the signal" in said["longer-memory"]
    memory = 1 / (1 - data["network_momentum"])
    smooth = data.assign(network=data["network"] * 0 + 1900 * memory / 10, judged_factor=data["judged_factor"] / 10)
    said = fig_amplification.sentences(smooth)
    assert said["mini-batches"] == "Mini-batches are signal first and noise second."
    assert "no more of the signal" in said["longer-memory"]
    assert "below the paper's factor" in said["full-batches"]


def test_fig_dictionary_finds_the_step_after_a_switch():
    step = np.arange(0, 18001, 20)
    off = np.where(step == 6040, 1.1, 1.0)[None]
    laws = {"eq17": (("weight_decay", "step"), off), "squared_norm": (("weight_decay", "step"), 0 * off + 1)}
    assert fig_dictionary.after_switch(xr.Dataset(laws, {"step": step})) == 40


@pytest.mark.parametrize(
    ("measured", "said"),
    [(1.1, "takes away most of its error"), (2.0, "takes away a part"), (9.0, "does not always lessen its error")],
)
def test_fig_closures_says_how_much_the_measured_sum_repairs(measured, said):
    data = reference("fig-closures")
    norm, law = data["squared_norm"], data["predicted"].copy()
    law.loc[{"closure": "smooth"}], law.loc[{"closure": "measured"}] = 3 * norm, measured * norm
    assert said in fig_closures.sentences(data.assign(predicted=law))["repairs"]


def test_fig_closures_says_whether_full_batches_suffice():
    data = reference("fig-closures")
    assert "do not make gradients smooth" in fig_closures.sentences(data)["full-batches"]
    exact = data.assign(judged_ratio=data["judged_ratio"] * 0 + 1.02)
    assert "at 1.02 times the measured norm at the large rate, too" in fig_closures.sentences(exact)["full-batches"]


def test_fig_effective_rates_explains_only_what_the_rates_explain():
    data = reference("fig-effective-rates")
    said = fig_effective_rates.sentences(data)
    assert "They are better because they end up where the rate is right" in said["best-rates"]
    assert "it can recover in time" in said["recovers"]
    assert said["decay-moves"].startswith("lifts")
    assert "lost in their first steps" in said["exceptions"]
    held = data["constrained"] == 1
    apart = data.assign(
        half_rate=data["half_rate"].where(~held, 1000 * data["half_rate"]),
        accuracy=data["accuracy"].where(~held, 0.1),
        half_loss=data["half_loss"] / 10,
    )
    apart["half_rate"] = apart["half_rate"].where(data["panel"] != "C", 1.0)
    said = fig_effective_rates.sentences(apart)
    assert "the rate alone does not explain the losses" in said["best-rates"]
    assert "does not come back at this rate either" in said["recovers"]
    assert said["decay-moves"].startswith("does not steadily lift")
    assert said["exceptions"] == "No free run guesses."
    fast = fig_effective_rates.exceptions(data.assign(half_rate=0 * data["half_rate"] + 20))
    assert fast.endswith("rates of up to 20 1/ℓ.")


def test_fig_effective_rates_reads_the_course_of_one_rate():
    data = reference("fig-effective-rates")
    falling = data.assign(effective_rate=data["effective_rate"] * 0 + 90 / (1 + data["step"]))
    assert fig_effective_rates.course(falling, 0.3) == "from 90 1/ℓ to 2.9 1/ℓ within 30 steps"
    assert "bend towards each other" in fig_effective_rates.alt(data)
    assert "do not approach" in fig_effective_rates.alt(falling)


def test_fig_grid_compares_the_pair_and_counts_the_settings():
    data = reference("fig-grid")
    said = fig_grid.in_words(data)
    assert "not the whole story" in said["held-pair"]
    assert "nothing is left to bring it back" in said["overshoot"]
    assert "at more settings than held ones" in fig_grid.caption(data)
    trained = data.assign(test_loss=data["test_loss"] * 0 + 0.2, diverged=data["diverged"] * 0)
    said = fig_grid.in_words(trained)
    assert said["held-pair"] == "Here the held pair ends nearly alike."
    assert said["overshoot"] == "the run ends at a loss of 0.2 ℓ all the same"
    assert "at as many settings as held ones" in fig_grid.caption(trained)


@pytest.mark.parametrize(
    ("outcome", "first"),
    [(PASSES, "Free and held runs lie on one curve."), (OPEN, "Whether free"), (OPPOSITE, "Free and held runs do not")],
)
def test_fig_photographs_says_of_the_mechanism_what_was_found(outcome, first):
    parts = {part.name: part for part in registrations()["effective-rate-explains-loss"].parts}
    findings = tuple(Finding(name, outcome, 1.0, n=16, e_value=500.0, needed=40) for name in parts)
    listed = {
        claim: tuple(Finding(part, outcome, 1.0, n=9, e_value=500.0, needed=40) for part in ("from 0 to 0.9",))
        for claim in photographs_prose.LISTED
    }
    verdicts = [Verdict(name, UNDECIDED, "", found) for name, found in listed.items()]
    verdicts.append(Verdict("effective-rate-explains-loss", UNDECIDED, "", findings))
    said = photographs_prose.sentences(reference("fig-photographs"), verdicts)
    assert said["curve"].startswith(first)
    assert said["curve"].count(".") == 3
    assert said["needed"] == ", ".join(f"{panel} {40 if outcome == OPEN else 9}" for panel in "ABC")
    assert said["steps"].startswith("From momentum 0 to momentum 0.9 ")


def test_fig_photographs_says_where_free_norms_lead_nowhere():
    data = reference("fig-photographs")
    level = data.assign(test_accuracy=data["test_accuracy"] * 0 + 0.5)
    assert "free norms lead nowhere" in fig_photographs.caption(level)
    assert fig_photographs.sentences(level)["best"] == "50 %, 10 times what guessing gives"
