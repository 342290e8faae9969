"""Sentences that compare are chosen by the data: each is asked for on data of which the opposite is true."""

import numpy as np
import pytest
import xarray as xr

from nld.figures import (
    fig_2,
    fig_adam,
    fig_amplification,
    fig_books,
    fig_closures,
    fig_conservation,
    fig_counter_terms,
    fig_decision,
    fig_dictionary,
    fig_effective_rates,
    fig_flattening,
    fig_grid,
    fig_metric,
    fig_orders,
    fig_photographs,
    fig_rotation,
)
from nld.figures._data import (
    invariant_layers,
    meta_adaptive_prose,
    norm_free_prose,
    photographs_prose,
    rotation_prose,
    schedules_prose,
)
from nld.inference.registration import registrations
from nld.inference.verdict import OPEN, OPPOSITE, PASSES, UNDECIDED, Finding, Verdict
from tests.figures.judged import row
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


def test_fig_books_says_whether_the_default_epsilon_hurts_more_and_more():
    data = reference("fig-books")
    assert fig_books.default_epsilon(data).startswith("It grows")
    residual = data["residual_default_epsilon"]
    falling = data.assign(residual_default_epsilon=residual.copy(data=residual.values[::-1]))
    assert fig_books.default_epsilon(falling).startswith("It falls")
    np.testing.assert_allclose(fig_books.strays(data.assign(without=0 * data["charge"])), 1)


def test_fig_metric_says_where_smaller_steps_help():
    data = reference("fig-metric")
    assert list(fig_metric.small_steps(data).values()) == [
        "Under Nesterov it does.", "it stays", "it does not go away with smaller steps",
    ]  # fmt: skip
    angle = data["angle"].copy()
    angle[:] = data["learning_rate"]
    angle.loc[{"optimizer": "Nesterov"}] = 1.0
    assert list(fig_metric.small_steps(data.assign(angle=angle)).values()) == [
        "Under Nesterov it does not.", "it lessens, too", "smaller steps lessen some of it",
    ]  # fmt: skip


def test_fig_decision_says_which_run_settles_and_what_it_is_worth():
    data = reference("fig-decision")
    assert fig_decision.settled(data).tolist() == [False, True]
    assert "is not near its equilibrium; at one chosen from the monitor's finding it is" in fig_decision.caption(data)
    said = fig_decision.sentences(data)
    assert said["more"].startswith("More is not better")
    assert said["worth"] == "the decision can pay"
    swapped = data.assign(
        accuracy=data["accuracy"].copy(data=[[0.9] * 2, [0.9] * 2, [0.8] * 2, [0.95] * 2]),
        angular_step=2
        * data["angular_step"].copy(data=data["equilibrium_step"].values[:, None, None] + 0 * data["angular_step"]),
    )
    assert fig_decision.settled(swapped).tolist() == [False, False]
    assert "not within a quarter of the equilibrium, 0.031. Under" in fig_decision.sentences(swapped)["angles"]
    assert "do not show" in fig_decision.sentences(swapped)["more"]
    assert fig_decision.sentences(swapped)["worth"] == "the decision need not pay"


def test_fig_counter_terms_says_whether_the_energy_grows():
    data = reference("fig-counter-terms")
    assert fig_counter_terms.numbers(data)["energy"] == "never grows"
    grown = data.assign(energy_growth=data["energy_growth"] * 0 + 2e-3)
    assert fig_counter_terms.numbers(grown)["energy"].startswith("grows by up to")


def test_fig_flattening_says_what_deviations_do_with_the_strength():
    data = reference("fig-flattening")
    assert fig_flattening.deviations(data).startswith("grow with the strength, as the next order should: at most")
    assert fig_flattening.deviations(data.assign(drift=1.1 * data["prediction"] + 0 * data["drift"])).startswith(
        "are at"
    )
    assert "only not as far" in fig_flattening.caption(data)
    assert "and as far" in fig_flattening.caption(data.assign(penalized_end=data["end"]))
    layer = data["layer"].copy()
    layer[0, 0] *= 1.5
    assert invariant_layers.layer_gap(data.assign(layer=layer)) == pytest.approx(0.5, rel=1e-3)


