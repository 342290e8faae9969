"""fig-equilibrium: the squared turn settles at 2 eta k/(1 + beta), and drift explains what is left."""

import numpy as np
import pytest

from nld.figures import fig_equilibrium


def test_fig_equilibrium_law(monkeypatch):
    monkeypatch.setattr(fig_equilibrium, "RULES", ((0.1, 0.9, 0.02),))
    monkeypatch.setattr(fig_equilibrium, "STEPS", 240)
    data = fig_equilibrium.compute("quick")
    assert fig_equilibrium.late_ratios(data) == pytest.approx(1, abs=0.15)
    assert fig_equilibrium.drift_ratios(data) == pytest.approx(1, abs=0.05)


def test_fig_equilibrium_quotients_of_a_known_run():
    """A run that turns by the law with growth: the plain quotient sees the growth, the other one does not."""
    import xarray as xr

    momentum, law, growth, steps = 0.5, 1e-3, 1e-4, 20
    time = np.arange(steps) * fig_equilibrium.MEAN_OVER
    data = xr.Dataset(
        {
            "squared_norm": (("member", "step"), np.exp(growth * time)[None]),
            "squared_angle": (("member", "step"), np.full((1, steps), law + 0.5 / 1.5 * growth)),
            "predicted": (("member",), [law]),
        },
        coords={"momentum": ("member", [momentum])},
    )
    np.testing.assert_allclose(fig_equilibrium.drift_ratios(data), 1, rtol=1e-12)
    np.testing.assert_allclose(fig_equilibrium.late_ratios(data), 1 + growth / 3 / law, rtol=1e-12)
