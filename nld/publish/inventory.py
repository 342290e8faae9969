"""What the store holds: which of it is damaged, and which of it nothing needs any more."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nld import figures
from nld.experiment.runs.run_store import RunStore
from nld.experiment.runs.spec import from_fields
from nld.figures.recording import figure_record
from nld.publish.execution import chapter_cache
from nld.publish.execution.chapters import read_chapters
from nld.results import seals, store, stored_results
from nld.results.provenance import packages

RUN = re.compile("[0-9a-f]{20}")  # name of the folder of a finished run
HOUR = 3600.0  # after which a file that nobody finished is a dead process's
UNFINISHED = (".part.ipynb", ".input.ipynb")


@dataclass(frozen=True)
class Stale:
    """An entry of the store that nothing current needs, and why."""

    path: Path
    reason: str

    @property
    def size(self) -> int:
        """Bytes that removing it frees."""
        files = self.path.rglob("*") if self.path.is_dir() else [self.path]
        return sum(file.lstat().st_size for file in files if not file.is_dir())


def entries(top: Path) -> Iterator[Path]:
    """Every finished entry below the root of a store: figures, runs, executed chapters, what pages show."""
    figures_and_runs = [*top.glob("figures/*/*/"), *(path for path in top.glob("runs/*/") if RUN.fullmatch(path.name))]
    notebooks = [path for path in top.glob("executed/*.ipynb") if not path.name.endswith(UNFINISHED)]
    paths = [*figures_and_runs, *notebooks, *top.glob("current/*.json")]
    yield from sorted(path for path in paths if not path.name.startswith("."))


def damaged(top: Path) -> list[tuple[Path, str]]:
    """Entries of a store that are not what was written, with what is wrong, in words."""
    return [(path, words) for path in entries(top) if (words := seals.flaw(path))]


def restore(top: Path, results: Path) -> Iterator[tuple[bool, str]]:
    """Bring damaged stored results back from the checkout's history: whether it worked, and a line about each.

    What lay there is kept below ``damaged/`` of the store ``top``.
    """
    flaws = stored_results.flaws(results)
    if flaws and flaws[0].path == results / seals.SUMS:  # without the checksums nothing is known of the others
        yield _restored(top, results, flaws[0])
        flaws = stored_results.flaws(results)
    for flaw in flaws:
        yield _restored(top, results, flaw)


def _restored(top: Path, results: Path, flaw: stored_results.Flaw) -> tuple[bool, str]:
    if not flaw.listed:
        return False, flaw.words
    path = flaw.path
    if path.exists():
        aside = top / "damaged" / path.relative_to(results.parent)
        aside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, aside)
    name = path.relative_to(results.parent).as_posix()
    command = ["git", "checkout", "HEAD", "--", name]
    try:
        said = subprocess.run(command, cwd=results.parent, capture_output=True, text=True).stderr.strip()
    except OSError as error:  # there is no git
        said = str(error)
    if path in [flaw.path for flaw in stored_results.flaws(results)]:
        return False, f"{path} is lost: {said or 'what the checkout holds is not what was listed either'}"
    return True, f"{path} was restored from the checkout"


def stale(top: Path, root: Path) -> list[Stale]:
    """What may be removed from the store ``top`` of the book in ``root``; never what is current."""
    chapters = read_chapters(root) if (root / "_toc.yml").exists() else []
    plans = [chapter_cache.Plan(chapter) for chapter in chapters if chapter.cells]
    plans += [chapter_cache.Plan(p.chapter, {"profile": "paper"}) for p in plans if "profile" in p.parameters]
    shown = [path for path in top.glob("current/*.json") if not seals.flaw(path)]
    keys = {plan.key for plan in plans} | {json.loads(path.read_text("utf-8"))["key"] for path in shown}
    copies = {chapter_cache.notebook_path(top, key) for key in keys}
    pictures = {
        folder for path in copies if not seals.flaw(path) for folder in chapter_cache.figures_of(top, path.stem)
    }
    executed = [path for path in entries(top) if path.parent == top / "executed"]
    return [
        *(Stale(path, "no page shows it") for path in executed if path not in copies),
        *_superseded_figures(top, pictures),
        *_superseded_runs(top),
        *(Stale(path, "its writer was killed") for path in _left_over(top)),
        *(Stale(path, "it was set aside") for path in sorted(top.glob("damaged/*"))),
    ]


def _whole(top: Path, folder: Path) -> Iterator[Path]:
    """The entries below a folder that are what was written; others wait for who needs them, or `nld store repair`."""
    return (path for path in entries(top) if path.is_relative_to(folder) and not seals.flaw(path))


def _superseded_figures(top: Path, shown: set[Path]) -> Iterator[Stale]:
    sources = {name: figure_record.source_hash(f"nld.figures.{name.replace('-', '_')}") for name in figures.names()}
    for path in _whole(top, top / "figures"):
        origin = json.loads((path / "provenance.json").read_text("utf-8"))
        current = origin["source_hash"] == sources.get(origin["figure"])
        current = current and figure_record.key(origin, packages(), origin["arithmetic"]) == path.name
        if not current and path not in shown:
            yield Stale(path, "its source or a package changed")


def _superseded_runs(top: Path) -> Iterator[Stale]:
    runs = RunStore(top / "runs")
    for path in _whole(top, runs.folder):
        meta = json.loads((path / "meta.json").read_text("utf-8"))
        try:
            experiment = from_fields(json.loads((path / "spec.json").read_text("utf-8")))
        except ValueError:  # a field that experiments no longer have
            yield Stale(path, "its source changed")
            continue
        if runs.is_superseded(experiment, meta):
            yield Stale(path, "its source or a package changed")


def _left_over(top: Path) -> Iterator[Path]:
    """Hidden folders and files, and notebooks of chapters that failed, in which nothing was written for an hour."""
    folders = [top, *(top / name for name in ("executed", "current", "runs", "logs")), *top.glob("figures/*/")]
    for folder in folders:
        yield from store.left_over(folder, HOUR)
        for path in sorted(folder.glob("*")):
            written = (path.name.startswith(".") and path.name != ".lock") or path.name.endswith(UNFINISHED)
            if written and path.is_file() and time.time() - path.stat().st_mtime > HOUR:
                yield path


def remove(entry: Stale) -> None:
    """Remove an entry and the lock beside it."""
    if entry.path.is_dir():
        shutil.rmtree(entry.path)
        entry.path.with_suffix(".lock").unlink(missing_ok=True)
    else:
        entry.path.unlink(missing_ok=True)
