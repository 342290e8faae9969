"""Measured orders against predicted ones, and the acceptance values of the works they come from."""

import numpy as np
import pytest

from nld.figures import fig_counter_terms as figure
from nld.figures._data import flow_distances
from nld.inference.verdict import OPPOSITE, PARTLY, REFUTED, REPRODUCED
from nld.learning_rules.rules import gradient_descent


@pytest.fixture(scope="module")
def data():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(flow_distances.RELAXATIONS, "quick", (40, 113))
        patch.setattr(flow_distances, "NETWORK_STEPS", (40, 113))
        return figure.compute("quick", momentum=0.5)


def test_fig_counter_terms_orders_are_the_predicted_ones(data):
    np.testing.assert_allclose(figure.orders(data), data["predicted_order"], atol=0.15)


def test_fig_counter_terms_a_network_at_the_larger_rates_has_slopes_1_and_2():
    """The rates of the works' own figures, 0.2 to 0.025, larger than those shown."""
    slope, start = flow_distances.network(0)
    steps = [20, 40, 80, 160]
    errors = [flow_distances.distances(gradient_descent(4 / n), slope, start, n, (0, 1)) for n in steps]
    found = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    np.testing.assert_allclose(found, [1, 2], atol=0.2)


def test_fig_counter_terms_the_bregman_family(data):
    np.testing.assert_allclose(figure.exponents(data), data["exponent"], rtol=0.02)
    assert data["energy_growth"].max() < 1e-8
    assert data["bound"].max() <= 1
    assert data["dilation"].max() < 1e-8


def test_fig_counter_terms_every_claim_is_judged_once_and_can_fail(data):
    verdicts = figure.judge(data)
    assert {verdict.claim for verdict in verdicts} == {claim.name for claim in figure.CLAIMS}
    assert all(verdict.label == REPRODUCED for verdict in verdicts)
    spoiled = data.assign(error=data["error"] ** 0.5, dilation=data["dilation"] + 1, attraction=data["attraction"] / 2)
    spoiled["energy_growth"] = data["energy_growth"] + 1
    assert all(verdict.label in (REFUTED, PARTLY) for verdict in figure.judge(spoiled))
    assert {f.outcome for v in figure.judge(spoiled) for f in v.findings if f.part != "bound"} == {OPPOSITE}


def test_fig_counter_terms_the_networks_gradient_is_its_losss():
    slope, q = flow_distances.network(3)
    axis = np.random.default_rng(0).normal(size=(4, len(q)))
    # a gradient field has a symmetric Jacobian
    forth = [(slope(q + 1e-5 * d) - slope(q - 1e-5 * d)) / 2e-5 for d in axis]
    table = np.array([[a @ b for b in axis] for a in forth])
    np.testing.assert_allclose(table, table.T, rtol=1e-6)
