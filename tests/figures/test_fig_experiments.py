"""The three findings of the experiment figure, judged by code on few settings, and on the whole quick figure."""

import numpy as np
import pytest
import torch
import xarray as xr

from nld.experiment import RunStore, Sweep, run_sweep
from nld.experiment.runs import specs
from nld.figures import fig_effective_rates, fig_experiments
from nld.figures._data import effective_rates, experiment_table
from nld.figures._data import experiment_contrasts as contrasts

FEW = {"A": (0.001, 1.0), "B": (0.0, 0.9), "C": (0.0, 5e-3)}  # what the findings are judged at
SEEDS = {"A": (0,), "B": (0, 1), "C": (0,)}  # of B one is said to diverge


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    store = RunStore(tmp_path_factory.mktemp("runs"))
    runs = {}
    for panel, values in FEW.items():
        sweep = experiment_table.quick_sweep(panel)
        vary = {**sweep.vary, experiment_table.PANELS[panel].field: values, "seed": SEEDS[panel]}
        runs[panel] = run_sweep(Sweep(base=sweep.base, vary=vary), store=store)
    torch.set_num_threads(threads)
    return runs


def joined(gathered, scale="quick"):
    tables = [experiment_table.table(runs, panel, scale) for panel, runs in gathered.items()]
    origin = experiment_table.origin(gathered["A"])
    data = xr.concat(tables, "run", combine_attrs="drop")
    return data.assign_attrs(profile=scale, label_noise=0.0, **{f"{scale}_origin": origin})


def test_fig_experiments_diverged_runs_are_kept_and_count_as_chance(gathered):
    data = joined(gathered)
    lost = (data["panel"] == "B") & (data["value"] == 0.9) & (data["constrained"] == 0) & (data["seed"] == 0)
    late = lost & (data["step"] > 100)
    data = data.assign(diverged=data["diverged"].where(~lost, 1))
    data = data.assign({name: data[name].where(~late) for name in experiment_table.EVALUATED})
    ends = experiment_table.results(data, "B", "test_accuracy", "quick").sel(constrained=0, value=0.9)
    assert float(ends.sel(seed=0)) == 0.1
    assert float(ends.sel(seed=1)) > 0.5
    crosses = [line for axes in fig_experiments.draw(data).axes for line in axes.lines if line.get_marker() == "x"]
    assert sum(len(line.get_xdata()) for line in crosses) == 2  # its accuracy and its last loss


def test_fig_experiments_paper_profile_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment_table, "ROOTS", (tmp_path,))
    data = fig_experiments.compute("paper")
    assert fig_experiments.judge(data) == []
    assert "{doc}`reproducibility` says how" in fig_experiments.caption(data)
    assert fig_experiments.alt(data)
    assert len(fig_experiments.draw(data).axes) == 1


def test_fig_experiments_reads_gathered_results(gathered, tmp_path, monkeypatch):
    for panel, runs in gathered.items():
        file = tmp_path / "results" / "paper" / f"paper-{experiment_table.PANELS[panel].spec}.nc"
        file.parent.mkdir(parents=True, exist_ok=True)
        specs.summary(runs, points=4).to_netcdf(file, engine="h5netcdf")
        assert file.stat().st_size < 1e6
    monkeypatch.setattr(experiment_table, "ROOTS", (tmp_path / "nothing", tmp_path))
    data = fig_experiments.compute("paper")
    assert experiment_table.scales(data) == ["paper"]
    table = experiment_table.results(joined(gathered, "paper"), "B", "test_accuracy", "paper")
    np.testing.assert_allclose(experiment_table.results(data, "B", "test_accuracy", "paper"), table, rtol=1e-6)
    assert "*paper:*" in fig_experiments.caption(data)


def test_summary_keeps_the_ends_and_the_median_norms(gathered):
    full = gathered["A"]
    small = specs.summary(full, points=3)
    assert list(small["evaluation_step"].values) == [0, 150, 300]
    np.testing.assert_allclose(small["test_accuracy"][:, -1], full["test_accuracy"][:, -1], rtol=1e-6)
    first = full["squared_norm"].isel(evaluation_step=0, run=0).values[full["layer"].values == "0.weight"]
    np.testing.assert_allclose(small["squared_norm"].sel(layer="0.weight")[0, 0], np.median(first), rtol=1e-6)


