"""The book as one file to keep: pages, PDF, notebooks, data, what each is, and what draws the figures again.

The zip opens by double click on `index.html` without a network; its README.txt says how the package in it is installed
and run. Two archives of one commit are the same bytes: files are sorted, dates are that of the release, and what
differs from run to run is left out. That is the wall time of each figure, which the pages of a build show, and what
`execute.make_reproducible` takes from a notebook.
"""

import calendar
import hashlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from datetime import date
from pathlib import Path

import yaml

from nld.errors import Damaged, Missing, ToolError
from nld.publish.execution import chapter_cache
from nld.publish.execution.chapters import read_chapters
from nld.publish.exports.archive_record import describe, zenodo
from nld.publish.pages import card, linked_data
from nld.publish.rendering import render
from nld.results import seals, store, stored_results

RECORDS = ("CITATION.cff", "LICENSE", "constraints.txt")
LIMIT = 60_000_000  # bytes of records of runs; beyond, they stay out and the manifest says so
KEPT = ("spec.json", "record.nc")  # of a run; the rest says when and how long, which no two runs share
MANIFEST = "runs/manifest.json"


def write_archive(root: Path, pdf: Path, path: Path) -> None:
    """Pack the built book in ``root`` and its PDF into the zip ``path``, whole or not at all.

    Raises:
        Missing: a chapter has not run, or a file that belongs into the archive is not there.
        Damaged: a stored result or a run is not what was written.
        ToolError: the package cannot be packed.
    """
    record = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    files = collect(root, pdf, record)
    files["ro-crate-metadata.json"] = _json(describe(files, record))
    sums = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    files["SHA256SUMS"] = sums.encode()
    released = date.fromisoformat(str(record["date-released"]))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{path.stem}/{name}", released.timetuple()[:6])
            entry.external_attr, entry.create_system = 0o100644 << 16, 3
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    store.write_atomically(path, packed.getvalue())


def differences(one: Path, other: Path) -> list[str]:
    """Names of the files that two archives do not share, or do not hold alike; none if the archives are equal."""
    with zipfile.ZipFile(one) as first, zipfile.ZipFile(other) as second:
        held = [{entry.filename: (entry.CRC, entry.file_size) for entry in each.infolist()} for each in (first, second)]
    return sorted(name for name in held[0].keys() | held[1].keys() if held[0].get(name) != held[1].get(name))


def collect(root: Path, pdf: Path, record: dict) -> dict[str, bytes]:
    """Contents of every file of the archive but its records of itself, by name."""
    files = _pages(root / "_build" / "html")
    origins = [json.loads(content) for name, content in files.items() if name.endswith("/provenance.json")]
    chapters = read_chapters(root)
    for chapter in (chapter for chapter in chapters if chapter.cells):
        key = chapter_cache.current(root / ".nld", chapter).get("key")
        if not key:
            raise Missing(f"expected chapter {chapter.name} to have run, found no copy of it; nld book build")
        content = chapter_cache.notebook_path(root / ".nld", key).read_bytes()
        files[f"notebooks/{chapter.name}.ipynb"] = content
        files |= {f"{chapter.name}.jsonld": _json(found) for found in linked_data.found_in(content)}
    files |= runs_behind(root / ".nld", origins) | _results(root / "results")
    files |= {name: (root / name).read_bytes() for name in RECORDS}
    wheel, content = build_wheel(root, date.fromisoformat(str(record["date-released"])))
    files[wheel] = content
    readme = render("readme.txt", title=record["title"], version=record["version"], wheel=wheel)
    files["README.txt"] = readme.encode()
    files["book.pdf"] = pdf.read_bytes()
    # It is left at once; an icon that is still being loaded then would be a request that failed.
    front = render("front_door.html", title=record["title"], page=f"html/{chapters[0].document}.html", icon="data:,")
    files["index.html"] = front.encode()
    files[".zenodo.json"] = _json(zenodo(record))
    return files


