"""fig-adam: what is located and attained by running Adam, and verdicts that follow the numbers."""

import numpy as np
import pytest
import xarray as xr

from nld.figures import fig_adam
from nld.figures._data import adam_updates
from nld.inference.verdict import CORRECTED, PARTLY, REFUTED, REPRODUCED
from nld.theory import adam


@pytest.fixture(scope="module")
def data():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adam_updates, "NETWORK_STEPS", 40)
        return fig_adam.compute("quick")


def test_fig_adam_boundary_is_located_within_a_hundredth(data):
    expected = adam.largest_stable_momentum(data["boundary_decay"].values)
    np.testing.assert_allclose(data["boundary"], expected, atol=0.01)


def test_fig_adam_worst_gradients_attain_the_bound_and_a_network_stays_below(data):
    law = adam.largest_update(
        data["momentum"].values[:, None], data["square_decay"].values[:, None], data["worst_step"]
    )
    np.testing.assert_allclose(data["worst"], law, rtol=1e-10)
    assert np.all(data["network_update"] <= data["law"] * (1 + 1e-6))


def test_fig_adam_network_grows_only_outside(data):
    """At (0.98, 0.9) the largest update is above one after forty steps and rising; within, it stays near one."""
    early, late = (
        data["network_update"].isel(update_step=part).mean("update_step") for part in (slice(5), slice(-5, None))
    )
    assert float(late[2]) > 1.2 * float(early[2])
    assert np.all(late[:2] < 1.5)


def verdicts(data):
    return {verdict.claim: verdict.label for verdict in fig_adam.judge(data)}


def test_fig_adam_verdicts_follow_the_measurement(data):
    found = verdicts(data)
    assert found["adam-stable-region"] == PARTLY  # at the memories that are in use
    assert found["adam-growth-rate"] == CORRECTED
    assert found["adam-largest-step"] == REFUTED
    theirs = data.copy(deep=True)
    theirs["boundary"][:] = adam.continuous_largest_stable_momentum(data["boundary_decay"].values)
    theirs["growth_rate"][0] = theirs["growth_rate"][2]
    changed = verdicts(theirs)
    assert changed["adam-stable-region"] == changed["adam-growth-rate"] == REPRODUCED
    neither = data.copy(deep=True)
    neither["boundary"][:] = 0.5
    neither["growth_rate"][0] *= 1.5
    changed = verdicts(neither)
    assert changed["adam-stable-region"] == changed["adam-growth-rate"] == REFUTED


def test_fig_adam_claims_are_those_it_rules_on(data):
    assert set(verdicts(data)) == {claim.name for claim in fig_adam.CLAIMS}


def test_fig_adam_continuous_rate_is_twice_too_large_at_one_setting(data):
    rates = data["growth_rate"].isel(growing=1)
    assert (float(data["growing_momentum"][1]), float(data["growing_decay"][1])) == (0.95, 0.9)
    assert float(rates[2] / rates[0]) == pytest.approx(2.1, abs=0.05)
    assert isinstance(data, xr.Dataset)
