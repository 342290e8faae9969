"""Orders of the learning rules, from coarse runs."""

import numpy as np
import pytest

from nld.figures import fig_orders
from nld.figures._data import orders_of_accuracy
from nld.learning_rules.rules import gradient_descent


@pytest.fixture(scope="module")
def data():
    return fig_orders.compute("quick", momentum=0.5)


def test_fig_orders_gradient_flow_is_first_and_mechanics_second_order(data):
    slopes = fig_orders.slopes(data)
    np.testing.assert_allclose(slopes[:, 0], 1, atol=0.1)
    np.testing.assert_allclose(slopes[:, 1], 2, atol=0.1)
    assert (data["error"].isel(flow=1) < data["error"].isel(flow=0) / 20).all()


def test_fig_orders_a_cold_start_loses_an_order(data):
    assert fig_orders.slope(data, data["cold_error"].values) == pytest.approx(1, abs=0.1)


def test_fig_orders_gradient_belongs_to_potential():
    q, step = np.array([1.3, 0.4]), 1e-6
    slopes = [
        (orders_of_accuracy.potential(q + step * axis) - orders_of_accuracy.potential(q - step * axis)) / (2 * step)
        for axis in np.eye(2)
    ]
    np.testing.assert_allclose(slopes, orders_of_accuracy.gradient(q), rtol=1e-8)


def test_fig_orders_distances_for_one_rule_shrink_with_the_rate():
    coarse, fine = (fig_orders.distances(gradient_descent, n) for n in (20, 40))
    assert fine[0] < coarse[0] / 1.8
    assert fine[1] < coarse[1] / 3.6
