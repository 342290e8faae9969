"""Run chapters in parallel, each in a process of its own with a wall-clock limit."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from nld.publish.execution.execute import failure


@dataclass(frozen=True, eq=False)
class Job:
    """One chapter to execute: its text, parameters, and where output, log and result go."""

    name: str
    source: str
    parameters: dict
    output: Path
    folder: Path
    environment: dict
    log: Path

    def start(self) -> subprocess.Popen:
        """Execute it in a process of its own, which ends when this one does."""
        for path in (self.output, self.log):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.output.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "nld.publish.execution.execute"],
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.PIPE,  # stays open while this process lives; see execute.py
                start_new_session=True,  # Ctrl-C reaches the parent only, which ends its children in order
                env={**os.environ, **self.environment},
            )
        description = {name: getattr(self, name) for name in ("source", "parameters", "output", "folder")}
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died at once, which `verdict` reports
            process.stdin.write(json.dumps(description, default=str).encode() + b"\n")
            process.stdin.flush()
        return process

    def verdict(self, process: subprocess.Popen) -> dict:
        """What the ended process reported, or why it could not report."""
        code = process.wait()
        with contextlib.suppress(BrokenPipeError):
            answer, _ = process.communicate()
        try:
            return json.loads(answer)
        except ValueError:
            reason = f"ended by signal {-code}" if code < 0 else f"exit status {code}"
            lines = self.log.read_text("utf-8", "replace").splitlines()[-8:] if self.log.exists() else []
            return failure(f"ProcessDied: the chapter's process ended without a result ({reason})", lines=lines)


def run_jobs(
    jobs: list[Job], workers: int, timeout: float, progress: Callable[[dict[str, float]], None]
) -> Generator[tuple[Job, dict], None, None]:
    """Run every job, at most ``workers`` at once; yield each with its verdict as it ends.

    ``progress`` is called several times a second with the running names and their ages in
    seconds. When the caller stops early, by Ctrl-C for one, every process that was started
    is ended, with its kernel.
    """
    waiting = list(reversed(jobs))
    running: dict[Job, tuple[subprocess.Popen, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop()
                running[job] = (job.start(), time.monotonic())
            for job, (process, started) in list(running.items()):
                age = time.monotonic() - started
                if process.poll() is not None:
                    del running[job]
                    yield job, {**job.verdict(process), "seconds": age}
                elif age > timeout:
                    _end(process)
                    del running[job]
                    error = f"Timeout: the chapter ran for {age:.0f} s, longer than --timeout {timeout:g}"
                    yield job, {**job.verdict(process), "status": "failed", "error": error, "traceback": []}
            progress({job.name: time.monotonic() - start for job, (_, start) in running.items()})
            time.sleep(0.05)
    finally:
        for process, _ in running.values():
            _end(process)


def _end(process: subprocess.Popen) -> None:
    """End a process and its descendants: politely, so that kernels shut down, then for good."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.terminate()
        _, alive = psutil.wait_procs(family, timeout=5)
        for member in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
    process.wait()
