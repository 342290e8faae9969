"""The gathered runs on photographs: they are those of the specs, complete, small, and judged as the others are."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from nld.experiment import Experiment
from nld.experiment.runs import specs
from nld.figures import fig_photographs
from nld.figures._data import experiment_table


@pytest.fixture(scope="module")
def data():
    return fig_photographs.compute("quick")


@pytest.mark.parametrize("panel", experiment_table.PANELS)
def test_fig_photographs_shows_the_runs_of_the_specs(data, panel):
    spec, field, *_ = experiment_table.PANELS[panel]
    sweep = specs.sweep(f"photographs-{spec}")
    runs = data.isel(run=np.flatnonzero(data["panel"] == panel))
    found = sorted(zip(runs["value"].values, runs["constrained"].values, runs["seed"].values, strict=True))
    assert found == sorted((getattr(e, field), int(e.constrained), e.seed) for e in sweep.experiments)
    file = experiment_table.ROOTS[0] / "results" / "photographs" / f"photographs-{spec}.nc"
    assert file.stat().st_size < 1e6
    with xr.open_dataset(file, engine="h5netcdf") as gathered:
        for name, value in dataclasses.asdict(sweep.base).items():
            if name not in sweep.vary:
                stored = str(list(value)) if isinstance(value, tuple) else value
                kept = gathered.attrs.get(name, getattr(Experiment(), name))  # a field younger than the runs
                assert str(kept) == str(stored), name
        assert gathered.attrs["stale_runs"] == 0


def test_fig_photographs_begins_at_chance_and_learns(data):
    for panel in experiment_table.PANELS:
        losses = experiment_table.results(data, panel, "test_loss", "photographs", point=None)
        np.testing.assert_allclose(losses.isel(point=0), np.log(200), rtol=0.1)
        assert float(losses.isel(point=-1).max()) < float(losses.isel(point=0).min())


def test_fig_photographs_rules_on_the_claims_of_the_experiment(data):
    claims = [verdict.claim for verdict in fig_photographs.judge(data)]
    assert claims == ["finite-learning-rate", "momentum-advantage", "weight-decay-helps"]
    assert "{doc}`reproducibility` says how" in fig_photographs.caption(data)


def test_fig_photographs_without_results_says_how_to_make_them(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment_table, "ROOTS", (tmp_path,))
    with pytest.raises(FileNotFoundError, match="nld sweep gather"):
        fig_photographs.compute("quick")


def test_fig_photographs_shows_what_the_chapter_says_in_words(data):
    leads = {
        panel: experiment_table.advantage(data, panel, "test_accuracy", "photographs").mean("seed")
        for panel in experiment_table.PANELS
    }
    assert (leads["A"] > 0).all()
    assert float(leads["B"].sel(value=0.9)) > 0 > float(leads["B"].sel(value=0.95))
