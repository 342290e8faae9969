"""What `make bench` measured, as pages show it: tables of results/bench/, on the machine that they name."""

import csv
from collections.abc import Sequence
from pathlib import Path

from nld.errors import Missing
from nld.results.places import ROOTS
from nld.table import Table


def table(name: str, columns: Sequence[str]) -> Table:
    """Some columns of a benchmark's table.

    Args:
        name: of the benchmark.
        columns: their names.

    Raises:
        nld.errors.Missing: it was not run.
    """
    rows = csv.DictReader(line for line in _lines(name) if not line.startswith("#"))
    return Table(tuple(columns), tuple(tuple(row[column] for column in columns) for row in rows))


def where(name: str) -> str:
    """When a benchmark was run, with which version, and on what: the first words of its two comments."""
    run, machine = (line.lstrip("# ").strip() for line in _lines(name)[:2])
    return f"{run.split(',')[0]} on {machine.split(', Python')[0]}"


def _lines(name: str) -> list[str]:
    paths = [root / "results" / "bench" / f"{name}.csv" for root in ROOTS]
    path: Path | None = next((path for path in paths if path.exists()), None)
    if path is None:
        raise Missing(f"expected the table of a benchmark at {paths[0]}, found none: python -m benchmarks {name}")
    return path.read_text("utf-8").splitlines()