def _pages(html: Path) -> dict[str, bytes]:
    """The pages with all files of their figures."""
    files = {}
    for path in html.rglob("*"):
        name = f"html/{path.relative_to(html).as_posix()}"
        if path.is_file() and "/." not in name:
            files[name] = _without_wall_time(name, path.read_bytes())
    for folder in (name.rpartition("/")[0] for name in list(files) if name.endswith("/provenance.json")):
        for file in card.FILES.values():
            if f"{folder}/{file}" not in files:
                raise Missing(f"expected {html.parent / folder / file}, found none")
    return files


def _results(folder: Path) -> dict[str, bytes]:
    """The stored results, each found to be what its checksum says, with their checksums; timings, which have none."""
    names = sorted(seals.read_sums(folder / seals.SUMS))
    files = {f"results/{name}": stored_results.whole(folder / name).read_bytes() for name in names}
    unlisted = [path for place in sorted(stored_results.UNLISTED) for path in sorted((folder / place).glob("*.csv"))]
    files |= {f"results/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in unlisted}
    return {**files, f"results/{seals.SUMS}": (folder / seals.SUMS).read_bytes()}


def runs_behind(top: Path, origins: list[dict], limit: int = LIMIT) -> dict[str, bytes]:
    """Files below runs/ by name: each run once, and a manifest that says which figures rest on it.

    Args:
        top: root of the store.
        origins: the provenance of each figure.
        limit: when all records together have more bytes, only what was run is kept.

    Raises:
        nld.errors.Damaged: a run is not there, or not what was written.
    """
    figures: dict[str, list[str]] = {}
    for origin in sorted(origins, key=lambda each: each["figure"]):
        for run in origin.get("runs", ()):
            figures.setdefault(run["key"], []).append(origin["figure"])
    files: dict[str, bytes] = {}
    for key, names in sorted(figures.items()):
        folder = top / "runs" / key
        if flaw := seals.flaw(folder) if folder.is_dir() else f"{folder} is missing":
            places = " ".join(str(top / "figures" / name) for name in names)
            raise Damaged(f"{flaw}; it is a run behind {', '.join(names)}: remove {places} and run the command again")
        files |= {f"runs/{key}/{name}": (folder / name).read_bytes() for name in KEPT}
    records = {key: len(files[f"runs/{key}/record.nc"]) for key in figures}
    total = sum(records.values())
    if total > limit:
        files = {name: content for name, content in files.items() if not name.endswith("/record.nc")}
    manifest = {
        "what": "Runs behind the figures: runs/KEY/spec.json says what was run, runs/KEY/record.nc what came out.",
        "records": "left out, together larger than the limit" if total > limit else "all here",
        "bytes": total,
        "limit": limit,
        "runs": {key: {"figures": figures[key], "bytes": records[key]} for key in sorted(figures)},
    }
    return files | {MANIFEST: _json(manifest)}


def build_wheel(root: Path, released: date) -> tuple[str, bytes]:
    """Name and content of the wheel of the checkout in ``root``; all files in it get the date ``released``.

    Raises:
        ToolError: hatchling is not installed, or it fails; the message says why.
    """
    if importlib.util.find_spec("hatchling") is None:
        advice = 'pip install -c constraints.txt -e ".[archive]"'
        raise ToolError(f"expected hatchling, which packs nld, found none; install it: {advice}")
    seconds = calendar.timegm(released.timetuple())
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(seconds)}
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
            raise ToolError(f"hatchling cannot pack nld in {root}: {reason}")
        (wheel,) = Path(folder).glob("*.whl")
        return wheel.name, wheel.read_bytes()


def _without_wall_time(name: str, content: bytes) -> bytes:
    """A figure's record without the seconds it took, which no two runs share."""
    if name.endswith("/provenance.json"):
        return _json({**json.loads(content), "wall_seconds": None})
    if name.endswith("/provenance.js"):
        assignment, _, value = content.decode().rpartition("] = ")
        shown = {**json.loads(value.rstrip(";\n")), "wall_seconds": "left out of the archive"}
        return f"{assignment}] = {json.dumps(shown, ensure_ascii=False)};\n".encode()
    return content


def _json(value) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
