"""Which geometry keeps which symmetry, by definition and in symbols."""

import numpy as np
import pytest

from nld.figures import fig_flows

KEPT = {("Euclidean", "translation"), ("Euclidean", "rotation"), ("Burg", "scale")}


@pytest.fixture(scope="module", params=[0.05, 0.5])
def data(request):
    return fig_flows.compute("quick", mass=request.param)


def test_fig_flows_zeros_are_isometries(data):
    measured = fig_flows.relative(data, "measured_slope")
    for i, geometry in enumerate(data["geometry"].values):
        for j, symmetry in enumerate(data["symmetry"].values):
            assert (abs(measured[i, j]) < 1e-6) == ((geometry, symmetry) in KEPT), (geometry, symmetry)


def test_fig_flows_energy_of_an_isometry_is_level_and_of_the_euclidean_scale_a_parabola(data):
    energy = data["energy"]
    for geometry, symmetry in KEPT:
        row = energy.sel(geometry=geometry, symmetry=symmetry).values
        assert np.ptp(row) < 1e-10 * row.max()
    row = energy.sel(geometry="Euclidean", symmetry="scale").values
    stretch = 1 + data["parameter"].sel(symmetry="scale").values
    np.testing.assert_allclose(row / row[40], stretch**2, rtol=1e-10)


def test_fig_flows_symbols_predict_the_measured_slopes(data):
    measured, predicted = (fig_flows.relative(data, f"{name}_slope") for name in ("measured", "predicted"))
    np.testing.assert_allclose(measured, predicted, rtol=1e-5, atol=1e-6)
