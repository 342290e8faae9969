"""Sweeps: every executor gives the same records, whatever is interrupted on the way."""

import contextlib
import dataclasses
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
import xarray as xr

from nld.experiment import Experiment, RunStore, Sweep, gather, run_sweep, status
from nld.experiment.runs import executors, run
from nld.experiment.runs import sweep as sweeps

BASE = Experiment(steps=30, evaluate_every=15)
SWEEP = Sweep(base=BASE, vary={"learning_rate": (0.01, 0.1), "constrained": (False, True)})


@pytest.mark.parametrize("constrained", [False, True])  # to the norms at the first start, not at the last
def test_resumed_run_equals_the_uninterrupted_to_the_bit(tmp_path, constrained):
    experiment = BASE.replace(steps=120, evaluate_every=40, augment=True, schedule="step", momentum=0.95)
    experiment = experiment.replace(constrained=constrained)

    class Stop(Exception):
        pass

    def stop_at(step):
        def progress(done):
            if done == step:
                raise Stop

        return progress

    for step in (50, 100):  # interrupted twice; the checkpoints are at multiples of 30
        with pytest.raises(Stop):
            run(experiment, checkpoint=tmp_path / "checkpoint", checkpoint_every=30, progress=stop_at(step))
    seen = []
    resumed = run(experiment, checkpoint=tmp_path / "checkpoint", checkpoint_every=30, progress=seen.append)
    assert seen == [100]  # it went on from step 90
    assert resumed.identical(run(experiment))
    with pytest.raises(ValueError, match="delete it"):
        run(experiment.replace(seed=1), checkpoint=tmp_path / "checkpoint")


def test_gathered_runs_keep_their_order_and_name_what_varies(tmp_path):
    store = RunStore(tmp_path)
    gathered = run_sweep(SWEEP, store=store)
    assert gathered.sizes["run"] == 4
    np.testing.assert_array_equal(gathered.learning_rate, [0.01, 0.01, 0.1, 0.1])
    np.testing.assert_array_equal(gathered.constrained, [False, True, False, True])
    assert "constrained" not in gathered.attrs
    assert gathered.attrs["momentum"] == 0.9
    assert gathered.attrs["stale_runs"] == 0
    for index, experiment in enumerate(SWEEP.experiments):
        np.testing.assert_allclose(gathered.batch_loss[index], run(experiment).batch_loss, rtol=1e-3)
    assert status(SWEEP, store).finished
    gathered.to_netcdf(tmp_path / "all.nc", engine="h5netcdf")
    assert xr.load_dataset(tmp_path / "all.nc", engine="h5netcdf").equals(gathered)


def test_what_is_done_is_not_done_again(tmp_path):
    store = RunStore(tmp_path)
    run_sweep(SWEEP, store=store)
    before = {e: store.meta(e) for e in SWEEP}
    more = Sweep(base=BASE, vary={**SWEEP.vary, "learning_rate": (0.01, 0.03, 0.1)})
    assert status(more, store).states == {"done": 4, "waiting": 2}
    run_sweep(more, store=store)
    assert {e: store.meta(e) for e in SWEEP} == before


@pytest.mark.parametrize("executor", ["ensemble", pytest.param("pool", marks=pytest.mark.slow)])
def test_a_run_that_is_missing_alone_comes_back_the_same_to_the_bit(tmp_path, executor, monkeypatch):
    monkeypatch.setenv("NLD_THREADS", "1")  # several threads share sums by how many members there are
    store = RunStore(tmp_path)
    before = run_sweep(SWEEP, store=store, executor=executor, workers=1)
    shutil.rmtree(store.path(SWEEP.experiments[2]))
    assert run_sweep(SWEEP, store=store, executor=executor, workers=1).equals(before)
    assert {store.meta(e)["loop"] for e in SWEEP} == {"ensemble"}


def test_a_failed_run_is_named_and_the_others_are_kept(tmp_path):
    store = RunStore(tmp_path)
    experiments = [BASE, BASE.replace(batch_size=5000)]
    with pytest.raises(sweeps.SweepError, match=r"1 of 2 runs failed.*lower batch_size"):
        run_sweep(experiments, store=store)
    assert status(experiments, store).states == {"done": 1, "failed": 1}
    with pytest.raises(ValueError, match="there are ensemble, pool, slurm"):
        run_sweep(experiments, store=store, executor="cloud")
    with pytest.raises(FileNotFoundError):
        gather(experiments, store)


def test_watch_tells_the_time_left_and_ends(tmp_path):
    store, shown, record = RunStore(tmp_path), [], run(BASE)

    def show(line):
        """The run goes on each time that somebody looks."""
        shown.append(line)
        if len(shown) == 1:
            store.report(BASE, 10)
        else:
            store.publish(BASE, record, {})

    with store.lease([BASE]):
        state = sweeps.watch([BASE], store, show=show, seconds=0.01)
    assert state.finished
    assert shown[0] == "1 running; 0 of 30 steps"
    assert re.fullmatch(r"1 running; 10 of 30 steps; \d+ s left", shown[1])
    assert shown[2:] == ["1 done; 30 of 30 steps"]


