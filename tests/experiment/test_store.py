"""The store: an experiment has one name, a run is whole or absent, a run has one worker."""

import json
import multiprocessing
import os
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nld.experiment import Experiment, RunStore, Sweep
from nld.experiment.runs import run, spec

FAST = Experiment(steps=4, evaluate_every=2)
META = {"commit": "", "device": "", "nld_version": "", "packages": {"torch": ""}, "seconds": 1.0, "members": 1}


@given(
    st.builds(
        Experiment,
        learning_rate=st.floats(0, 10),
        momentum=st.floats(0, 0.999),
        seed=st.integers(0, 2**31),
        milestones=st.lists(st.floats(0.01, 0.99), max_size=3).map(tuple),
        train_size=st.none() | st.integers(2, 1000),
        constrained=st.booleans(),
        network=st.sampled_from(["mlp", "digits_cnn"]),
    )
)
def test_law_experiment_survives_json_and_names_itself(experiment):
    again = spec.from_fields(json.loads(spec.to_json(experiment)))
    assert again == experiment
    assert again.key == experiment.key
    assert experiment.replace(seed=experiment.seed + 1).key != experiment.key


def test_integers_from_toml_mean_the_floats_they_equal(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text("learning_rate = 1\nmilestones = [0.5]\n")
    assert spec.load(path).key == Experiment(learning_rate=1.0, milestones=(0.5,)).key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat = 1", "has no field learning_rat; it has network"),
        ("momentum = 1.0", r"momentum must be in \[0, 1\), got 1.0"),
        ("precision = 'half'", "precision must be one of"),
        ("learning_rate = 'big'", "one.toml"),
        ("[vary]\nseed = []", "at least one value for each field, got none for seed"),
        ("[vary]\nmomentum = [0.5, 2.0]", "momentum must be in"),
        ("base = 3\n[vary]\nseed = [1]", "one.toml"),
        ("= 3", "one.toml"),
    ],
)
def test_wrong_specifications_say_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "one.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        spec.load(path)


def test_sweep_is_the_product_each_once():
    sweep = Sweep(vary={"seed": (0, 1), "momentum": (0.0, 0.5, 0.5)})
    assert [(e.seed, e.momentum) for e in sweep.experiments] == [(0, 0.0), (0, 0.5), (1, 0.0), (1, 0.5)]


def test_published_run_comes_back_as_it_was(tmp_path):
    store, record = RunStore(tmp_path), run(FAST)
    with pytest.raises(FileNotFoundError, match="nld run"):
        store.load(FAST)
    store.publish(FAST, record, META)
    assert store.load(FAST).equals(record)
    assert store.load(FAST).attrs == record.attrs
    assert list(store) == [FAST]
    assert sorted(p.name for p in tmp_path.iterdir()) == [FAST.key]


def test_a_second_copy_is_dropped_and_a_stale_one_replaced(tmp_path, monkeypatch):
    store, record = RunStore(tmp_path), run(FAST)
    store.publish(FAST, record, META)
    store.publish(FAST, record, {**META, "seconds": 2.0})
    assert store.meta(FAST)["seconds"] == 1.0
    monkeypatch.setattr("nld.experiment.runs.origin.digest", lambda experiment: "other")
    assert not store.is_done(FAST)
    assert RunStore(tmp_path, keep_stale=True).is_done(FAST)
    store.publish(FAST, record, {**META, "seconds": 3.0})
    assert store.meta(FAST)["seconds"] == 3.0
    assert sorted(p.name for p in tmp_path.iterdir()) == [FAST.key]


def test_lease_belongs_to_one_and_ends_with_the_block(tmp_path):
    store, other = RunStore(tmp_path), RunStore(tmp_path)
    second = FAST.replace(seed=1)
    with store.lease([FAST]) as taken:
        assert taken == [FAST]
        assert other.state(FAST) == "running"
        with other.lease([FAST, second]) as rest:
            assert rest == [second]
    assert other.state(FAST) == "interrupted"
    store.publish(FAST, run(FAST), META)
    with other.lease([FAST]) as taken:
        assert taken == []


def test_lease_of_another_machine_lives_by_its_heartbeat(tmp_path):
    store = RunStore(tmp_path, lease_seconds=100.0)
    with store.lease([FAST]):
        path = tmp_path / f"{FAST.key}.work" / "lease"
        path.write_text(json.dumps({"owner": "x", "machine": "elsewhere", "pid": os.getpid(), "host": "elsewhere"}))
        assert store.is_taken(FAST)
        os.utime(path, (time.time() - 101, time.time() - 101))
        assert not store.is_taken(FAST)
        with store.lease([FAST]) as taken:
            assert taken == [FAST]


def _hold(folder, taken):
    with RunStore(folder).lease([FAST]):
        taken.set()
        time.sleep(60)


def test_lease_of_a_killed_process_is_free_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    taken = context.Event()
    process = context.Process(target=_hold, args=(tmp_path, taken))
    process.start()
    assert taken.wait(30)
    store = RunStore(tmp_path)
    assert store.state(FAST) == "running"
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert store.state(FAST) == "interrupted"
    with store.lease([FAST]) as again:
        assert again == [FAST]


def _race(folder, barrier, wins):
    store = RunStore(folder)
    for seed in range(20):
        barrier.wait()
        with store.lease([FAST.replace(seed=seed)]) as taken:
            with wins.get_lock():
                wins[seed] += len(taken)
            barrier.wait()


def test_law_many_workers_one_lease(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, wins = context.Barrier(4), context.Array("i", 20)
    processes = [context.Process(target=_race, args=(tmp_path, barrier, wins)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert list(wins) == [1] * 20
