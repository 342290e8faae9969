"""The trained runs that the figures of the book rest on, to be kept with it: what was run, and its record."""

import json
from pathlib import Path

from nld.errors import Damaged
from nld.results import seals

LIMIT = 60_000_000  # bytes of records; beyond, they stay out and the manifest says so
KEPT = ("spec.json", "record.nc")  # the rest of an entry says when and how long, which no two runs share
MANIFEST = "runs/manifest.json"


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
    files[MANIFEST] = (json.dumps(manifest, indent=1) + "\n").encode()
    return files
