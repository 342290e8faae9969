"""A figure says which runs it rests on, and in which arithmetic it was computed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr

from nld import __version__
from nld.experiment import Experiment, RunStore, gather, run_sweep
from nld.experiment.runs import origin, run
from nld.figures.recording import figure_record
from nld.results import arithmetic, lineage
from nld.results.dependencies import needed_modules
from nld.results.provenance import packages
from tests.figures.test_record import line

RUNS = [Experiment(steps=2, evaluate_every=2, seed=seed) for seed in (0, 1)]


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("NLD_STORE", str(tmp_path))
    for name in ("NLD_FORCE", *arithmetic.SETTINGS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(figure_record, "save", lambda draw, data, folder: None)
    return tmp_path


def figure(compute, name="fig-line", **parameters):
    module = SimpleNamespace(**{**vars(line()), "compute": compute})
    return figure_record.record_figure(name, module, "quick", parameters)


def keys(shown):
    return [each["key"] for each in shown.provenance["runs"]]


def of_runs(*experiments):
    def compute(profile):
        return run_sweep(experiments)[["test_loss"]].mean()

    return compute


def test_a_figure_names_the_runs_behind_it_and_where_they_come_from():
    shown = figure(of_runs(*RUNS))
    assert keys(shown) == sorted(experiment.key for experiment in RUNS)
    meta = RunStore.default().meta(RUNS[0])
    for each in shown.provenance["runs"]:
        assert each["nld_version"] == __version__
        assert each["torch"] == torch.__version__
        assert (each["commit"], each["device"], each["threads"]) == (meta["commit"], meta["device"], 1)


def test_runs_are_heard_by_all_who_listen_and_only_while_they_do():
    run_sweep(RUNS)
    with lineage.collected() as outer:
        RunStore.default().load(RUNS[0])
        with lineage.collected() as inner:
            RunStore.default().load(RUNS[1])
        run(RUNS[0].replace(seed=7))  # does not go through the store
    RunStore.default().load(RUNS[0])
    assert [*inner] == [RUNS[1].key]
    assert {*outer} == {experiment.key for experiment in RUNS}


def test_a_figure_rests_on_the_runs_of_a_figure_whose_data_it_takes():
    inner = of_runs(RUNS[0])

    def outer(profile, *, other=0):
        return figure(inner, "fig-inner").data + run_sweep(RUNS[1:])["test_loss"].mean()

    first = figure(outer)
    again = figure(outer, other=1)  # the inner one is taken from the store
    assert keys(figure(inner, "fig-inner")) == [RUNS[0].key]
    assert keys(first) == keys(again) == sorted(experiment.key for experiment in RUNS)


def test_gathered_runs_say_on_which_processors_and_with_how_many_threads(monkeypatch):
    run_sweep(RUNS[:1])
    meta = RunStore.default().meta(RUNS[0])
    gathered = gather(RUNS[:1])
    assert gathered.attrs["run_device"] == meta["device"]
    assert gathered.attrs["run_threads"] == "1"


@pytest.fixture
def three_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(threads)


def test_a_figure_has_the_threads_that_were_asked_for_whatever_the_machine_has(monkeypatch, three_threads):
    def compute(profile):
        return xr.Dataset({"y": float(torch.get_num_threads())})

    one = figure(compute)
    monkeypatch.setenv("NLD_THREADS", "2")
    two = figure(compute)
    assert [float(shown.data["y"]) for shown in (one, two)] == [1, 2]
    assert [shown.provenance["threads"] for shown in (one, two)] == [1, 2]
    assert one.folder != two.folder
    assert torch.get_num_threads() == 3


def test_a_run_has_one_thread_whoever_asks_for_it(three_threads):
    run_sweep(RUNS[:1])
    assert RunStore.default().meta(RUNS[0])["threads"] == 1
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("name", [name for name in arithmetic.SETTINGS if name != "NLD_THREADS"])
def test_a_chosen_arithmetic_is_in_the_name_of_a_figure(monkeypatch, name):
    def compute(profile):
        return xr.Dataset({"y": np.pi})

    ordinary = figure(compute)
    monkeypatch.setenv(name, "1")
    chosen = figure(compute)
    assert ordinary.folder != chosen.folder
    assert chosen.provenance["arithmetic"] != ordinary.provenance["arithmetic"]


def test_a_run_of_another_package_or_source_is_stale_and_one_of_another_processor_is_not(monkeypatch):
    run_sweep(RUNS[:1])
    runs, monitored = RunStore.default(), RUNS[0].replace(monitor_every=1)
    assert runs.is_done(RUNS[0])
    monkeypatch.setattr("nld.results.provenance.device", lambda: "another")
    assert runs.is_done(RUNS[0])
    with monkeypatch.context() as patch:
        patch.setattr("nld.experiment.runs.origin.packages", lambda: {"torch": "99"})
        assert not runs.is_done(RUNS[0])
    with monkeypatch.context() as patch:
        patch.setattr("nld.experiment.runs.origin.packages", lambda: {**packages(), "matplotlib": "99"})
        assert runs.is_done(RUNS[0])
    assert origin.origin(monitored)["sources"] != origin.origin(RUNS[0])["sources"]
    assert origin.origin(monitored)["packages"].keys() - origin.origin(RUNS[0])["packages"].keys() == {"numba"}


def test_the_books_of_a_monitored_run_depend_on_the_source_of_the_monitor():
    plain, monitored = (
        frozenset().union(*(needed_modules(loop, without) for loop in origin._LOOPS))
        for without in ((*origin._BRINGING, "nld.monitor"), origin._BRINGING)
    )
    assert {"nld.experiment.training.networks", "nld.results.arithmetic"} <= plain
    assert {"nld.experiment.training.loop", "nld.experiment.training.ensemble"} <= plain
    assert not any(name.startswith("nld.monitor") for name in plain)
    assert {"nld.monitor.charge_balance", "nld.finder.find", "nld.monitor.inner_products.numba_kernel"} <= monitored
    assert not {"nld.experiment.runs.run_store", "nld.experiment.runs.sweep"} & monitored
