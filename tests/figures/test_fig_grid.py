"""The grid of runs: each place holds the run of its own setting."""

import numpy as np
import pytest

from nld.experiment import RunStore, Sweep
from nld.figures import fig_grid
from nld.figures._data import experiment_table, run_grid

FEW = {"learning_rate": (0.01, 1.0), "momentum": (0.0, 0.9), "weight_decay": (5e-3,)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def few(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NLD_STORE", str(folder))
        patch.setattr(run_grid, "GRID", FEW)
        patch.setattr(run_grid, "SEEDS", 2)
        panel = experiment_table.quick_sweep("A")
        short = Sweep(base=panel.base.replace(steps=30), vary=panel.vary)
        patch.setattr(run_grid, "quick_sweep", lambda _: short)
        return fig_grid.compute("quick", seed=3)


def test_fig_grid_every_place_holds_its_run(few, folder):
    store = RunStore(folder / "runs")
    stored = list(store)
    assert len(stored) == few["diverged"].size == 8 * 2
    for experiment in stored:
        record = store.load(experiment)
        place = {name: getattr(experiment, name) for name in (*FEW, "seed")}
        place["constrained"] = int(experiment.constrained)
        here = few.sel(place)
        np.testing.assert_array_equal(here["test_loss"], record["test_loss"])
        np.testing.assert_array_equal(here["test_accuracy"], record["test_accuracy"])
        norms = record["squared_norm"].values
        np.testing.assert_allclose(here["squared_norm"], np.median(norms, axis=1), rtol=1e-12)
        rates = experiment.learning_rate / ((1 - experiment.momentum) * norms)
        np.testing.assert_allclose(here["effective_rate"], np.median(rates, axis=1), rtol=1e-12)
    assert few["seed"].values.tolist() == [3, 4]


def test_fig_grid_holds_norms_only_where_it_says_so(few):
    start, end = few["squared_norm"].isel(step=0), few["squared_norm"].isel(step=-1)
    np.testing.assert_allclose(end.sel(constrained=1), start.sel(constrained=1), rtol=1e-5)
    assert ((end / start).sel(constrained=0, learning_rate=1.0, momentum=0.9) > 2).all()


def test_fig_grid_shares_the_runs_of_panel_a():
    shared = {experiment.key for experiment in experiment_table.quick_sweep("A")}
    base = experiment_table.quick_sweep("A").base
    middle = base.replace(learning_rate=1.0, momentum=0.9, weight_decay=5e-4, seed=0)
    assert middle.key in shared
    assert all(run_grid.DEFAULT[name] in values for name, values in run_grid.GRID.items())


def test_fig_grid_counts_what_trained(few):
    lost = few.assign(diverged=few["diverged"] + 1)  # all diverged: none trained, whatever losses were last seen
    assert fig_grid.trained(lost) == (0, 0, 4)
    learned = few.assign(test_loss=0 * few["test_loss"])
    assert fig_grid.trained(learned) == (4, 4, 4)
