"""fig-amplification: the model has the predicted factors; the network is white, not smooth."""

import numpy as np
import pytest
import xarray as xr

from nld.figures import fig_amplification
from nld.verdict import CORRECTED, REPRODUCED


@pytest.fixture(scope="module")
def model():
    return fig_amplification.model_amplification(seed=0)


def test_fig_amplification_model_has_the_predicted_factors(model):
    for row, correlation in zip(model, fig_amplification.CORRELATIONS, strict=True):
        law = [fig_amplification.prediction(beta, correlation) for beta in fig_amplification.MOMENTA]
        np.testing.assert_allclose(row, law, rtol=0.01 if correlation == 1 else 0.12)
    smooth, white = model[-1], model[0]
    at = fig_amplification.MOMENTA.index(0.9)
    assert smooth[at] == pytest.approx(1900, rel=0.01)
    assert white[at] == pytest.approx(100, rel=0.05)


@pytest.mark.parametrize(("network", "label"), [(100.0, CORRECTED), (1800.0, REPRODUCED)])
def test_fig_amplification_verdict_depends_on_the_network(model, network, label):
    data = xr.Dataset(
        {
            "model": (("correlation", "momentum"), model),
            "network": (("network_momentum", "layer"), np.full((1, 3), network)),
        },
        coords={
            "correlation": list(fig_amplification.CORRELATIONS),
            "momentum": list(fig_amplification.MOMENTA),
            "network_momentum": [0.9],
        },
    )
    assert fig_amplification.judge(data)[0].label == label


@pytest.mark.slow
def test_fig_amplification_network_is_white():
    found = fig_amplification.network_amplification(0.1, seed=1)
    at = fig_amplification.NETWORK_MOMENTA.index(0.9)
    assert found[0] == pytest.approx(1, rel=0.01)
    assert np.all((found[at] > 50) & (found[at] < 300))
