"""The store of runs: one content-addressed folder a run, written whole or not at all, computed by one worker at a time.

Below the folder of the store a finished run is ``<key>/{spec.json, record.nc, meta.json, DONE}`` with the checksums of
these files, moved into place in one step. A run whose files are not what was written is not done: whoever computes it
names it and sets it aside. While it is computed, ``<key>.work/{spec.json, lease, progress, checkpoint}`` says who works
on it, how far.
A worker that was killed leaves a lease whose heartbeat stops: the next one takes over and resumes from the checkpoint.
"""

import contextlib
import json
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import xarray as xr
from filelock import FileLock

from nld.errors import Missing
from nld.experiment.runs import origin
from nld.experiment.runs.spec import Experiment, from_fields, to_json
from nld.results import lineage, seals
from nld.results import store as files


@dataclass(frozen=True)
class RunStore:
    """Runs below `folder`. Another store object on the same folder, in another process or on another node, is the same.

    Args:
        folder: on a file system that all workers see.
        keep_stale: accept runs of another origin, as of source that changed since; otherwise they count as not done
            and are replaced.
        lease_seconds: a heartbeat older than this is a dead worker's. One that died on this machine is known at once.
    """

    folder: Path
    keep_stale: bool = False
    lease_seconds: float = 120.0

    @staticmethod
    def default(keep_stale: bool = False) -> "RunStore":
        """The store in ``NLD_STORE`` or ``.nld``."""
        return RunStore(files.root() / "runs", keep_stale)

    def anywhere(self) -> "RunStore":
        """This store for processes that may work in another folder."""
        return replace(self, folder=self.folder.absolute())

    def path(self, experiment: Experiment) -> Path:
        """Folder of the finished run."""
        return self.folder / experiment.key

    def work_path(self, experiment: Experiment) -> Path:
        """Folder of the unfinished run."""
        return self.folder / f"{experiment.key}.work"

    def checkpoint(self, experiment: Experiment) -> Path:
        """File from which `run` resumes; of this source only, for no run may change its code half-way."""
        return self.work_path(experiment) / f"checkpoint-{origin.digest(experiment)}"

    def meta(self, experiment: Experiment) -> dict:
        """What is known about the finished run: version, commit, packages, device, threads, origin, start, seconds."""
        return json.loads((self.path(experiment) / "meta.json").read_text())

    def flaw(self, experiment: Experiment) -> str:
        """What is damaged of the stored run, in words; empty if nothing, or if it is not there."""
        path = self.path(experiment)
        return seals.flaw(path) if path.is_dir() else ""

    def is_done(self, experiment: Experiment) -> bool:
        """Whether the run is stored, whole, and by this source unless stale ones are kept."""
        if not (self.path(experiment) / "DONE").exists() or self.flaw(experiment):
            return False
        return self.keep_stale or not self.is_stale(experiment)

    def is_stale(self, experiment: Experiment) -> bool:
        """Whether the stored run was computed by other source, packages or threads than the present ones."""
        return self.meta(experiment)["source"] != origin.digest(experiment)

    def is_superseded(self, experiment: Experiment, meta: dict) -> bool:
        """Whether no arithmetic makes a run of which ``meta`` is known current: source or a package changed since."""
        now, then = origin.origin(experiment), meta["origin"]
        return any(now[name] != then[name] for name in ("sources", "packages"))

    def load(self, experiment: Experiment) -> xr.Dataset:
        """Record of a finished run.

        Raises:
            Missing: it is not done, or damaged; the message says how to compute it.
        """
        compute = "compute it with nld.experiment.run_sweep or `nld run`"
        if flaw := self.flaw(experiment):
            raise Missing(f"run {experiment.key} is damaged ({flaw}): {compute}")
        if not (self.path(experiment) / "DONE").exists():
            raise Missing(f"run {experiment.key} is not in {self.folder}: {compute}")
        meta = self.meta(experiment)
        lineage.note(experiment.key, {**meta, "torch": meta.get("packages", {}).get("torch", "")})
        return xr.load_dataset(self.path(experiment) / "record.nc", engine="h5netcdf")

    def publish(self, experiment: Experiment, record: xr.Dataset, meta: dict) -> None:
        """Store a finished run in one move and forget its unfinished state. A second copy of a done run is dropped."""
        temporary = self.folder / f".{experiment.key}.{uuid.uuid4().hex}"
        temporary.mkdir(parents=True)
        try:
            (temporary / "spec.json").write_text(to_json(experiment))
            compressed = {name: {"zlib": True} for name, values in record.data_vars.items() if values.ndim}
            record.to_netcdf(temporary / "record.nc", engine="h5netcdf", encoding=compressed)
            known = {**meta, "source": origin.digest(experiment), "origin": origin.origin(experiment)}
            (temporary / "meta.json").write_text(json.dumps(known, indent=1))
            (temporary / "DONE").touch()
            seals.seal_folder(temporary)
            for file in temporary.iterdir():
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
            if self._heal(experiment) and not self.is_done(experiment):
                old = self.folder / f".{experiment.key}.{uuid.uuid4().hex}"
                os.rename(self.path(experiment), old)
                shutil.rmtree(old, ignore_errors=True)
            with contextlib.suppress(FileExistsError, OSError):
                os.rename(temporary, self.path(experiment))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        if not self.is_done(experiment):
            raise OSError(f"could not move the run {experiment.key} into {self.folder}; is the disk writable?")
        shutil.rmtree(self.work_path(experiment), ignore_errors=True)

    def _heal(self, experiment: Experiment) -> bool:
        """Whether the run is there and whole; a damaged one is named and set aside."""
        return files.heal(self.path(experiment), self.folder.parent if self.folder.name == "runs" else self.folder)

    def clean(self, older_than: float = 3600.0) -> None:
        """Remove what killed workers left half-written; nothing that counts is ever there."""
        for path in files.left_over(self.folder, older_than):
            shutil.rmtree(path, ignore_errors=True)

    # -- who works on what -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lease(self, experiments: Sequence[Experiment]) -> Iterator[list[Experiment]]:
        """Take the runs that are neither done nor taken, keep their heartbeat going, and give them back at the end."""
        owner = {"owner": uuid.uuid4().hex, "machine": _machine(), "pid": os.getpid(), "host": socket.gethostname()}
        taken = [experiment for experiment in experiments if self._take(experiment, owner)]
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(self.lease_seconds / 6):
                for experiment in taken:
                    with contextlib.suppress(OSError):
                        os.utime(self._lease_path(experiment))

        heart = threading.Thread(target=beat, daemon=True)
        heart.start()
        try:
            yield taken
        finally:
            stop.set()
            heart.join()
            for experiment in taken:
                self._give_back(experiment, owner)

    def _lease_path(self, experiment: Experiment) -> Path:
        return self.work_path(experiment) / "lease"

    def _take(self, experiment: Experiment, owner: dict) -> bool:
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):  # looking and taking is one step for all workers
            if self.is_done(experiment) or self.is_taken(experiment):
                return False
            self._heal(experiment)
            files.write_atomically(self.work_path(experiment) / "spec.json", to_json(experiment))
            files.write_atomically(self._lease_path(experiment), json.dumps(owner))
            (self.work_path(experiment) / "error").unlink(missing_ok=True)
            return True

    def _give_back(self, experiment: Experiment, owner: dict) -> None:
        with FileLock(self.folder / ".lock"), contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if json.loads(self._lease_path(experiment).read_text())["owner"] == owner["owner"]:
                self._lease_path(experiment).unlink()

    def is_taken(self, experiment: Experiment) -> bool:
        """Whether a living worker holds the run."""
        path = self._lease_path(experiment)
        try:
            lease, beat = json.loads(path.read_text()), path.stat().st_mtime
            gone = lease["machine"] == _machine() and not _alive(lease["pid"])
        except (OSError, ValueError, KeyError, TypeError):  # none, or one that nobody wrote like this
            return False
        if gone:
            return False
        return self._now() - beat < self.lease_seconds

    def _now(self) -> float:
        """The file system's own time: clocks of nodes differ."""
        probe = self.folder / f".now.{uuid.uuid4().hex}"
        try:
            probe.touch()
        except OSError:  # a store that one may only read
            return time.time()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink()

    # -- how far it is -----------------------------------------------------------------------------------------------

    def report(self, experiment: Experiment, steps: int) -> None:
        """Say how many updates of an unfinished run are done."""
        with contextlib.suppress(OSError):
            files.write_atomically(self.work_path(experiment) / "progress", str(steps))

    def steps_done(self, experiment: Experiment) -> int:
        """Updates done, as last reported."""
        if self.is_done(experiment):
            return experiment.steps
        try:
            return int((self.work_path(experiment) / "progress").read_text())
        except (OSError, ValueError):
            return 0

    def fail(self, experiment: Experiment, error: str) -> None:
        """Keep the text of an error that ended the run; the next worker tries again."""
        files.write_atomically(self.work_path(experiment) / "error", error)

    def error(self, experiment: Experiment) -> str:
        """The error that ended the run, or nothing."""
        try:
            return (self.work_path(experiment) / "error").read_text()
        except OSError:
            return ""

    def state(self, experiment: Experiment) -> str:
        """One of done, running, failed, interrupted, waiting."""
        if self.is_done(experiment):
            return "done"
        if self.is_taken(experiment):
            return "running"
        if self.error(experiment):
            return "failed"
        return "interrupted" if self.work_path(experiment).exists() else "waiting"

    def __iter__(self) -> Iterator[Experiment]:
        """All finished runs that are whole."""
        for path in sorted(self.folder.glob("*/DONE")):
            if seals.flaw(path.parent):
                continue
            yield from_fields(json.loads(path.with_name("spec.json").read_text()))


@cache
def _machine() -> str:
    """What must be equal for a process id to mean the same process: host, boot and process namespace."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except (OSError, IndexError):  # somebody else's process, or no /proc: it exists
        return True
    return state not in "ZX"  # a zombie was killed and its parent has not looked yet
