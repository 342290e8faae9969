"""The judges of the claims about flat minima, part by part, and the words that depend on the data."""

import numpy as np
import pytest
import xarray as xr

from nld.figures import fig_flat_minima
from nld.figures._data import flat_minima_prose
from nld.figures.verification import reference as references
from nld.inference.verdict import PASSES, REPRODUCED
from tests.figures.judged import labels, outcomes, row
from tests.figures.stored import whole_reference


@pytest.fixture
def data():
    reference = whole_reference("fig-flat-minima")
    return next(iter(references.split(reference).values()))


def test_fig_flat_minima_meets_what_was_asked_of_it(data):
    """Flows keep charges; slopes 1 +- 0.15; no charge rises; all ends below the edge; the drift there within 25 %."""
    flow = data["flow_drift"]
    assert flow.sel(activation=["linear", "tanh", "sigmoid"]).max() <= 1e-7
    assert flow.sel(activation=["ReLU", "leaky ReLU"]).max() <= 5e-7
    np.testing.assert_allclose(flat_minima_prose.slopes(data), 1, atol=0.15)
    assert data["step_left"].sel(activation=["linear", "ReLU", "leaky ReLU"]).max() < 1e-10
    off = data["valley_sharpness"] / data["valley_sharpness_predicted"] - 1
    assert abs(off).max() < 1e-4
    assert int(data["start_draws"][0]) >= 5000
    assert data["rises"].sum() == 0
    assert data["end_sharpness"].max() <= 2
    assert (data["converged"] > 50).all()
    assert (data["not_monotone"] > 0).all()
    for name in ("judged_central", "judged_direction"):
        assert abs(data[name]).max() < 0.25
    assert data.sizes["judging_seed"] >= 3


def changed(data, name, value, **where):
    altered = data.copy(deep=True)
    altered[name].loc[where] = value
    return altered


def test_fig_flat_minima_reproduces_its_claims(data):
    assert set(labels(fig_flat_minima, data).values()) == {REPRODUCED}


DRIFT, FALLS, ENDS = "drift-of-charges-is-foreseen", "large-steps-lower-the-charge", "descent-ends-below-the-edge"
PARTS = [
    ("activations-have-charges", "smooth", "flow_drift", {"activation": "tanh"}, 2e-7),
    ("activations-have-charges", "with kinks", "flow_drift", {"activation": "ReLU"}, 2e-5),
    (DRIFT, "slope", "drift", {"activation": "ReLU", "rate": 0.025}, 1.0),
    (DRIFT, "forecast", "drift_off", {"activation": "linear", "rate": 0.025}, 0.06),
    (DRIFT, "quadratic", "step_left", {"activation": "leaky ReLU", "rate": 0.1}, 1e-9),
    ("charge-sets-the-sharpness", "values", "valley_sharpness", {"valley": "tanh"}, 1.0),
    ("starts-fill-a-thin-slice", "moments", "start_measured", {"start": "tanh", "moment": "mean"}, -26.0),
    (FALLS, "law", "law_left", {"factors": 3}, 1e-11),
    (FALLS, "no rise", "rises", {"factors": 4}, 1),
    (ENDS, "edge", "end_sharpness", {"factors": 2}, 2.001),
    (ENDS, "not monotone", "not_monotone", {"factors": 2}, 0),
]


@pytest.mark.parametrize(("claim", "part", "variable", "where", "value"), PARTS)
def test_fig_flat_minima_each_part_turns(data, claim, part, variable, where, value):
    before = outcomes(fig_flat_minima, data, claim)
    after = outcomes(fig_flat_minima, changed(data, variable, value, **where), claim)
    assert {name for name in before if before[name] != after[name]} == {part}


def test_fig_flat_minima_a_wide_slice_is_not_thin(data):
    wide = data.assign(start_measured=data["start_measured"] * np.array([1, 4, 256]))
    after = outcomes(fig_flat_minima, wide, "starts-fill-a-thin-slice")
    assert after["thin"] != PASSES


@pytest.mark.parametrize(
    ("part", "name", "values"),
    [
        ("from the valley", "judged_central", row(0.5, 0.05, 8)),
        ("one direction", "judged_direction", row(-0.6, 0.05, 8)),
        ("towards the flat layer", "judged_moved", row(-3.0, 0.2, 8)),
    ],
)
def test_fig_flat_minima_judges_the_edge_part_by_part(data, part, name, values):
    after = outcomes(fig_flat_minima, data.assign({name: ("judging_seed", values)}), "edge-moves-the-charge")
    assert {key for key, value in after.items() if value != PASSES} == {part}


def test_fig_flat_minima_measures_slopes_and_sampling_errors(data):
    square = data.assign(drift=0 * data["drift"] + data["rate"] ** 2)
    np.testing.assert_allclose(flat_minima_prose.slopes(square), 2)
    # of normal numbers the deviation has the sampling error s/sqrt(2 n)
    normal = xr.Dataset({
        "start_measured": (("start", "moment"), [[0.1, 1.1, 3 * 1.1**4]]),
        "start_predicted": (("start", "first_moment"), [[0.0, 1.0]]),
        "start_draws": ("start", [200]),
    })  # fmt: skip
    mean, deviation = flat_minima_prose.start_errors(normal)
    assert mean == pytest.approx(0.1 / 1.1 * np.sqrt(200))
    assert deviation == pytest.approx(0.1 / 1.1 * np.sqrt(400))
