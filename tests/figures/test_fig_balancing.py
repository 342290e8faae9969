"""The judges of the claims about balancing, part by part, and the words that depend on the data."""

import numpy as np
import pytest

from nld.figures import fig_balancing
from nld.figures.verification import reference as references
from nld.inference.verdict import REPRODUCED
from tests.figures.judged import labels, outcomes
from tests.figures.stored import whole_reference


@pytest.fixture
def data():
    reference = whole_reference("fig-balancing")
    return next(iter(references.split(reference).values()))


def test_fig_balancing_reproduces_its_claims(data):
    assert set(labels(fig_balancing, data).values()) == {REPRODUCED}


def test_fig_balancing_meets_what_was_asked_of_it(data):
    """Ranks fall one by one, values to 1e-8; half-rise times to 5 %; own charges to 1e-4, others lost by 0.1."""
    kept = (data["left"] > 1e-6).sum("mode")
    for decay, rank in ((0.1, 6), (0.4, 5), (0.8, 4), (1.3, 3), (2.0, 2), (2.8, 1), (3.5, 0)):
        assert int(kept.sel(decay=decay)) == rank
    expected = np.maximum(np.array([3.0, 2.5, 1.6, 1.0, 0.6, 0.25]) - data["decay"].values[:, None], 0)
    np.testing.assert_allclose(data["left"], expected, atol=1e-7)  # references hold 32 bits; the judge asks for 1e-8
    np.testing.assert_allclose(data["half_rise"], [2.486, 3.627, 5.832, 9.613], rtol=0.05)
    drift = data["charge_drift"].values
    assert np.diag(drift).max() < 1e-4
    assert drift[np.triu_indices(3, 1)].min() > 0.1
    assert drift[np.tril_indices(3, -1)].min() > 0.1
    np.testing.assert_allclose(data["spinodal"], [1, 1.191, 1.414], atol=6e-4)
    assert float(abs(data["norm"].sel(depth=1) - data["upper_minimum"].sel(depth=1)).max()) < 1e-3
    raised = data["norm"].sel(depth=2, direction="up")
    assert float(raised.sel(ratio=1.18)) > 0.15 > 1e-3 > float(raised.sel(ratio=1.25))
    told = fig_balancing.numbers(data)
    assert told["fast-diverges"] == "(2, 2), (1, 1), (1, 2), (2, 8)"


def changed(data, name, value, **where):
    altered = data.copy(deep=True)
    if where:
        altered[name].loc[where] = value
    else:
        altered[name][...] = value
    return altered


DEPTH, METRIC = "depth-makes-the-transition-first-order", "metrics-choose-their-charge"
PARTS = [
    (METRIC, "kept", "charge_drift", {"flow": 1.5, "power": 1.5}, 2e-4),
    (METRIC, "lost", "charge_drift", {"flow": 2.0, "power": 1.0}, 0.05),
    ("balancing-needs-no-rate", "monotone", "fix_rise", {"norm_powers": "1, 2"}, 1e-9),
    ("balancing-needs-no-rate", "balanced", "fix_imbalance", {"norm_powers": "1, 2"}, 1e-8),
    ("balancing-needs-no-rate", "function", "fix_output", {"norm_powers": "1, 2"}, 1e-8),
    (DEPTH, "one hidden layer", "norm", {"depth": 1, "direction": "down", "ratio": 0.5}, 0.51),
    (DEPTH, "two hidden layers", "norm", {"depth": 2, "direction": "up", "ratio": 1.25}, 0.2),
    (DEPTH, "three hidden layers", "norm", {"depth": 3, "direction": "up", "ratio": 1.38}, 0.0),
    (DEPTH, "hysteresis", "norm", {"depth": 3, "direction": "down", "ratio": 0.5}, 0.8),
    ("modes-rise-one-by-one", "times", "half_rise", {"rising": 3.0}, 2.7),
]


@pytest.mark.parametrize(("claim", "part", "variable", "where", "value"), PARTS)
def test_fig_balancing_each_part_turns(data, claim, part, variable, where, value):
    before = outcomes(fig_balancing, data, claim)
    after = outcomes(fig_balancing, changed(data, variable, value, **where), claim)
    assert {name for name in before if before[name] != after[name]} == {part}


def test_fig_balancing_judges_ranks_values_and_order(data):
    claim = "decay-thresholds-singular-values"
    moved = data.assign(left=data["left"] * (1 + 1e-6))
    assert list(outcomes(fig_balancing, moved, claim)) == ["ranks", "values"]
    assert outcomes(fig_balancing, moved, claim)["ranks"] == outcomes(fig_balancing, data, claim)["ranks"]
    assert outcomes(fig_balancing, moved, claim)["values"] != outcomes(fig_balancing, data, claim)["values"]
    more = changed(data, "left", 1e-3)
    assert outcomes(fig_balancing, more, claim)["ranks"] != outcomes(fig_balancing, data, claim)["ranks"]
    late = data.assign(half_rise=("rising", data["half_rise"].values[::-1]))
    order = outcomes(fig_balancing, late, "modes-rise-one-by-one")["order"]
    assert order != outcomes(fig_balancing, data, "modes-rise-one-by-one")["order"]


def test_fig_balancing_names_what_diverges(data):
    told = fig_balancing.numbers(data)
    assert told["fast-diverges"] == "(2, 2), (1, 1), (1, 2), (2, 8)"
    assert told["fast-converges"] == "(2, 1), (4, 2)"
    calm = fig_balancing.numbers(
        data.assign(fast_diverges=np.zeros_like(data["fast_diverges"]) + 0 * data["fast_diverges"])
    )
    assert calm["fast-diverges"] == "none"
