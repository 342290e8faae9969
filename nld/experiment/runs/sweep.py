"""Sweeps: run what is missing, then gather the records along one dimension ``run``."""

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from nld.errors import InvalidInput, SweepError
from nld.experiment.runs.executors import EXECUTORS
from nld.experiment.runs.run_store import RunStore
from nld.experiment.runs.spec import Experiment, Sweep


def run_sweep(
    sweep: Sweep | Iterable[Experiment], *, executor: str = "ensemble", store: RunStore | None = None, **options
) -> xr.Dataset:
    """Compute the runs that the store has not, by `executor` ("ensemble", "pool" or "slurm"), and gather all.

    Args:
        options: of the executor: ``workers``, ``members``, ``minutes``, …; see nld.experiment.runs.executors.

    Raises:
        SweepError: runs ended in errors; the message holds the first and where to read more.
        ValueError: no such executor.
    """
    if executor not in EXECUTORS:
        raise InvalidInput(f"unknown executor {executor!r}; there are {', '.join(EXECUTORS)}")
    store = store or RunStore.default()
    experiments = tuple(dict.fromkeys(sweep))
    if not all(store.is_done(experiment) for experiment in experiments):
        EXECUTORS[executor](experiments, store, **options)
    while any(store.is_taken(experiment) for experiment in experiments):  # by workers of another sweep
        time.sleep(0.5)
    if failed := [experiment for experiment in experiments if not store.is_done(experiment)]:
        error = store.error(failed[0]).strip().splitlines() or ["it was interrupted: run the sweep again"]
        where = store.work_path(failed[0]) / "error"
        raise SweepError(f"{len(failed)} of {len(experiments)} runs failed; the first: {error[-1]} (see {where})")
    return gather(experiments, store)


def gather(sweep: Sweep | Iterable[Experiment], store: RunStore | None = None) -> xr.Dataset:
    """Records of all runs along ``run``, with a coordinate for every field that differs and ``key`` for each run.

    Fields that all share are attributes, and where the runs come from: devices, threads, commits, sources, seconds.

    Raises:
        Missing: a run is not done.
    """
    store = store or RunStore.default()
    experiments = tuple(dict.fromkeys(sweep))
    records = [store.load(experiment) for experiment in experiments]
    gathered = xr.concat(
        records, "run", combine_attrs="drop_conflicts", join="outer", coords="minimal", compat="override"
    )
    table = [dataclasses.asdict(experiment) for experiment in experiments]
    varied = [name for name in table[0] if len({row[name] for row in table}) > 1]
    coordinates = {name: ("run", _column([row[name] for row in table])) for name in varied}
    coordinates["key"] = ("run", np.array([experiment.key for experiment in experiments]))
    gathered = gathered.assign_coords(coordinates)
    metas = [store.meta(experiment) for experiment in experiments]
    for name in ("device", "threads", "commit", "source", "nld_version"):
        gathered.attrs[f"run_{name}"] = ", ".join(sorted({str(meta.get(name, "unknown")) for meta in metas}))
    gathered.attrs["run_torch"] = ", ".join(sorted({meta["packages"]["torch"] for meta in metas}))
    gathered.attrs["run_seconds"] = round(sum(meta["seconds"] / meta["members"] for meta in metas), 3)
    gathered.attrs["stale_runs"] = sum(store.is_stale(experiment) for experiment in experiments)
    return gathered


def _column(values: list) -> np.ndarray:
    plain = [str(value) if value is None or isinstance(value, tuple) else value for value in values]
    return np.array(plain)


@dataclass(frozen=True)
class Status:
    """How far a sweep is: runs by state, and updates done of all."""

    states: Counter
    steps_done: int
    steps: int

    @property
    def finished(self) -> bool:
        """Whether every run is done."""
        return set(self.states) <= {"done"}

    def __str__(self) -> str:
        order = ("done", "running", "waiting", "interrupted", "failed")
        counts = ", ".join(f"{self.states[state]} {state}" for state in order if self.states[state])
        return f"{counts}; {self.steps_done} of {self.steps} steps"


def status(sweep: Sweep | Iterable[Experiment], store: RunStore | None = None) -> Status:
    """Look at the store, nothing else: it serves a sweep that runs on another node as well."""
    store = store or RunStore.default()
    experiments = tuple(dict.fromkeys(sweep))
    return Status(
        Counter(store.state(experiment) for experiment in experiments),
        sum(store.steps_done(experiment) for experiment in experiments),
        sum(experiment.steps for experiment in experiments),
    )


def watch(
    sweep: Sweep | Iterable[Experiment],
    store: RunStore | None = None,
    *,
    show: Callable[[str], None],
    seconds: float = 2.0,
    until: Callable[[], bool] = lambda: False,
    settled: bool = True,
) -> Status:
    """Show the status with the time left, until `until` says so or, if `settled`, no run is going; the last status."""
    began = time.monotonic()
    first = now = status(sweep, store)
    while True:
        elapsed, gained = time.monotonic() - began, now.steps_done - first.steps_done
        left = f"; {_duration((now.steps - now.steps_done) * elapsed / gained)} left" if gained else ""
        show(str(now) + ("" if now.finished else left))
        if until() or (settled and not set(now.states) & {"running", "waiting", "interrupted"}):
            return now
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not until():
            time.sleep(0.05)
        now = status(sweep, store)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
