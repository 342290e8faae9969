"""The gathered runs on photographs: they are those of the specs, complete, small, and judged as the others are."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from nld.experiment import Experiment
from nld.experiment.runs import specs
from nld.figures import evidence, fig_photographs
from nld.figures._data import experiment_contrasts as contrasts
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


def test_fig_photographs_begins_at_chance_learns_and_is_not_saturated(data):
    best = {}
    for panel in experiment_table.PANELS:
        losses = experiment_table.results(data, panel, "test_loss", "photographs", point=None)
        np.testing.assert_allclose(losses.isel(point=0), np.log(20), rtol=0.1)
        best[panel] = experiment_table.results(data, panel, "test_accuracy", "photographs").mean("seed").max()
    assert 6 / 20 < float(max(best.values())) < 0.9


def test_fig_photographs_rules_on_the_claims_of_the_experiment_and_on_its_mechanism(data):
    claims = [verdict.claim for verdict in fig_photographs.judge(data)]
    assert claims == [
        "finite-learning-rate", "momentum-advantage", "weight-decay-helps", "effective-rate-explains-loss"
    ]  # fmt: skip
    assert "{doc}`reproducibility` says how" in fig_photographs.caption(data)


def test_fig_photographs_keeps_a_few_hundred_kilobytes_of_seeds_at_the_selected_values(data):
    path = evidence.kept_path(fig_photographs.EVIDENCE)
    assert path is not None
    assert path.stat().st_size < 1e6
    names = [contrasts.setting_name(*place) for place in contrasts.settings(contrasts.registered_values(), "quick")]
    assert contrasts.registered_values("photographs") == experiment_table.selected(data, "photographs")
    assert contrasts.registered_values("digits") != contrasts.registered_values("photographs")
    assert set(data["setting"].values) != set(names)
    assert int(data["judging_seed"][0]) == 10_000


def test_without_judging_seeds_the_figure_says_less_and_rules_on_nothing(data):
    runs = data.drop_dims("judging_seed")
    assert fig_photographs.judge(runs) == []
    assert "judging seeds" not in fig_photographs.caption(runs)
    said = fig_photographs.sentences(runs)
    assert {said["curve"], said["needed"], said["steps"]} == {""}
    assert fig_photographs.draw(runs).axes


def test_fig_photographs_without_results_says_how_to_make_them(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment_table, "ROOTS", (tmp_path,))
    with pytest.raises(FileNotFoundError, match="nld sweep gather"):
        fig_photographs.compute("quick")
