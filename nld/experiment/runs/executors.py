"""Executors: where the workers run. Each returns when its workers find nothing left; the store says what is done."""

import math
import multiprocessing
import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from nld.errors import SweepError
from nld.experiment.runs.run_store import RunStore
from nld.experiment.runs.spec import Experiment
from nld.experiment.runs.worker import Task, work

_RESTARTS = 25  # of killed workers or tasks, for one sweep
_POLL = 0.2  # seconds between looks at workers


def in_process(experiments: Sequence[Experiment], store: RunStore, *, members: int = 16, **_) -> None:
    """All runs in this process, as ensembles where they can be."""
    work(experiments, store, members=members)


def pool(
    experiments: Sequence[Experiment],
    store: RunStore,
    *,
    workers: int | None = None,
    members: int = 16,
    checkpoint_every: int = 1000,
    on_start: Callable[[int], None] | None = None,
    **_,
) -> None:
    """Spawned processes on this machine; with GPUs, one worker to each. A killed worker is replaced.

    Args:
        workers: processes; one a GPU if the experiments use them, else one a core.
        on_start: called with the process id of each worker.

    Raises:
        SweepError: workers keep dying; the message says how many times and with which exit code.
    """
    import torch

    gpus = torch.cuda.device_count() if experiments[0].device == "cuda" else 0
    workers = min(workers or gpus or os.cpu_count() or 1, len(experiments))
    options = {  # follow from all runs, so that it does not matter to a run which others are missing
        "members": min(members, math.ceil(len(experiments) / workers)),
        "checkpoint_every": checkpoint_every,
    }
    workers = min(workers, sum(not store.is_done(experiment) for experiment in experiments))
    context = multiprocessing.get_context("spawn")
    store = store.anywhere()

    def start(index: int):
        # each begins elsewhere in the list, so that they seldom meet; the leases settle it when they do
        first = index * len(experiments) // workers
        task = Task((*experiments[first:], *experiments[:first]), store, **options)
        process = context.Process(target=_on_gpu, args=(task, index % gpus if gpus else None), daemon=True)
        process.start()
        if on_start:
            on_start(process.pid or 0)
        return process

    running = {index: start(index) for index in range(workers)}
    restarts = 0
    try:
        while running:
            time.sleep(_POLL)
            for index, process in list(running.items()):
                if process.is_alive():
                    continue
                process.join()
                del running[index]
                if process.exitcode:
                    restarts += 1
                    if restarts > _RESTARTS:
                        raise SweepError(
                            f"{restarts} workers died, the last with exit code {process.exitcode} (-9 is a kill, often "
                            "for lack of memory): start fewer workers, or smaller ensembles"
                        )
                    running[index] = start(index)
    finally:
        for process in running.values():
            process.terminate()
            process.join()


def _on_gpu(task: Task, gpu: int | None) -> None:
    import signal

    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who ends the workers
    threading.Thread(target=_end_with_parent, daemon=True).start()  # unless it was killed itself
    if gpu is not None:
        torch.cuda.set_device(gpu)
    task()


def _end_with_parent() -> None:
    """What is under way is lost up to its last checkpoint; the store takes a death at any moment."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def slurm(
    experiments: Sequence[Experiment],
    store: RunStore,
    *,
    members: int = 1,
    checkpoint_every: int = 1000,
    at_once: int = 64,
    minutes: int = 240,
    parameters: dict | None = None,
    wait: bool = True,
    **_,
) -> None:
    """A Slurm job array through submitit, one task a run (or an ensemble of `members` runs).

    Tasks are requeued by Slurm on preemption and at the time limit, and by us when they were killed; each time they
    resume from their checkpoints. The store must be on a file system that the nodes see.

    Args:
        at_once: tasks that run at the same time.
        parameters: further submitit parameters, such as ``{"slurm_partition": "gpu", "gpus_per_node": 1}``.
        wait: return when all are done; otherwise at once after submission.

    Raises:
        SweepError: submitit is missing, Slurm does not take the tasks, or they keep dying; the message says where
            their logs are.
    """
    try:
        import submitit
        from submitit.core.utils import FailedJobError
    except ImportError as error:
        raise SweepError("the Slurm executor needs submitit: pip install 'nld[slurm]'") from error
    store = store.anywhere()
    logs = store.folder / "slurm"
    tasks = [
        Task(tuple(experiments[i : i + members]), store, members, checkpoint_every)
        for i in range(0, len(experiments), members)
    ]
    tasks = [task for task in tasks if not all(store.is_done(experiment) for experiment in task.experiments)]
    if not tasks:
        return
    executor = submitit.AutoExecutor(folder=logs, cluster="slurm")
    executor.update_parameters(
        name="nld",
        timeout_min=minutes,
        slurm_array_parallelism=at_once,
        slurm_additional_parameters={"requeue": True},
        **(parameters or {}),
    )
    try:
        with executor.batch():
            jobs = [executor.submit(task) for task in tasks]
    except FailedJobError as error:
        raise SweepError(f"Slurm did not take the tasks: {str(error).strip()}") from error
    print(f"submitted {len(jobs)} tasks as Slurm job {jobs[0].job_id.split('_')[0]}; logs in {logs}", flush=True)
    restarts = 0
    while wait:
        open_jobs = [(job.job_id, task) for job, task in zip(jobs, tasks, strict=True) if not _settled(task, store)]
        if not open_jobs:
            return
        queued = _queued({job_id.split("_")[0] for job_id, _ in open_jobs})
        for job_id, task in open_jobs:
            if job_id in queued or _settled(task, store):
                continue
            restarts += 1
            if restarts > _RESTARTS:
                raise SweepError(f"{restarts} Slurm tasks ended without a result; the last is {job_id}, see {logs}")
            subprocess.run(["scontrol", "requeue", job_id], check=True, capture_output=True)
        time.sleep(max(_POLL, 1.0))


def _settled(task: Task, store: RunStore) -> bool:
    return all(store.is_done(e) or (store.error(e) and not store.is_taken(e)) for e in task.experiments)


def _queued(array_ids: set[str]) -> set[str]:
    """Tasks that Slurm still has to run, is running, or is clearing up, as ``array_index``."""
    listing = subprocess.run(
        ["squeue", "--noheader", "--array", "--format=%F_%K", "--jobs", ",".join(sorted(array_ids))],
        capture_output=True,
        text=True,
    )
    return set(listing.stdout.split())


EXECUTORS: dict[str, Callable[..., None]] = {"ensemble": in_process, "pool": pool, "slurm": slurm}
