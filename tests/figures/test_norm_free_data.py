"""The data behind the figure on dynamic tanh: drifts and charges, with their signs."""

import numpy as np
import pytest

from nld.experiment.studies import residual_stream
from nld.figures._data import norm_free_data

SMALL = 16  # dimension of the networks


@pytest.fixture
def small_stream(monkeypatch):
    """The runs of the figure's data with the network of the fast tests."""
    follow, change = residual_stream.follow, residual_stream.change_of_output
    monkeypatch.setattr(residual_stream, "follow", lambda *args, **named: follow(*args, **named, dimension=SMALL))
    monkeypatch.setattr(
        residual_stream, "change_of_output", lambda *args, **named: change(*args, **named, dimension=SMALL)
    )


def test_the_drifts_that_the_figure_holds_are_writers_less_readers(small_stream, monkeypatch):
    monkeypatch.setattr(norm_free_data, "RATES", (8e-3, 4e-3))
    found = norm_free_data.drifts(0)
    np.testing.assert_allclose(found["drift"], found["predicted_drift"], rtol=1e-6)
    np.testing.assert_allclose(norm_free_data.slopes(found), 1, atol=0.02)
    # layer normalization has no readers: its charge is the writers' squared norm, and every step lengthens it
    scaled = found.sel(rule="LayerNorm")
    np.testing.assert_allclose(scaled["drift"], scaled["writers_change"], rtol=1e-9)
    assert (scaled["drift"] > 0).all()
    both, alone = found["invariance"].sel(rule="DyT").values
    assert both < 1e-10 < 1e-2 < alone


def test_the_charges_that_the_figure_holds_are_writers_less_readers(small_stream):
    settings = {"learning_rate": 0.1, "weight_decay": 1e-2, "momentum": 0.9, "steps": 20}
    found = norm_free_data.charges(settings, 0)
    writers, readers = (found["squared_norm"].sel(side=side).values for side in residual_stream.SIDES)
    np.testing.assert_array_equal(found["charge"], writers - readers)
    assert (readers[0] == 0).all()
    assert (readers[1] > 0).all()
    assert float(norm_free_data.residual(found).max()) < 1e-12
    # without the steps, weight decay alone shortens both charges from where they are
    assert (np.diff(found["without"], axis=1) < 0).all()
    np.testing.assert_array_equal(found["without"].isel(point=0), found["charge"].isel(point=0))
