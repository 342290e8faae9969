"""The counts that the figure shows, its two charges, and the judges of its claims."""

import numpy as np
import pytest

from nld.experiment.studies import factorization, law_counts
from nld.experiment.training.runge_kutta import runge_kutta
from nld.figures import fig_law_counts
from nld.figures.verification import reference as references
from nld.inference.verdict import REPRODUCED
from tests.figures.judged import labels, outcomes
from tests.figures.stored import whole_reference

NAME = "fig-law-counts"
SIZES = (3, 2, 2)


@pytest.fixture
def data():
    reference = whole_reference(NAME)
    return next(iter(references.split(reference).values()))


def test_fig_law_counts_reproduces_its_claims(data):
    assert set(labels(fig_law_counts, data).values()) == {REPRODUCED}


def changed(data, name, value, **where):
    altered = data.copy(deep=True)
    altered[name].loc[where] = value
    return altered


PARTS = [
    ("linear-laws-are-counted", "gradient", "pair_count", {"pair_flow": "gradient"}, 2),
    ("linear-laws-are-counted", "momentum", "pair_count", {"pair_flow": "momentum"}, 2),
    ("relu-keeps-no-law-under-momentum", "gradient", "count", {"architecture": "ReLU", "flow": "gradient"}, 3),
    ("relu-keeps-no-law-under-momentum", "momentum", "count", {"architecture": "ReLU", "flow": "momentum"}, 1),
    ("momentum-conserves-a-skew-charge", "kept", "drift", {}, 1e-9),
    ("momentum-conserves-a-skew-charge", "lost", "lost", {}, 1.0),
    ("symmetries-explain-all-laws", "bounds meet", "known", {"architecture": "ReLU", "flow": "gradient"}, 1),
    ("skips-change-no-count", "equal", "count", {"architecture": "tanh, skip", "flow": "gradient"}, 1),
]


@pytest.mark.parametrize(("claim", "part", "variable", "where", "value"), PARTS)
def test_fig_law_counts_each_part_turns(data, claim, part, variable, where, value):
    before = outcomes(fig_law_counts, data, claim)
    after = outcomes(fig_law_counts, changed(data, variable, value, **where), claim)
    assert {name for name in before if before[name] != after[name]} == {part}


def test_fig_law_counts_momentum_flow_is_of_order_four_and_keeps_the_rotation():
    goal, (q, v) = factorization.target(3, *SIZES[:2]), factorization.start(3, *SIZES)
    ends = [factorization.flow(q, v, goal, 2.0, step) for step in (0.04, 0.02, 0.005)]
    errors = [np.abs(path.position[-1] - ends[2].position[-1]).max() for path in ends[:2]]
    assert 14 < errors[0] / errors[1] < 18
    kept = np.exp(factorization.FRICTION * ends[2].time) * ends[2].antisymmetric[:, 0, 1]
    assert np.abs(kept / kept[0] - 1).max() < 1e-9


def nesterov_flow(q, v, goal, end, step):
    """q'' + 3/t q' = -grad from t = 1: times, and the charge of the rotation."""

    def slope(state):
        t, position, velocity = state[0, 0, 0], state[1], state[2]
        ahead = -3 / t * velocity - factorization.gradient(position, goal)
        return np.stack([np.ones_like(position), velocity, ahead])

    path = runge_kutta(slope, np.stack([np.ones_like(q), q, v]), end, step)
    product = path[:, 1].mT @ path[:, 2]
    return path[:, 0, 0, 0], (product - product.mT)[:, 0, 1]


@pytest.mark.parametrize("flow", ["momentum", "Nesterov"])
def test_fig_law_counts_the_charge_of_a_rotation_moves_by_the_integrators_error_alone(flow):
    """Below 1e-9 of its value, and of order four: 14 to 18 times less at half the step."""
    goal, (q, v) = factorization.target(0, *SIZES[:2]), factorization.start(0, *SIZES)
    drifts = []
    for step in (0.02, 0.01, 0.005, 0.0025):
        if flow == "momentum":
            path = factorization.flow(q, v, goal, 8.0, step)
            time, charge, grown = path.time, path.antisymmetric[:, 0, 1], np.exp(factorization.FRICTION * path.time)
        else:
            time, charge = nesterov_flow(q, v, goal, 8.0, step)
            grown = time**3
        kept = grown * charge
        drifts.append(np.abs(kept / kept[0] - 1).max())
        assert np.abs(charge[-1] / charge[0]) < 0.01  # which is not because the charge itself stays
    drifts = np.array(drifts)
    assert drifts[2] < 1e-9
    ratios = drifts[:-1] / drifts[1:]
    assert (ratios > 14).all(), ratios
    assert (ratios < 18).all(), ratios


def test_fig_law_counts_the_law_of_gradient_flow_drifts_with_the_rate(data):
    """Slope 1 +- 0.15; under momentum flow by more than 0.1 w²."""
    drift = data["gradient_descent_drift"].values
    slope = np.polyfit(np.log(data["rate"].values), np.log(drift), 1)[0]
    assert slope == pytest.approx(1, abs=0.15)
    assert np.abs(data["lost"] - data["lost"][0]).max() > 0.1


def test_fig_law_counts_heavy_ball_keeps_a_rotation_at_any_step_and_nothing_from_an_empty_buffer():
    goal, (q, v) = factorization.target(4, *SIZES[:2]), factorization.start(4, *SIZES)
    charge = factorization.heavy_ball(q, v, goal, 0.05, 0.9, 50, 0).antisymmetric[:, 0, 1]
    np.testing.assert_allclose(charge[1:], 0.9 * charge[:-1], atol=1e-14)
    assert abs(charge[0]) > 1e-3
    assert np.abs(factorization.heavy_ball(q, 0 * v, goal, 0.05, 0.9, 50, 0).antisymmetric).max() < 1e-13


@pytest.mark.parametrize(("name", "expected"), [("ReLU", ["2", "0", "2"]), ("tanh", ["0", "0", "0"])])
def test_a_row_of_the_table(name, expected):
    table = law_counts.table({name: law_counts.ARCHITECTURES[name]})
    assert table.rows == ((name, *expected),)