def test_commands_run_resume_and_gather(tmp_path, monkeypatch, capsys):
    from nld.cli import main

    monkeypatch.setenv("NLD_STORE", str(tmp_path / "store"))
    one, many, wrong = (tmp_path / f"{name}.toml" for name in ("one", "many", "wrong"))
    one.write_text("steps = 30\nevaluate_every = 15\nlearning_rate = 0.01\n")
    many.write_text("[base]\nsteps = 30\nevaluate_every = 15\n[vary]\nlearning_rate = [0.01, 0.1]\n")
    wrong.write_text("momentum = 1")
    assert main(["sweep", "status", str(many)]) == 1
    assert main(["run", str(one), "--output", str(tmp_path / "one.nc")]) == 0
    assert "test accuracy 0." in capsys.readouterr().out
    assert main(["sweep", "gather", str(many), "--output", str(tmp_path / "many.nc")]) == 1
    assert "1 done, 1 waiting" in capsys.readouterr().err
    assert main(["sweep", "run", str(many)]) == 0
    assert main(["sweep", "watch", str(many)]) == 0
    assert main(["sweep", "status", str(many)]) == 0
    assert main(["sweep", "gather", str(many), "--output", str(tmp_path / "many.nc")]) == 0
    gathered, single = (xr.load_dataset(tmp_path / f"{name}.nc", engine="h5netcdf") for name in ("many", "one"))
    np.testing.assert_array_equal(gathered.batch_loss.sel(run=0), single.batch_loss)
    assert main(["run", str(one), "--set", "batch_size=9999"]) == 1
    assert "lower batch_size" in capsys.readouterr().err
    for usage in (
        ["run", str(wrong)],
        ["run", str(many)],
        ["run", str(one), "--set", "steps"],
        ["sweep", "run", "none"],
    ):
        assert main(usage) == 2
    assert main(["sweep", "run", str(many), "--no-wait"]) == 2


def kill_workers(store, experiments, kills, longest, workers=2):
    """Run a pool and kill -9 workers, each at a random moment after it began to work, until `kills` are dead.

    Returns what was stored at the moments of the kills, and the process ids of the killed.
    """
    generator, stored, killed = random.Random(0), {}, []

    def kill(pid, delay):
        while not any(f'"pid": {pid},' in text for text in leases(store)):
            time.sleep(0.01)
        time.sleep(delay)
        stored.update({e: store.meta(e) for e in experiments if store.is_done(e)})
        with contextlib.suppress(ProcessLookupError):
            if len(killed) < kills:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    def on_start(pid):
        threading.Thread(target=kill, args=(pid, generator.uniform(0, longest)), daemon=True).start()

    executors.pool(experiments, store, workers=workers, members=1, checkpoint_every=20, on_start=on_start)
    return stored, killed


def leases(store):
    for path in store.folder.glob("*.work/lease"):
        with contextlib.suppress(OSError):
            yield path.read_text()


def check_nothing_lost_by_kills(folder, runs, steps, kills, longest, workers):
    base = BASE.replace(steps=steps, evaluate_every=50)
    experiments = Sweep(base=base, vary={"seed": tuple(range(runs))}).experiments
    store = RunStore(folder)
    stored, killed = kill_workers(store, experiments, kills, longest, workers)
    assert len(killed) == kills
    # each run is there once, whole, and the same to the last bit as if nothing had happened
    assert sorted(store, key=lambda e: e.key) == sorted(experiments, key=lambda e: e.key)
    for experiment in experiments:
        assert store.load(experiment).equals(run(experiment)), experiment
    assert {e: store.meta(e) for e in stored} == stored  # what was stored before a kill was not computed again
    store.clean(older_than=0.0)
    assert sorted(p.name for p in folder.iterdir()) == [".lock", *sorted(e.key for e in experiments)]


@pytest.fixture
def two_cores(monkeypatch):
    """Two workers get one thread each, as the reference has: the last bits depend on the number of threads."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.mark.slow
def test_twenty_killed_workers_lose_nothing(tmp_path, two_cores):
    check_nothing_lost_by_kills(tmp_path, runs=30, steps=400, kills=20, longest=3.0, workers=2)


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    check_nothing_lost_by_kills(tmp_path, runs=2, steps=150, kills=1, longest=0.3, workers=1)


@pytest.mark.slow
def test_workers_end_with_a_killed_sweep(tmp_path):
    """A sweep that was killed must not go on for the hours that its last runs take."""
    endless = BASE.replace(steps=10**7, evaluate_every=10**7)
    script = f"""
from pathlib import Path
from nld.experiment import Experiment, RunStore
from nld.experiment.runs import executors
if __name__ == "__main__":
    run = Experiment(**{dataclasses.asdict(endless)!r})
    executors.pool([run], RunStore(Path({str(tmp_path)!r})), workers=1, on_start=lambda pid: print(pid, flush=True))
"""
    (tmp_path / "sweep.py").write_text(script)
    with subprocess.Popen([sys.executable, tmp_path / "sweep.py"], stdout=subprocess.PIPE, text=True) as sweep:
        assert sweep.stdout is not None
        worker = psutil.Process(int(sweep.stdout.readline()))
        end = time.monotonic() + 60
        while not list(leases(RunStore(tmp_path))) and time.monotonic() < end:
            time.sleep(0.05)
        assert list(leases(RunStore(tmp_path)))
        sweep.kill()
    gone, alive = psutil.wait_procs([worker], timeout=20)
    for process in alive:
        process.kill()
    assert gone
