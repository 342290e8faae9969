"""A scratch book: a checkout of its own with a few tiny chapters, built with the real command.

Its chapters write their name and process into ``trace`` when they run, an account of what
ran that does not pass through the code under test.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
HEADER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# {title}

Some prose.
"""
TRACE = """import os, pathlib
with open(os.environ["SCRATCH_TRACE"], "a") as trace:
    print("{name}", os.getpid(), file=trace)"""
# Runs until the file `go` appears, so that tests wait for events and never for a time; or until its book is gone,
# so that nothing is left of a test that was killed.
GATE = """import os, pathlib, time
trace = pathlib.Path(os.environ["SCRATCH_TRACE"])
while trace.parent.exists() and not trace.with_name("go").exists():
    time.sleep(0.02)"""
PARAMETERS = """seed = 0             # from 0 to 9999: first random seed
learning_rate = 0.1  # from 0.001 to 1, w²/ℓ: step size
start = "near"       # one of near, far: where it starts"""
DEADLINE = 120


@dataclass(frozen=True)
class Scratch:
    """A book in ``root``; with ``package``, it runs a copy of `nld` that a test may change."""

    root: Path
    package: bool = False

    def make(self, chapters: dict[str, list[str]]) -> "Scratch":
        """Write the table of contents, the configuration and the chapters (name to code cells)."""
        (self.root / "book").mkdir(parents=True)
        for file in ("_config.yml", "CITATION.cff"):
            shutil.copy(REPOSITORY / file, self.root)
        shutil.copytree(REPOSITORY / "book" / "_static", self.root / "book" / "_static")
        shutil.copy(REPOSITORY / "book" / "references.bib", self.root / "book")
        if self.package:
            shutil.copytree(REPOSITORY / "nld", self.root / "nld", ignore=shutil.ignore_patterns("__pycache__"))
        (self.root / "book" / "index.md").write_text("# Front\n\nNo code here.\n")
        for name, cells in chapters.items():
            self.write(name, *cells)
        self.contents(*chapters)
        return self

    def contents(self, *names: str) -> None:
        """Write `_toc.yml`: the front page and these chapters."""
        lines = ["format: jb-book", "root: book/index", *["chapters:"] * bool(names)]
        lines += [f"- file: book/{name}" for name in names]
        (self.root / "_toc.yml").write_text("\n".join(lines) + "\n")

    def write(self, name: str, *cells: str, prose: str = "") -> None:
        """Write a chapter: the first cell is the parameters cell; the second leaves the trace."""
        text = HEADER.format(title=name.title()) + prose
        for tags, source in (
            ("parameters", cells[0]),
            ("", TRACE.format(name=name)),
            *(("", source) for source in cells[1:]),
        ):
            text += "\n```{code-cell} ipython3\n" + (f":tags: [{tags}]\n" if tags else "") + source + "\n```\n"
        (self.root / "book" / f"{name}.md").write_text(text)

    def copy(self, root: Path) -> "Scratch":
        """The same book elsewhere, with what was executed but without its pages."""
        shutil.copytree(self.root, root, ignore=shutil.ignore_patterns("_build", "__pycache__", "trace"))
        return Scratch(root, self.package)

    @property
    def store(self) -> Path:
        return self.root / ".nld"

    @property
    def trace(self) -> Path:
        return self.root / "trace"

    def ran(self) -> list[str]:
        """Names of the chapters that ran since the last time this was asked, in order."""
        names = [line.split()[0] for line in self.trace.read_text().splitlines()] if self.trace.exists() else []
        self.trace.unlink(missing_ok=True)
        return names

    def kernels(self) -> list[int]:
        """Process numbers of the kernels that ran since the trace was last emptied."""
        return [int(line.split()[1]) for line in self.trace.read_text().splitlines()] if self.trace.exists() else []

    def start(self, *arguments: str, **options) -> subprocess.Popen:
        """Start `nld book build` with these arguments."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
        environment |= {
            "PYTHONPATH": str(self.root if self.package else REPOSITORY),
            "SCRATCH_TRACE": str(self.trace),
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
        }
        environment.pop("NLD_STORE", None)
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL, "text": True}
        # Whoever runs the tests in the background ignores interrupts, and a child would inherit that.
        settings["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        command = [sys.executable, "-m", "nld.cli", "book", "build", "--root", str(self.root), *arguments]
        return subprocess.Popen(command, env=environment, cwd=self.root, **{**settings, **options})

    def build(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        """Run `nld book build` to its end; ``stdout`` holds both streams."""
        process = self.start(*arguments, **options)
        output, _ = process.communicate(timeout=DEADLINE)
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def current(self, name: str) -> dict:
        """What the store says that the pages show for a chapter."""
        return json.loads((self.store / "current" / f"{name}.json").read_text())

    def executed(self, name: str) -> dict:
        """The executed notebook of a chapter."""
        return json.loads((self.store / "executed" / f"{self.current(name)['key']}.ipynb").read_text())

    def page(self, name: str) -> str:
        return (self.root / "_build" / "html" / "book" / f"{name}.html").read_text()


def printed(notebook: dict) -> str:
    """All text that a notebook's cells printed."""
    outputs = [out for cell in notebook["cells"] for out in cell.get("outputs", ())]
    return "".join("".join(out["text"]) for out in outputs if out["output_type"] == "stream")


def wait_for(condition: Callable, what: str):
    """Wait until ``condition()`` is true, and return its value; fail after two minutes."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {DEADLINE} s in vain for {what}")
