"""fig-rotation: its verdicts follow its numbers, and the numbers follow from the runs."""

import numpy as np
import pytest
import xarray as xr

from nld.figures import fig_rotation, rotation_runs
from nld.figures.verify import reference_path
from nld.verdict import CORRECTED, REFUTED, REPRODUCED, UNTESTED
from tests.test_chapters import ROOT


@pytest.fixture
def data():
    return xr.load_dataset(reference_path(ROOT, "fig-rotation"), engine="h5netcdf")


def label(data, claim):
    return {verdict.claim: verdict.label for verdict in fig_rotation.judge(data)}[claim]


def test_fig_rotation_rules_on_every_claim_and_nothing_else(data):
    assert [verdict.claim for verdict in fig_rotation.judge(data)] == [claim.name for claim in fig_rotation.CLAIMS]


@pytest.mark.parametrize(
    ("claim", "variable", "place", "factor", "before", "after"),
    [
        ("rotational-equilibrium", "norm", {"walk": 0}, 1.02, REPRODUCED, REFUTED),
        ("rotational-equilibrium", "angle", {"walk": 5}, 1.02, REPRODUCED, REFUTED),
        ("rotational-equilibrium-of-lion", "norm", {"walk": 8}, 1.1, CORRECTED, REFUTED),
        ("balanced-rotation", "squared_angle", {"treatment": 0, "layer": 1}, 2.0, REPRODUCED, REFUTED),
        ("rotation-replaces-decay", "accuracy", {"trained": 2}, 0.9, REPRODUCED, REFUTED),
        ("balanced-rotation-generalizes", "accuracy", {"trained": 1}, 0.5, UNTESTED, REPRODUCED),
        ("projection-slows-growth", "growth", {"grown": 0}, 1.1, REPRODUCED, REFUTED),
    ],
)
def test_fig_rotation_a_verdict_turns_with_its_number(data, claim, variable, place, factor, before, after):
    assert label(data, claim) == before
    data[variable][place] *= factor
    assert label(data, claim) == after


def test_fig_rotation_seeds_that_scatter_show_nothing(data):
    """One run in three that fails widens the error so far that being worse cannot be told from being equal."""
    data["accuracy"][{"trained": 2, "seed": 0}] = 0.2
    assert label(data, "rotation-replaces-decay") == UNTESTED
    data["accuracy"][{"trained": 2}] = 0.2
    assert label(data, "rotation-replaces-decay") == REFUTED


def test_fig_rotation_the_formula_without_the_charge_is_refuted(data):
    """AdamW's norm over the widely copied formula: sqrt((1 + beta)/(1 - beta)), 4.36 at beta = 0.9."""
    rows = data.isel(walk=np.flatnonzero(np.isfinite(data["norm_uncharged"].values)))
    beta = rows["momentum"].values
    np.testing.assert_allclose(rows["norm"] / rows["norm_uncharged"], np.sqrt((1 + beta) / (1 - beta)), rtol=0.01)
    assert 0.9 in beta


@pytest.mark.slow
def test_fig_rotation_computes_and_draws(data, monkeypatch):
    monkeypatch.setattr(rotation_runs, "STEPS", 40)
    short = fig_rotation.compute("quick")
    assert set(short.data_vars) == set(data.data_vars)
    np.testing.assert_allclose(short["norm"], data["norm"], rtol=1e-6)
    assert fig_rotation.draw(short).axes
    assert "nan" not in fig_rotation.caption(short) + fig_rotation.alt(short)
