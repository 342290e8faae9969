"""The judges of the claims about gauge symmetry, part by part."""

import numpy as np
import pytest

from nld.figures import fig_gauge
from nld.inference.verdict import REPRODUCED
from tests.figures.judged import labels, outcomes
from tests.figures.test_captions import reference


@pytest.fixture
def data():
    return reference("fig-gauge")


def test_fig_gauge_reproduces_its_claims(data):
    assert set(labels(fig_gauge, data).values()) == {REPRODUCED}


def test_fig_gauge_meets_what_was_asked_of_it(data):
    """Maps to 1e-10, charges of order four, a density of order 1 +- 0.15, and a bias of the key without gradient."""
    assert data["map_error"].max() < 1e-10
    assert data["field_changed"].min() > 0.5
    assert list(data["layers"].values) == [16, 32, 64, 128]
    drift = data["density_drift"].values
    assert (np.diff(drift) < 0).all()
    assert np.polyfit(np.log(data["layers"]), np.log(drift), 1)[0] == pytest.approx(-1, abs=0.15)
    assert data["layer_drift"].max() < 1e-7
    ends = data["charge_drift_end"].values
    assert (ends[0] / ends[1] > 14).all()
    assert (data["charge_drift"].sel(biases="without").isel(time=-1) > 1e-2).all()
    assert data["key_gradient"] < 1e-12


DENSITY, VALUE = "gauge-has-a-charge-density", "value-bias-has-no-law"
PARTS = [
    ("gauge-keeps-the-map", "gauge", "map_error", {"transformation": "gauge"}, 1e-6),
    ("gauge-keeps-the-map", "clock", "field_changed", {"transformation": "clock"}, 0.1),
    (DENSITY, "layers", "layer_drift", {"layers": 64}, 1e-4),
    (DENSITY, "density", "density_drift", {"layers": 128}, 2e-2),
    (DENSITY, "corrected", "corrected_drift", {"layers": 128}, 1e-4),
    ("decay-fixes-the-gauge", "fixed", "gauge_residual", {"decay": 0.2}, 5.0),
    ("decay-fixes-the-gauge", "free", "gauge_residual", {"decay": 0.0, "decay_time": 80.0}, 1e-3),
    ("attention-charges-hold-biases", "kept", "charge_drift_end", {"integrator_step": 0.01}, 5e-9),
    ("attention-charges-hold-biases", "lost", "charge_drift", {"biases": "without", "pair": "value and output"}, 1e-5),
    ("key-bias-is-gauge", "gradient", "key_gradient", {}, 1e-6),
    ("key-bias-is-gauge", "training", "shifted_loss", {"shifted": "key"}, 0.1),
    (VALUE, "symmetry", "direction_count", {"has": "value and output"}, 2),
    (VALUE, "no law", "law_count", {"has": "all", "flow": "gradient"}, 4),
]


@pytest.mark.parametrize(("claim", "part", "variable", "where", "value"), PARTS)
def test_fig_gauge_each_part_turns(data, claim, part, variable, where, value):
    before = outcomes(fig_gauge, data, claim)
    altered = data.copy(deep=True)
    if where:
        altered[variable].loc[where] = value
    else:
        altered[variable][...] = value
    after = outcomes(fig_gauge, altered, claim)
    assert {name for name in before if before[name] != after[name]} == {part}


def test_fig_gauge_judges_training_after_a_shift_of_the_value_bias(data):
    losses = data["shifted_loss"].copy()
    losses.loc[{"shifted": "value"}] = losses.sel(shifted="none")
    after = outcomes(fig_gauge, data.assign(shifted_loss=losses), VALUE)
    before = outcomes(fig_gauge, data, VALUE)
    assert {name for name in before if before[name] != after[name]} == {"training"}
