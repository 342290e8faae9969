"""Sentences that compare are chosen by the data: each is asked for on data of which the opposite is true."""

import numpy as np
import xarray as xr

from nld.figures import fig_2, fig_conservation, fig_orders
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
