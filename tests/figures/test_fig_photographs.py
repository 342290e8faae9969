"""The gathered runs on photographs: they are those of the specs, complete, small, and judged as the others are."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from nld.experiment import Experiment
from nld.experiment.runs import specs
from nld.figures import evidence, fig_photographs
from nld.figures._data import experiment_contrasts as contrasts
from nld.figures._data import experiment_table, photographs_prose

SCALE = "photographs"


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
        np.testing.assert_allclose(losses.isel(point=0), np.log(20), rtol=0.15)
        best[panel] = experiment_table.results(data, panel, "test_accuracy", "photographs").mean("seed").max()
    assert 6 / 20 < float(max(best.values())) < 0.9


def judged(data: xr.Dataset) -> xr.Dataset:
    """The same with four made-up judging seeds."""
    names = [
        contrasts.setting_name(*at) for at in contrasts.settings(contrasts.registered_values("photographs"), SCALE)
    ]
    dims, generator = ("judging_seed", "setting", "constrained_norm"), np.random.default_rng(0)
    shape = (4, len(names), 2)
    made = {name: (dims, generator.uniform(0.3, 0.5, shape)) for name in ("judged_accuracy", "judged_loss")}
    made |= {f"judged_half_{name}": (dims, generator.uniform(0.5, 3, shape)) for name in ("rate", "loss")}
    coords = {"judging_seed": range(10_000, 10_004), "setting": names, "constrained_norm": list(contrasts.MODES)}
    return data.drop_dims("judging_seed", errors="ignore").merge(xr.Dataset(made, coords=coords))


def test_fig_photographs_rules_on_the_claims_of_the_experiment_and_on_its_mechanism(data):
    made = judged(data)
    claims = [verdict.claim for verdict in fig_photographs.judge(made)]
    assert claims == [
        "finite-learning-rate", "momentum-advantage", "weight-decay-helps", "effective-rate-explains-loss"
    ]  # fmt: skip
    assert "{doc}`reproducibility` says how" in fig_photographs.caption(made)
    assert "of 4 judging seeds" in fig_photographs.caption(made)
    assert "parabola" in fig_photographs.alt(made)
    assert len(fig_photographs.draw(made).axes) == 4
    assert photographs_prose.UNJUDGED not in fig_photographs.sentences(made).values()


def test_fig_photographs_is_judged_at_what_validation_images_selected(data):
    assert contrasts.registered_values("photographs") == experiment_table.selected(data, "photographs")
    assert contrasts.registered_values("digits") != contrasts.registered_values("photographs")
    path = evidence.kept_path(fig_photographs.EVIDENCE)
    assert path is None or path.stat().st_size < 1e6


def test_without_judging_seeds_the_figure_says_less_and_rules_on_nothing(data):
    runs = data.drop_dims("judging_seed", errors="ignore")
    assert fig_photographs.judge(runs) == []
    assert "judging seeds" not in fig_photographs.caption(runs)
    said = fig_photographs.sentences(runs)
    assert {said["curve"], said["steps"]} == {photographs_prose.UNJUDGED}
    assert len(fig_photographs.draw(runs).axes) == 3


def test_fig_photographs_without_results_says_how_to_make_them(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment_table, "ROOTS", (tmp_path,))
    with pytest.raises(FileNotFoundError, match="nld sweep gather"):
        fig_photographs.compute("quick")
