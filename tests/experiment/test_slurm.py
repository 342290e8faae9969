"""The Slurm executor on a real Slurm. NLD_REQUIRE_SLURM=1 makes its absence a failure."""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from slurm_node import slurm_node, why_not

from nld.experiment import Experiment, RunStore, Sweep, run_sweep

ROOT = str(Path(__file__).parents[2])
SWEEP = Sweep(
    base=Experiment(steps=600, evaluate_every=200, momentum=0.5),
    vary={"learning_rate": (0.003, 0.01, 0.1), "constrained": (False, True), "seed": (0, 1)},
)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    if reason := why_not():
        if os.environ.get("NLD_REQUIRE_SLURM") == "1":
            pytest.fail(f"NLD_REQUIRE_SLURM=1, but {reason}")
        pytest.skip(reason)
    with slurm_node(tmp_path / "node", cpus=4) as variables:
        for name, value in {**variables, "OMP_NUM_THREADS": "1", "PYTHONPATH": ROOT}.items():
            monkeypatch.setenv(name, value)
        yield


@pytest.mark.slow
@pytest.mark.slurm
def test_an_array_of_twelve_one_killed_and_requeued_equals_local(tmp_path, slurm):
    store, killed = RunStore(tmp_path / "store"), []

    def kill_one_in_the_middle():
        while not killed:
            for checkpoint in store.folder.glob("*.work/checkpoint-*"):
                with contextlib.suppress(OSError):  # this one has just ended: take another
                    lease = json.loads((checkpoint.parent / "lease").read_text())
                    os.kill(lease["pid"], signal.SIGKILL)
                    killed.append(checkpoint.parent.name.removesuffix(".work"))
                    return
            time.sleep(0.02)

    killer = threading.Thread(target=kill_one_in_the_middle, daemon=True)
    killer.start()
    remote = run_sweep(SWEEP, executor="slurm", store=store, checkpoint_every=50, minutes=10)
    killer.join(5)
    assert killed, "no task was killed: the test shows nothing"
    assert len(SWEEP.experiments) == 12
    assert sorted(store, key=lambda e: e.key) == sorted(SWEEP, key=lambda e: e.key)
    assert not list(store.folder.glob("*.work"))
    tasks = {e.key: store.meta(e)["slurm"] for e in SWEEP}  # one task of one array each, and the killed one restarted
    assert sorted(int(task["SLURM_ARRAY_TASK_ID"]) for task in tasks.values()) == list(range(12))
    assert {key for key, task in tasks.items() if task.get("SLURM_RESTART_COUNT")} == set(killed)
    local = run_sweep(SWEEP, executor="ensemble", store=RunStore(tmp_path / "local"), members=1)
    assert remote.drop_attrs().equals(local.drop_attrs())
