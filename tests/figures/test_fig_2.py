"""Noether charges of heavy-ball runs against their theory."""

import numpy as np
import pytest

from nld.figures import fig_2
from nld.symmetry import rotation, scale


@pytest.fixture(scope="module")
def data():
    return fig_2.compute("quick")


def test_fig_2_charges_follow_theory(data):
    assert (fig_2.worst_difference(data, "rotation")[:3] < 1e-3).all()
    assert (fig_2.worst_difference(data, "scale")[:3] < 5e-3).all()
    assert fig_2.worst_difference(data, "rotation")[3] < 0.02
    assert fig_2.worst_difference(data, "scale")[3] < 0.03


def test_fig_2_a_rotation_charge_is_multiplied_by_the_momentum_in_every_step(data):
    """The exact law of the iterates, which the continuous theory approaches."""
    for momentum, charge in zip(data["momentum"].values, data["rotation"].values, strict=True):
        alive = charge[:-1] > 1e-6
        np.testing.assert_allclose(charge[1:][alive] / charge[:-1][alive], momentum, rtol=1e-8)


def test_fig_2_underdamped_keeps_and_overdamped_loses_its_charge(data):
    late = data["rotation"].sel(time=1.0, method="nearest").values
    assert late[0] > 0.9
    assert abs(late[-1]) < 1e-6
    assert (np.diff(data["relaxation"]) < 0).all()


def test_fig_2_scale_charges_rise_from_rest_more_with_more_mass(data):
    scale = data["scale"].values
    assert (scale > -1e-12).all()
    assert (scale.max(1) > 10 * scale[:, 0]).all()
    assert (np.diff(scale.max(1)) < 0).all()


def test_fig_2_which_differences_shrink_with_the_learning_rate():
    """Those of scale after the first transient; those of rotation depend on the momentum alone."""

    def late(data):
        return np.abs(fig_2.differences(data, "scale")[:, data["time"].values > 0.3]).max(1)

    coarse, fine = (fig_2.compute("quick", learning_rate=rate) for rate in (0.02, 0.01))
    assert (late(coarse) / late(fine) > 1.7).all()
    ratio = fig_2.worst_difference(coarse, "rotation") / fig_2.worst_difference(fine, "rotation")
    np.testing.assert_allclose(ratio[1:], 1, rtol=0.01)  # the heaviest is still decaying when the picture ends


@pytest.mark.parametrize(("gradient", "symmetry"), [(fig_2.ring_gradient, rotation()), (fig_2.scale_gradient, scale())])
def test_fig_2_losses_have_their_symmetry(gradient, symmetry):
    q = np.random.default_rng(0).normal(size=(20, 2))
    np.testing.assert_allclose((gradient(q) * np.stack(symmetry.generator(q.T), -1)).sum(-1), 0, atol=1e-12)
