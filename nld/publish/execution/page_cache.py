"""Whether the pages still are what a render would write, so that an unchanged book is not rendered again.

A stale page is worse than a slow build. So the whole checkout counts, not only what pages are known to read; files
are compared by content; the pages themselves are compared with what was written; and whatever cannot be read is a
reason to render. The record of a render lies beside the pages, and is absent while they are written.
"""

import json
import os
import site
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

from nld.publish.execution import chapter_cache
from nld.publish.execution.chapters import Chapter
from nld.results import seals, store
from nld.results.places import PACKAGE

# What commands and installers write; hidden folders and virtual environments are known by their kind.
BUILT = {"_build", "dist", "node_modules", "__pycache__"}
# What Sphinx, its extensions and Python heed of the environment.
VARIABLES = ("PYTHON", "NLD_", "SPHINX", "DOCUTILS", "READTHEDOCS", "SOURCE_DATE_EPOCH", "LANG", "LC_", "TZ")


def ingredients(root: Path, folder: Path, chapters: list[Chapter]) -> dict[str, str]:
    """Everything the pages of the book in ``root``, with its store in ``folder``, depend on, by names for a person."""
    parts = {"folder of the book": str(root), "python": f"{sys.version} {sys.executable}"}
    parts |= {path.relative_to(root).as_posix(): _hash(path) for path in _sources(root)}
    if not PACKAGE.is_relative_to(root):
        parts |= {f"nld in {path}": _hash(path) for path in _sources(PACKAGE)}
    parts |= {f"outputs of {chapter.name}": _outputs(folder, chapter) for chapter in chapters if chapter.cells}
    parts |= {f"package {name}": stamp for name, stamp in _packages()}
    parts |= {f"variable {name}": text for name, text in os.environ.items() if name.startswith(VARIABLES)}
    return parts


def why(root: Path, now: dict[str, str], strict: bool) -> list[str]:
    """Why the pages have to be rendered, in words; empty when they are what a render of ``now`` would write.

    Strict: a warning counts as an error, also one of the last render.
    """
    try:
        record = json.loads(_record(root).read_text("utf-8"))
        before, written, was_strict = record["ingredients"], record["pages"], record["strict"]
    except FileNotFoundError:
        return ["there is no record of a finished render"]
    except (OSError, ValueError, KeyError, TypeError):  # cut off, or somebody's edit
        return ["the record of the last render cannot be read"]
    if strict and not was_strict:
        return ["the last render was of chosen chapters, which let a warning pass"]
    return chapter_cache.differences(before, now) + chapter_cache.differences(written, _pages(root))


def remember(root: Path, now: dict[str, str], strict: bool) -> None:
    """Record that the pages as they lie there were rendered from ``now``, and whether without a warning (strict)."""
    record = {"strict": strict, "ingredients": now, "pages": _pages(root)}
    store.write_atomically(_record(root), json.dumps(record, indent=0, ensure_ascii=False))


def forget(root: Path) -> None:
    """Remove the record, before the pages change."""
    _record(root).unlink(missing_ok=True)


def _record(root: Path) -> Path:
    return root / "_build" / "rendered.json"


def _pages(root: Path) -> dict[str, str]:
    html = root / "_build" / "html"
    return {f"page {path.relative_to(html).as_posix()}": _hash(path) for path in _files(html)}


def _sources(root: Path) -> Iterator[Path]:
    """Files that a person wrote, in ``root`` and below; links to folders are followed once."""
    entered: set[str] = set()
    for where, folders, files in os.walk(root, followlinks=True):
        fresh = []
        for name in sorted(folders):
            place = os.path.realpath(Path(where, name))
            if place not in entered and not _is_built(Path(where, name)):
                entered.add(place)
                fresh.append(name)
        folders[:] = fresh  # os.walk enters these
        yield from (Path(where, name) for name in sorted(files) if not name.startswith("."))


def _is_built(folder: Path) -> bool:
    return folder.name in BUILT or folder.name.startswith(".") or (folder / "pyvenv.cfg").exists()


def _files(folder: Path) -> Iterator[Path]:
    for where, _, files in os.walk(folder):
        yield from (Path(where, name) for name in files)


def _outputs(folder: Path, chapter: Chapter) -> str:
    """Hash of what a page takes from the store: the changed parameters, the executed copy and its figures' files."""
    shown = chapter_cache.current(folder, chapter)
    if not shown:
        return "none"
    try:
        path = chapter_cache.notebook_path(folder, shown["key"])
        figures = chapter_cache.figures_of(folder, shown["key"])
        files = [path, *(file for figure in figures for file in sorted(_files(figure)))]
        return store.content_key([shown["changed"], *((str(file.relative_to(folder)), _hash(file)) for file in files)])
    except (OSError, ValueError, KeyError, TypeError):
        return _unreadable()


def _packages() -> Iterator[tuple[str, str]]:
    """Each installed distribution with the moment of its installation: a package may change under one version."""
    places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages()}
    for place in sorted(places | set(os.environ.get("PYTHONPATH", "").split(os.pathsep)) - {""}):
        for info in sorted(Path(place).glob("*.*-info")):
            yield info.name, str(info.stat().st_mtime_ns)


def _hash(path: Path) -> str:
    try:
        if not path.is_file() and path.exists():
            return "neither a file nor a folder"  # a pipe, which would keep its reader waiting
        return seals.digest(path)[:16]
    except OSError:
        return _unreadable()


def _unreadable() -> str:
    """A value that equals no other, so that the pages are rendered."""
    return f"unreadable at {time.time_ns()}"
