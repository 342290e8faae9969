"""How long a build takes, cold and warm, and how much a page weighs.

Measured on a copy of the checkout in a temporary folder, so that nothing of the caller's is touched.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("nld", "book", "_config.yml", "_toc.yml", "CITATION.cff", "constraints.txt", "results", "tests")
REPEATS = 5


def table() -> list[dict]:
    """Rows: what, measured, unit, limit."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif (ROOT / name).exists():
                shutil.copy(ROOT / name, root)
        rows = [_row("cold build of the whole book", _build(root), "s", 300)]
        rows.append(_row("rebuild, nothing changed", _median(lambda: _build(root)), "s", 8))
        chapter = root / "book" / "symmetry-of-the-loss.md"
        rows.append(_row("rebuild, one chapter changed", _median(lambda: _change_and_build(root, chapter), 3), "s", ""))
        weights = {page.relative_to(root / "_build" / "html"): weight(page) for page in _pages(root)}
        heaviest = max(weights, key=lambda page: weights[page])
        rows.append(_row(f"heaviest page without shared files: {heaviest}", weights[heaviest] / 1e3, "KB", 300))
        rows.append(_row("median page without shared files", statistics.median(weights.values()) / 1e3, "KB", 300))
    rows.append(_row("import nld, over an empty interpreter", _import_seconds(), "s", 0.3))
    return rows


def _row(what: str, measured: float, unit: str, limit) -> dict:
    return {"what": what, "measured": float(measured), "unit": unit, "limit": limit}


def _median(measure, repeats: int = REPEATS) -> float:
    return statistics.median(measure() for _ in range(repeats))


def _build(root: Path) -> float:
    started = time.perf_counter()
    command = [sys.executable, "-m", "nld.cli", "book", "build", "--root", str(root)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _change_and_build(root: Path, chapter: Path) -> float:
    text = chapter.read_text("utf-8")
    last = text.rindex("```{code-cell}")
    start = text.index("\n```", last)
    chapter.write_text(f"{text[:start]}\n# changed {time.time_ns()}{text[start:]}", "utf-8")
    return _build(root)


def _import_seconds() -> float:
    def seconds(code: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
        return time.perf_counter() - started

    return _median(lambda: seconds("import nld") - seconds("pass"), 11)


def _pages(root: Path) -> list[Path]:
    return sorted((root / "_build" / "html" / "book").rglob("*.html"))


class _Loaded(HTMLParser):
    """Addresses of what a page loads when it is opened in one mode: it and the light drawings."""

    def __init__(self):
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("img", "script") and given.get("src") and "nld-dark" not in (given.get("class") or ""):
            self.found.add(given["src"])
        if tag == "link" and given.get("rel") == "stylesheet":
            self.found.add(given.get("href", ""))


def weight(page: Path) -> int:
    """Bytes of a page and of what it loads beyond `_static`, which all pages share."""
    text = page.read_text("utf-8")
    parser = _Loaded()
    parser.feed(text)
    local = (re.sub(r"[?#].*", "", address) for address in parser.found if ":" not in address)
    files = {(page.parent / address).resolve() for address in local}
    own = (file.stat().st_size for file in files if "_static" not in file.parts and file.is_file())
    return page.stat().st_size + sum(own)
