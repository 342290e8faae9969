"""fig-amplification: the model has the predicted factors; the network is white, not smooth."""

import numpy as np
import pytest
import xarray as xr

from nld.figures import fig_amplification
from nld.figures._data import amplified_norms
from nld.inference.verdict import OPPOSITE, PASSES
from nld.theory.adaptive import momentum_amplification
from tests.figures.judged import outcomes, row


@pytest.fixture(scope="module")
def model():
    return amplified_norms.model_amplification(seed=0)


def test_fig_amplification_model_has_the_predicted_factors(model):
    for found, correlation in zip(model, amplified_norms.CORRELATIONS, strict=True):
        law = [amplified_norms.prediction(beta, correlation) for beta in amplified_norms.MOMENTA]
        np.testing.assert_allclose(found, law, rtol=0.01 if correlation == 1 else 0.12)
    smooth, white = model[-1], model[0]
    at = amplified_norms.MOMENTA.index(0.9)
    assert smooth[at] == pytest.approx(1900, rel=0.01)
    assert white[at] == pytest.approx(100, rel=0.05)


@pytest.mark.parametrize(
    ("full", "small", "smooth", "found"),
    [
        (0.0, 0.0, 1.0, (PASSES, PASSES, PASSES)),
        (0.4, 0.0, 1.0, (PASSES, OPPOSITE, PASSES)),
        (0.0, -3.0, 1.0, (PASSES, PASSES, OPPOSITE)),
        (0.0, 0.0, 1.3, (OPPOSITE, PASSES, PASSES)),
    ],
)
def test_fig_amplification_judges_model_and_network_apart(model, full, small, smooth, found):
    paper = float(momentum_amplification(0.9))
    factors = paper * np.exp(np.stack([row(full, n=8), row(small, n=8)], 1))
    data = xr.Dataset(
        {
            "model": (("correlation", "momentum"), model * smooth),
            "network": (("network_momentum", "layer"), np.full((1, 3), 100.0)),
            "judged_factor": (("judging_seed", "batches"), factors),
        },
        coords={
            "correlation": list(amplified_norms.CORRELATIONS),
            "momentum": list(amplified_norms.MOMENTA),
            "network_momentum": [0.9],
            "batches": list(amplified_norms.BATCHES),
        },
    )
    assert tuple(outcomes(fig_amplification, data, "momentum-amplification").values()) == found


@pytest.mark.slow
def test_fig_amplification_network_is_white():
    found = amplified_norms.network_amplification(0.1, seed=1)
    at = amplified_norms.NETWORK_MOMENTA.index(0.9)
    assert found[0] == pytest.approx(1, rel=0.01)
    assert np.all((found[at] > 50) & (found[at] < 300))