@pytest.mark.parametrize("name", specs.names())
def test_specs_are_sweeps_of_both_modes(name):
    sweep = specs.sweep(name)
    assert set(sweep.vary["constrained"]) == {False, True}
    assert len(sweep.vary["seed"]) >= 3
    panel = next(panel for panel in experiment_table.PANELS.values() if name.endswith(panel.spec))
    assert len(sweep.vary[panel.field]) >= (3 if name.startswith("photographs") else 5)
    with pytest.raises(ValueError, match="expected a spec among"):
        specs.sweep(name + "s")


def test_law_held_norms_have_rates_in_proportion_and_free_ones_have_not(gathered):
    rates = effective_rates.table(gathered["A"], "A")
    values, halfway = effective_rates.means(rates, "A")
    free, held = halfway[:, 1] / halfway[:, 0]
    assert held == pytest.approx(values[1] / values[0], rel=1e-4)
    assert free < 0.05 * held


def test_a_judged_run_that_diverges_counts_as_one_that_guesses(tmp_path, monkeypatch):
    monkeypatch.setenv("NLD_STORE", str(tmp_path))
    real = contrasts._experiment

    def short(scale, seed, panel, value, held, **base):
        wild = {"divergence_bound": 1e-3} if (panel, held) == ("B", True) else {}
        return real(scale, seed, panel, value, held, **base).replace(steps=4, evaluate_every=4, **wild)

    monkeypatch.setattr(contrasts, "_experiment", short)
    found = contrasts.run([10_000], contrasts.registered_values())
    held = found.sel(
        constrained_norm="constrained", setting=[name for name in found["setting"].values if name[0] == "B"]
    )
    np.testing.assert_array_equal(held["judged_accuracy"], 0.1)
    np.testing.assert_allclose(held["judged_loss"], np.log(10))
    assert float(found["judged_loss"].sel(constrained_norm="unconstrained").min()) < np.log(10)


def test_values_are_selected_on_held_out_images_by_other_seeds_than_those_that_rule(gathered):
    data = joined(gathered)
    assert experiment_table.selected(data, "quick") == contrasts.registered_values()
    assert not set(data["seed"].values) & set(range(10_000, 10_128))
    worse = (data["panel"] == "C") & (data["value"] > 0)  # the test images do not choose
    assert experiment_table.selected(data.assign(test_loss=data["test_loss"].where(~worse, 9.0)), "quick")["C"] == 0.005
    blind = data.assign({name: data[name] * np.nan for name in experiment_table.VALIDATED})
    assert experiment_table.selected(blind, "quick") == {"A": 1.0, "C": 0.005}  # the largest: nothing is selected


def test_validation_images_are_neither_trained_on_nor_tested_on():
    from nld.experiment.datasets import data

    held = data.load("digits", train_size=300, validation_size=360)
    parts = [held.train_images, held.validation_images, held.test_images]
    assert [len(part) for part in parts] == [300, 360, 360]
    rows = [{image.numpy().tobytes() for image in part} for part in parts]
    assert len(rows[0] & rows[1]) <= 2  # two digits are drawn alike
    plain = data.load("digits", train_size=300)
    assert torch.equal(held.train_images, plain.train_images)
    rest = data.load("digits", validation_size=360)
    assert len(rest.train_images) == 1437 - 360
    with pytest.raises(ValueError, match="to share the 1437 training images"):
        data.load("digits", train_size=1200, validation_size=360)


@pytest.mark.slow
def test_fig_experiments_whole_quick_figure(tmp_path, monkeypatch):
    monkeypatch.setenv("NLD_STORE", str(tmp_path))
    data = fig_experiments.compute("quick")
    assert len(fig_experiments.judge(data)) == 3
    assert fig_experiments.alt(data)
    rates = fig_effective_rates.compute("quick")
    (free_rates, held_rates), (free_momenta, held_momenta) = effective_rates.spans(rates)
    assert held_rates > 10 * free_rates
    assert held_momenta > 5 * free_momenta
