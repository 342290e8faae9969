"""`python -m benchmarks [NAME ...]`: run the modules of this folder and keep their tables in results/bench/.

A module defines ``table() -> list[dict]``: rows with the same keys, medians or ratios, never a single run.
"""

import csv
import importlib
import os
import pkgutil
import sys
import time
from pathlib import Path

from nld.results.provenance import provenance

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "results" / "bench"


def names() -> list[str]:
    """The benchmarks: every module here with a ``table``."""
    return sorted(
        module.name
        for module in pkgutil.iter_modules([str(FOLDER)])
        if not module.name.startswith("_") and "def table(" in (FOLDER / f"{module.name}.py").read_text("utf-8")
    )


def show(rows: list[dict]) -> str:
    """Rows as a plain table."""
    cells = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def keep(name: str, rows: list[dict]) -> Path:
    """Write results/bench/NAME.csv: comments with hardware and versions, then the table."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    origin = provenance()
    packages = ", ".join(f"{package} {version}" for package, version in origin["packages"].items())
    today = time.strftime("%Y-%m-%d", time.gmtime())
    path = RESULTS / f"{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        print(f"# {today}, nld {origin['nld_version']} {origin['commit']}", file=file)
        print(f"# {origin['device']}, {os.cpu_count()} cores, Python {origin['python']}, {packages}", file=file)
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({key: _text(value) for key, value in row.items()} for row in rows)
    return path


def _text(value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main(chosen: list[str]) -> int:
    """Run the chosen benchmarks, or all."""
    unknown = set(chosen) - set(names())
    if unknown:
        print(f"expected names among {', '.join(names())}; got {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    for name in chosen or names():
        print(f"\n{name}", flush=True)
        rows = importlib.import_module(f"benchmarks.{name}").table()
        print(show(rows), flush=True)
        print(f"kept in {keep(name, rows).relative_to(FOLDER.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
