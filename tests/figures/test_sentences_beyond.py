"""Sentences on figures beyond the paper are chosen by the data, as those of test_sentences are."""

import numpy as np
import pytest

from nld.figures import (
    fig_adam,
    fig_books,
    fig_counter_terms,
    fig_decision,
    fig_flattening,
    fig_metric,
    fig_rotation,
)
from nld.figures._data import (
    invariant_layers,
    meta_adaptive_prose,
    norm_free_prose,
    rotation_prose,
    schedules_prose,
)
from tests.figures.judged import row
from tests.figures.test_captions import reference


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