def test_fig_schedules_says_whether_decay_keeps_descent_from_converging():
    data = reference("fig-schedules")
    assert schedules_prose.numbers(data)["together"].endswith("together they do not.")
    calm = data.assign(restless=data["restless"] * 0)
    assert schedules_prose.numbers(calm)["together"].startswith("At these values")
    gradient = data["smallest_gradient"].copy()
    gradient[{"rate": -1}] = 1e-5  # no longer the largest
    assert schedules_prose.numbers(data.assign(smallest_gradient=gradient))["slowest-gradient"] == "1e-05"


@pytest.mark.parametrize(
    ("gain", "spread", "said"),
    [
        (0.03, 0.01, "shows in this network"),
        (-0.03, 0.01, "does not hurt"),
        (0.0, 0.03, "no difference"),
        (0.01, 0.09, "too small"),
    ],
)
def test_fig_rotation_says_of_unbalance_what_the_seeds_say(gain, spread, said):
    data = reference("fig-rotation")
    accuracy = np.stack([row(0.93 + gain, spread), row(0.93), row(0.93)], 1)
    kept = data["judged_rule"].values
    data = data.drop_dims("judging_seed").assign(
        judged_accuracy=(("judging_seed", "judged_rule"), accuracy),
        judged_unbalance=(("judging_seed", "balanced_rule"), np.stack([row(1.1), row(3.0)], 1)),
    )
    assert said in rotation_prose.hurts(fig_rotation.judge(data.assign_coords(judged_rule=kept)))


def test_fig_rotation_reads_the_memory_from_the_angle():
    data = reference("fig-rotation")
    assert rotation_prose.long_memory(data) == "updates oppose each other"
    half = data.assign(network_angle=data["network_angle_law"] / 2)
    assert rotation_prose.long_memory(half) == "updates repeat each other"


def test_fig_adam_says_whether_a_smaller_rate_tames_the_updates():
    data = reference("fig-adam")
    assert fig_adam.slower(data).startswith("The network does")
    assert "does not fall either" in fig_adam.slower(data.assign(slow_update=2 * data["network_update"][2]))


def test_the_prose_on_adam_compares_norms_and_optimizers():
    data = reference("fig-meta-adaptive")
    said = meta_adaptive_prose.sentences(data)
    assert said["coincide"].startswith("That the measured curves with and without momentum nearly coincide")
    assert "either way" in said["either-way"]
    assert "not what makes a normalization layer worth having" in said["worth-having"]
    norm, loss = data["norm"].copy(), data["method_loss"].copy()
    norm[{"norm_momentum": 1}] *= 3
    loss[{"method": 1}] = 1e-3
    said = meta_adaptive_prose.sentences(data.assign(norm=norm, method_loss=loss))
    assert said["coincide"].startswith("The measured curves with and without momentum end at quotients of 2.43 to")
    assert "one way at every rate" in said["either-way"]
    assert "needs no normalization" in said["worth-having"]


def test_the_prose_on_dynamic_tanh_says_what_bends_and_what_grows():
    data = reference("fig-dyt")
    said = norm_free_prose.sentences(data)
    assert said["before"] == "It can then be there before anything is learned."
    assert said["deepest"] == "layer 1 of 5"
    assert "does not matter which S" in said["which-s"]
    assert "loose but there to see" in said["lockstep"]
    extremes, explained, squared = (data[name].copy() for name in ("extremes", "explained", "squared_norm"))
    extremes.loc[{"state": "untrained"}] = 1.0
    extremes[{"layer": 4}] = 0.3
    explained.loc[{"curve": "tanh"}] = 0.2
    squared.loc[{"rule": "DyT"}] = squared.sel(rule="DyT").copy(data=np.linspace([9.0, 1.0], [3.0, 8.0], 301))
    extremes.loc[{"state": "untrained"}] = 1.0
    said = norm_free_prose.sentences(data.assign(extremes=extremes, explained=explained, squared_norm=squared))
    assert said["before"] == "It is then something learned."
    assert said["deepest"] == "layer 5 of 5"
    assert "it matters which curve" in said["which-s"]
    assert "the lockstep is gone: the sum of squared alphas goes from 1.00 to 8 w²" in said["lockstep"]
