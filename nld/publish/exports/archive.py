"""The book as one file to keep: pages, PDF, notebooks, data, what each is, and what draws the figures again.

The zip opens by double click on `index.html` without a network; its README.txt says how the package in it is installed
and run. Two archives of one commit are the same bytes: files are sorted, dates are that of the release, and what
differs from run to run is left out. That is the wall time of each figure, which the pages of a build show, and what
`execute.make_reproducible` takes from a notebook.
"""

import hashlib
import io
import json
import re
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from nld.errors import Missing
from nld.publish.execution import chapter_cache
from nld.publish.execution.chapters import read_chapters
from nld.publish.exports.runs_behind import runs_behind
from nld.publish.exports.wheel import build_wheel
from nld.publish.pages import card
from nld.publish.rendering import render
from nld.results import seals, store, stored_results

MEDIA = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".js": "text/javascript",
    ".nc": "application/x-netcdf",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".whl": "application/zip",
}
LICENSES = {"code": "https://spdx.org/licenses/MIT", "text": "https://creativecommons.org/licenses/by/4.0/"}
LISTED = r"html/(figures/.*|book/[^/]*\.html)|runs/manifest\.json|(?!html/|runs/).*"  # what a person looks for
RECORDS = ("CITATION.cff", "LICENSE", "constraints.txt")


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
    year, month, day = map(int, str(record["date-released"]).split("-"))
    top = path.stem
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{top}/{name}", (year, month, day, 0, 0, 0))
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
        files[f"notebooks/{chapter.name}.ipynb"] = chapter_cache.notebook_path(root / ".nld", key).read_bytes()
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
    """The stored results, each found to be what its checksum says, with their checksums."""
    names = sorted(seals.read_sums(folder / seals.SUMS))
    files = {f"results/{name}": stored_results.whole(folder / name).read_bytes() for name in names}
    return {**files, f"results/{seals.SUMS}": (folder / seals.SUMS).read_bytes()}


def _without_wall_time(name: str, content: bytes) -> bytes:
    """A figure's record without the seconds it took, which no two runs share."""
    if name.endswith("/provenance.json"):
        return _json({**json.loads(content), "wall_seconds": None})
    if name.endswith("/provenance.js"):
        assignment, _, value = content.decode().rpartition("] = ")
        shown = {**json.loads(value.rstrip(";\n")), "wall_seconds": "left out of the archive"}
        return f"{assignment}] = {json.dumps(shown, ensure_ascii=False)};\n".encode()
    return content


def zenodo(record: dict) -> dict:
    """The record of the archive for Zenodo, from `CITATION.cff`."""
    return {
        "title": record["title"],
        "description": record["abstract"],
        "version": str(record["version"]),
        "upload_type": "software",
        "license": record["license"],
        "publication_date": str(record["date-released"]),
        "creators": [{"name": _name(author)} for author in record["authors"]],
        "keywords": record["keywords"],
        "related_identifiers": [
            {"identifier": record["repository-code"], "relation": "isSupplementTo", "scheme": "url"},
            *(
                {"identifier": identifier["value"], "relation": "isSupplementTo", "scheme": "arxiv"}
                for reference in record["references"]
                for identifier in reference.get("identifiers", ())
            ),
        ],
    }


def describe(files: dict[str, bytes], record: dict) -> dict:
    """RO-Crate 1.1 metadata: the files that a person looks for, and which run made each figure."""
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    version = str(record["version"])
    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms["sha256"] = "https://schema.org/sha256"  # younger than RO-Crate 1.1
    crate.name, crate.description = record["title"], record["abstract"]
    crate.datePublished = str(record["date-released"])
    crate.root_dataset["version"] = version
    crate.root_dataset["keywords"] = ", ".join(record["keywords"])

    def add(identifier: str, kind: str, **properties) -> Any:
        entity = ContextEntity(crate, identifier, {"@type": kind, **properties})
        crate.add(entity)
        return entity

    crate.root_dataset["license"] = add(LICENSES["text"], "CreativeWork", name="CC BY 4.0")
    crate.root_dataset["author"] = [
        add(f"#author-{number}", "Organization", name=_name(author))
        for number, author in enumerate(record["authors"], 1)
    ]
    add(record["repository-code"], "SoftwareSourceCode", name="nld", version=version, license=LICENSES["code"])
    names = [name for name in sorted(files) if re.fullmatch(LISTED, name)]
    for name in names:
        about = {
            "name": name.removeprefix("html/"),
            "encodingFormat": MEDIA.get(Path(name).suffix, "text/plain"),
            "contentSize": str(len(files[name])),
            "sha256": hashlib.sha256(files[name]).hexdigest(),
        }
        crate.add_file(dest_path=name, properties=about)
    for name in filter(re.compile(r".*/provenance\.json").fullmatch, names):
        origin, folder = json.loads(files[name]), name.rpartition("/")[0]
        parameters = json.dumps(origin["parameters"], sort_keys=True)
        add(
            f"#run-{origin['figure']}",
            "CreateAction",
            name=f"Computation of {origin['figure']} in the {origin['profile']} profile",
            description=f"parameters {parameters}, sources {origin['source_hash']}",
            instrument={"@id": record["repository-code"]},
            result=[{"@id": file} for file in names if file.startswith(f"{folder}/")],
        )
    return crate.metadata.generate()


def _name(author: dict) -> str:
    return author.get("name") or f"{author['family-names']}, {author['given-names']}"


def _json(value) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
