"""The judges of the claims about noise on orbits, part by part, and the numbers that the chapter accepts."""

import numpy as np
import pytest
import xarray as xr

from nld.figures import fig_noise_orbit
from nld.figures._data import noise_orbit_prose
from nld.figures.verification import reference as references
from nld.inference.verdict import REPRODUCED
from tests.figures.judged import labels, outcomes
from tests.figures.stored import whole_reference


@pytest.fixture
def data():
    reference = whole_reference("fig-noise-orbit")
    return next(iter(references.split(reference).values()))


def test_fig_noise_orbit_reproduces_its_claims(data):
    assert set(labels(fig_noise_orbit, data).values()) == {REPRODUCED}


def test_fig_noise_orbit_meets_what_was_asked_of_it(data):
    """Average imbalance falls twofold and is a quarter of gradient descent's; singular values agree to 10 %."""
    balance = noise_orbit_prose.imbalances(data)
    assert (balance["early"] > 2 * balance["late"]).all()
    assert (balance["late"] < 0.25 * balance["descent"]).all()
    assert (balance["descent"] > 0.3).all()
    assert (balance["late"] < 0.12).sum() >= 3
    late = noise_orbit_prose.late_values(data, float(data["pair_rate"][0]))
    assert noise_orbit_prose.start_gap(data, late).max() < 0.1
    assert noise_orbit_prose.start_gap(data, data["descent_values"].isel(pair_time=-1)).min() > 0.3
    assert data["telescoped"].max() < 1e-11
    distance = noise_orbit_prose.distances(data)  # three networks of the prototype: at least 6-fold
    assert (distance["start"] / distance["late"] > 6).all()
    assert (distance["descent"] / distance["late"] > 2).all()
    assert data["source_left"] < 1e-13
    # at isotropic inputs the noise balances and the norms do not
    assert (data["norm_imbalance"].sel(pair_time=24.0) > balance["late"].max()).all()
    assert data["loss_moved"] < 1e-15


def scaled(data, name, factor, **where):
    altered = data.copy(deep=True)
    altered[name].loc[where] = factor * altered[name].loc[where]
    return altered


BALANCE, FINDS, REST = "sgd-balances-noise", "sgd-finds-the-optimum", "scale-rests-only-with-decay"
LAW, MINIMUM = "noise-moves-a-charge-by-one-law", "noise-equilibrium-is-a-minimum"
PARTS = [
    (LAW, "without decay", "law_error", 1e4, {"law_method": "SGD"}),
    (LAW, "with decay", "law_error", 1e6, {"law_method": "SGD with decay"}),
    (BALANCE, "falls", "imbalance", 0.2, {"pair_time": 3.0}),
    (BALANCE, "against gradient descent", "descent_imbalance", 0.1, {}),
    (BALANCE, "foreseen", "resting_values", 1.5, {}),
    (BALANCE, "not of norms", "norm_imbalance", 0.1, {}),
    (MINIMUM, "convex", "curve_error", 1e5, {}),
    (MINIMUM, "no source", "source_left", 1e5, {}),
    (MINIMUM, "same function", "loss_moved", 1e5, {}),
    (FINDS, "comes near", "distance", 0.1, {"relu_time": 0.0}),
    (FINDS, "against gradient descent", "distance", 0.1, {"relu_method": "gradient descent"}),
    (REST, "law in steps", "norm_law_error", 1e6, {}),
    (REST, "with decay", "fourth_power_late", 2.0, {}),
    (REST, "without decay", "fourth_power", 2.0, {}),
]


@pytest.mark.parametrize(("claim", "part", "variable", "factor", "where"), PARTS)
def test_fig_noise_orbit_each_part_turns(data, claim, part, variable, factor, where):
    before = outcomes(fig_noise_orbit, data, claim)
    after = outcomes(fig_noise_orbit, scaled(data, variable, factor, **where), claim)
    assert {name for name in before if before[name] != after[name]} == {part}


def test_fig_noise_orbit_judges_whether_starts_are_forgotten(data):
    other = scaled(data, "values", 1.2, start=1)
    before, after = (outcomes(fig_noise_orbit, each, BALANCE) for each in (data, other))
    assert before["forgets the start"] != after["forgets the start"]


def test_fig_noise_orbit_judges_whether_a_norm_ever_falls(data):
    fallen = data.assign(norm_fall=data["norm_fall"] * 0 - 1e-15)
    before, after = (outcomes(fig_noise_orbit, each, REST) for each in (data, fallen))
    assert {name for name in before if before[name] != after[name]} == {"never falls"}


def test_late_values_weigh_the_time_that_each_average_covers():
    times = [12.0, 14.0, 20.0]
    data = xr.Dataset(
        {"values": (("pair_rate", "pair_time"), [[9.0, 1.0, 4.0]])}, {"pair_rate": [0.1], "pair_time": times}
    )
    assert float(noise_orbit_prose.late_values(data, 0.1)) == pytest.approx((2 * 1 + 6 * 4) / 8)
    assert np.isfinite(data["values"]).all()
