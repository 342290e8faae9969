"""The three findings of the experiment figure, judged by code on few settings, and on the whole quick figure."""

import numpy as np
import pytest
import torch
import xarray as xr

from nld.experiment import RunStore, Sweep, run_sweep, specs
from nld.figures import experiment_table, fig_effective_rates, fig_experiments
from nld.verdict import REPRODUCED

FEW = {"A": (0.001, 1.0), "B": (0.0, 0.9), "C": (0.0, 5e-3)}  # what the findings are judged at


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    store = RunStore(tmp_path_factory.mktemp("runs"))
    runs = {}
    for panel, values in FEW.items():
        sweep = experiment_table.quick_sweep(panel)
        vary = {**sweep.vary, experiment_table.PANELS[panel].field: values, "seed": (0, 1, 2)}
        runs[panel] = run_sweep(Sweep(base=sweep.base, vary=vary), store=store)
    torch.set_num_threads(threads)
    return runs


def joined(gathered, scale="quick"):
    tables = [experiment_table.table(runs, panel, scale) for panel, runs in gathered.items()]
    origin = experiment_table.origin(gathered["A"])
    data = xr.concat(tables, "run", combine_attrs="drop")
    return data.assign_attrs(profile=scale, label_noise=0.0, **{f"{scale}_origin": origin})


def test_fig_experiments_findings_a_b_c_are_reproduced(gathered):
    verdicts = fig_experiments.judge(joined(gathered))
    assert [verdict.claim for verdict in verdicts] == [
        "finite-learning-rate", "momentum-advantage", "weight-decay-helps",
    ]  # fmt: skip
    for verdict in verdicts:
        assert verdict.label == REPRODUCED, verdict.numbers


def test_fig_experiments_rulings_can_be_lost(gathered):
    """With the modes exchanged, or the order of the weight decays, the same numbers speak against the claims."""
    data = joined(gathered)
    exchanged = data.assign_coords(constrained=1 - data["constrained"])
    rates, momentum, _ = fig_experiments.judge(exchanged)
    assert rates.label != REPRODUCED
    assert momentum.label != REPRODUCED
    without = (data["panel"] == "C") & (data["value"] == 0)
    worse = data.assign(test_accuracy=data["test_accuracy"].where(~without, 1.0))
    assert fig_experiments.judge(worse)[2].label != REPRODUCED


def test_fig_experiments_diverged_runs_are_kept_and_count_as_chance(gathered):
    data = joined(gathered)
    lost = (data["panel"] == "B") & (data["value"] == 0.9) & (data["constrained"] == 0) & (data["seed"] == 0)
    late = lost & (data["step"] > 100)
    data = data.assign(diverged=data["diverged"].where(~lost, 1))
    data = data.assign({name: data[name].where(~late) for name in experiment_table.EVALUATED})
    ends = experiment_table.results(data, "B", "test_accuracy", "quick").sel(constrained=0, value=0.9)
    assert float(ends.sel(seed=0)) == 0.1
    assert float(ends.sel(seed=1)) > 0.5
    assert fig_experiments.judge(data)[1].label != REPRODUCED
    crosses = [line for axes in fig_experiments.draw(data).axes for line in axes.lines if line.get_marker() == "x"]
    assert sum(len(line.get_xdata()) for line in crosses) == 2  # its accuracy and its last loss


def test_fig_experiments_paper_profile_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment_table, "ROOTS", (tmp_path,))
    data = fig_experiments.compute("paper")
    assert fig_experiments.judge(data) == []
    assert "nld sweep run" in fig_experiments.caption(data)
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
    for ours, theirs in zip(fig_experiments.judge(data), fig_experiments.judge(joined(gathered)), strict=True):
        assert (ours.label, ours.numbers) == (theirs.label, theirs.numbers)
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
    rates = fig_effective_rates._table(gathered["A"], "A")
    values, halfway = fig_effective_rates.means(rates, "A")
    free, held = halfway[:, 1] / halfway[:, 0]
    assert held == pytest.approx(values[1] / values[0], rel=1e-4)
    assert free < 0.05 * held


@pytest.mark.slow
def test_fig_experiments_whole_quick_figure(tmp_path, monkeypatch):
    monkeypatch.setenv("NLD_STORE", str(tmp_path))
    data = fig_experiments.compute("quick")
    assert [verdict.label for verdict in fig_experiments.judge(data)] == [REPRODUCED] * 3
    assert fig_experiments.alt(data)
    rates = fig_effective_rates.compute("quick")
    (free_rates, held_rates), (free_momenta, held_momenta) = fig_effective_rates.spans(rates)
    assert held_rates > 10 * free_rates
    assert held_momenta > 5 * free_momenta
