"""Workers: compute what the store has not. Any number of them may run, anywhere: the leases share out the work."""

import os
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import torch

from nld.experiment.runs.ensemble import groups, needs_plain_loop, run_ensemble
from nld.experiment.runs.run import run
from nld.experiment.runs.run_store import RunStore
from nld.experiment.runs.spec import Experiment
from nld.results import arithmetic
from nld.results.provenance import provenance

_SLURM = ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT")


def work(
    experiments: Sequence[Experiment], store: RunStore, *, members: int = 16, checkpoint_every: int = 1000
) -> None:
    """Compute the runs that are neither done nor taken by another worker; return when none is left.

    An error ends the runs it happened in, is kept in the store, and the others go on.

    Args:
        experiments: with those that are done. What is trained together follows from all of them: a run that is missing
            alone is trained as it was with the others, and comes out the same to the last bit on one thread.
        members: largest ensemble; 1 trains each run alone, with checkpoints. An ensemble keeps none: killed, it
            starts again.
    """
    store.clean()
    # vgg11 fills a device by itself
    alone = dict.fromkeys(e for e in experiments if needs_plain_loop(e) or e.network == "vgg11")
    together = groups([e for e in experiments if e not in alone], members)
    for group in [*together, *([e] for e in alone)]:
        with store.lease(group) as taken:
            if not taken:
                continue
            try:
                with arithmetic.limited_threads(arithmetic.threads()):  # so that every executor gives the same numbers
                    _compute(taken, store, checkpoint_every, together=len(group) > 1)
            except Exception:
                for experiment in taken:
                    if not store.is_done(experiment):
                        store.fail(experiment, traceback.format_exc())


def _compute(taken: list[Experiment], store: RunStore, checkpoint_every: int, together: bool) -> None:
    started, clock = datetime.now(UTC), time.perf_counter()
    report = _throttled(lambda steps: [store.report(experiment, steps) for experiment in taken])
    if together:
        records = run_ensemble(taken, progress=report)
    else:
        checkpoint = store.checkpoint(taken[0])
        records = [run(taken[0], checkpoint=checkpoint, checkpoint_every=checkpoint_every, progress=report)]
    meta = {
        **provenance(),
        **({"device": f"GPU {torch.cuda.get_device_name()}"} if taken[0].device == "cuda" else {}),
        "threads": torch.get_num_threads(),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - clock, 3),
        "members": len(taken),
        "loop": "ensemble" if together else "run",
        "slurm": {name: os.environ[name] for name in _SLURM if name in os.environ},
    }
    for experiment, record in zip(taken, records, strict=True):
        store.publish(experiment, record, meta)


def _throttled(report: Callable[[int], object], seconds: float = 1.0) -> Callable[[int], None]:
    last = [0.0]

    def throttled(steps: int) -> None:
        if time.monotonic() - last[0] >= seconds:
            last[0] = time.monotonic()
            report(steps)

    return throttled


@dataclass(frozen=True)
class Task:
    """A share of the work as a plain value that crosses to other processes and nodes and can start again."""

    experiments: tuple[Experiment, ...]
    store: RunStore
    members: int = 16
    checkpoint_every: int = 1000

    def __call__(self) -> None:
        work(self.experiments, self.store, members=self.members, checkpoint_every=self.checkpoint_every)

    def checkpoint(self):
        """What submitit submits again after a preemption or a time limit: the same task, which resumes by itself."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)
