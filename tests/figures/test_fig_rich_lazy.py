"""The judges of the claims about rich and lazy starts, part by part, and the words that depend on the data."""

import numpy as np
import pytest

from nld.figures import fig_rich_lazy
from nld.figures._data.rich_evidence import contrasts
from nld.figures._data.rich_prose import ratios
from nld.figures.evidence import kept
from nld.figures.verification import reference as references
from nld.inference.verdict import REFUTED, REPRODUCED
from tests.figures.judged import labels, outcomes, row
from tests.figures.stored import whole_reference

RATES, RICH = "layer-rates-choose-the-charge", "large-output-weights-learn-rich-and-fast"
TIME, LINEAR = "richness-needs-its-time", "without-relu-the-order-turns"


@pytest.fixture
def data():
    reference = whole_reference("fig-rich-lazy")
    return next(iter(references.split(reference).values()))


def test_fig_rich_lazy_reproduces_what_has_no_seeds(data):
    stochastic = {RICH, LINEAR}
    assert {label for claim, label in labels(fig_rich_lazy, data).items() if claim not in stochastic} == {REPRODUCED}


def changed(data, name, value, **where):
    altered = data.copy(deep=True)
    if where:
        altered[name].loc[where] = value
    else:
        altered[name][...] = value
    return altered


PARTS = [
    ("one-neuron-in-closed-form", "charge", "flow_drift", {}, 2e-9),
    ("one-neuron-in-closed-form", "path", "flow_gap", {}, 2e-8),
    ("one-neuron-in-closed-form", "path", "alignment_gap", {}, 2e-8),
    ("imbalance-chooses-the-interpolator", "least potential", "optimality", {"sample_count": 2}, 1e-7),
    ("imbalance-chooses-the-interpolator", "one sample", "interpolator_gap", {}, 1e-7),
    (TIME, "early", "start_distance", {"at": 5.0, "delta": -4.0}, 0.3),
    (TIME, "late", "start_distance", {"at": 20.0, "delta": -2.0}, 0.9),
    (TIME, "balanced is done", "start_distance", {"at": 5.0, "delta": 0.0}, 0.15),
    (RATES, "law", "grid_residual", {}, 1e-11),
    (RATES, "same function", "twin_gap", {}, 1e-11),
    (RATES, "same student", "student_twin_gap", {}, 1e-5),
    (RATES, "plain charge lost", "plain_drift", {}, 0.05),
]


@pytest.mark.parametrize(("claim", "part", "variable", "where", "value"), PARTS)
def test_fig_rich_lazy_each_part_turns(data, claim, part, variable, where, value):
    before = outcomes(fig_rich_lazy, data, claim)
    after = outcomes(fig_rich_lazy, changed(data, variable, value, **where), claim)
    assert {name for name in before if before[name] != after[name]} == {part}


def judging(data, lesson, variable, low, middle, high):
    """Data in which a lesson's 32 judging seeds have these means, in decades, at the three imbalances."""
    values = 10 ** np.stack([row(mean, 0.01 + 0.001 * i) for i, mean in enumerate((low, middle, high))], axis=1)
    return changed(data, f"judged_{variable}", values, lesson=lesson)


@pytest.mark.parametrize(
    ("variable", "ordered", "turned", "part"),
    [("kernel_distance", (-2, -1.5, -1), (-1, -1.5, -2), "rich"), ("test_loss", (-1, -2, -3), (-3, -2, -1), "fast")],
)
def test_fig_rich_lazy_judges_students_by_each_of_both_numbers(data, variable, ordered, turned, part):
    for lesson, claim, name in (("ReLU", RICH, part), ("linear", LINEAR, "kernel")):
        if lesson == "linear" and variable == "test_loss":
            continue
        first, second = (ordered, turned) if lesson == "ReLU" else (turned, ordered)
        holds, fails = (judging(data, lesson, variable, *order) for order in (first, second))
        assert outcomes(fig_rich_lazy, holds, claim)[name] != outcomes(fig_rich_lazy, fails, claim)[name]
        assert labels(fig_rich_lazy, fails)[claim] != REPRODUCED
    linear = judging(data, "linear", "kernel_distance", -3, -2, -1)
    assert labels(fig_rich_lazy, linear)[LINEAR] == REFUTED


def test_fig_rich_lazy_asks_for_half_as_much_again_and_for_every_step_of_the_loss(data):
    near = judging(data, "ReLU", "kernel_distance", -1, -1, -1 + np.log10(1.5))
    assert contrasts(near)["rich"].mean() == pytest.approx(0, abs=1e-6)  # references hold 32 bits
    bent = judging(data, "ReLU", "test_loss", -1, -3, -2)
    assert contrasts(bent)["fast"].max() < 0


def test_fig_rich_lazy_judging_seeds_that_are_kept_have_the_order_of_the_work():
    """The work's statement for single seeds: at least 15 of the first 16, in kernel distance by a factor of 1.5."""
    seeds = kept(fig_rich_lazy.EVIDENCE, "nld.figures._data.rich_runs").isel(judging_seed=slice(16))
    distance, loss = ratios(seeds, "ReLU")
    assert (distance > 1.5).sum() >= 15
    assert (loss > 1).sum() >= 15


def test_fig_rich_lazy_shows_the_distances_of_the_work(data):
    """At T = 20, of steps of 0.01, which are not yet a flow."""
    known = [0.871, 0.713, 0.486, 0.200, 0.0501, 0.0124, 0.0015]
    np.testing.assert_allclose(data["start_distance"].sel(at=20.0), known, rtol=0.02)
    np.testing.assert_allclose(data["rates_distance"], data["start_distance"], rtol=1e-9)
    assert float(data["start_distance"].sel(at=5.0, delta=-4.0)) == pytest.approx(0.028, abs=5e-4)


def test_fig_rich_lazy_counts_seeds(data):
    assert fig_rich_lazy.numbers(data)["rich-seeds"] == f"{data.sizes['judging_seed']} of {data.sizes['judging_seed']}"
    none = judging(data, "ReLU", "kernel_distance", -1, -1, -1)
    assert fig_rich_lazy.numbers(none)["rich-seeds"] == f"0 of {data.sizes['judging_seed']}"
