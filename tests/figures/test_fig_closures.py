"""fig-closures: Eq 17 is right without momentum and too large with it; the exact law is exact."""

import numpy as np
import pytest

from nld.figures import fig_closures
from nld.verdict import CORRECTED, REFUTED, REPRODUCED


@pytest.fixture(scope="module")
def data():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fig_closures, "RATES", ((0.1, 0.0), (0.01, 0.9)))
        patch.setattr(fig_closures, "STEPS", 120)
        patch.setattr(fig_closures, "COARSE_STEPS", 10)
        yield fig_closures.compute("quick")


def test_fig_closures_eq17_holds_without_momentum_only(data):
    ratio = fig_closures.ratios(data)
    np.testing.assert_allclose(ratio.isel(member=0), 1, rtol=1e-3)
    assert float(ratio.sel(closure="smooth")[1]) > 1.3
    assert abs(float(ratio.sel(closure="measured")[1]) - 1) < 0.05


def test_fig_closures_exact_law_is_as_exact_as_the_symmetry(data):
    assert float(fig_closures.errors(data).sel(closure="exact").max()) < 1e-9
    assert float(data["cosine"]) < 1e-8
    assert float(data["coarse_error"]) > 100 * float(fig_closures.errors(data).sel(closure="exact").max())


def test_fig_closures_judges_what_it_shows(data):
    assert fig_closures.judge(data)[0].label == CORRECTED
    assert fig_closures.judge(data.assign(squared_norm=data["squared_norm"] / 1.5))[0].label == REFUTED
    assert fig_closures.judge(data.isel(member=[0]))[0].label == REPRODUCED


def test_fig_closures_a_restart_begins_at_the_measured_norm(monkeypatch):
    """Restarted one step before the end, the prediction has one step in which to err; from the start it has forty."""
    monkeypatch.setattr(fig_closures, "RATES", ((0.1, 0.9),))
    monkeypatch.setattr(fig_closures, "STEPS", 40)
    monkeypatch.setattr(fig_closures, "COARSE_STEPS", 2)
    monkeypatch.setattr(fig_closures, "restart_step", lambda momentum: 39)
    found = fig_closures.compute("quick")
    whole = (found["predicted"].sel(closure="measured") / found["squared_norm"]).isel(point=-1)
    later, whole = (float(abs(each - 1).max()) for each in (found["restarted"], whole))
    assert 0 < later < whole / 3
