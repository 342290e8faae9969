"""Pages are rendered when anything they depend on changed, or they themselves did, and only then.

The laws run on a small book with a renderer that only joins the sources.
"""

import io
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from nld.publish.execution import build, page_cache
from nld.publish.execution.build import Options
from nld.publish.execution.chapters import read_chapters
from nld.results import seals


def sealed(record) -> str:
    return seals.seal_text(json.dumps({**record, seals.MEMBER: seals.BLANK}))


def notebook(cells) -> str:
    return sealed({"cells": cells, "metadata": {"nld": {"figures": ["figures/fig-x/f"]}}})


FILES = {
    "_config.yml": "title: A book\n",
    "_toc.yml": "format: jb-book\nroot: book/index\nchapters:\n- file: book/picture\n",
    "CITATION.cff": "title: A book\n",
    "constraints.txt": "numpy==2\n",
    "book/index.md": "# Front\n",
    "book/picture.md": "# Picture\n\n```{code-cell}\nshow()\n```\n",
    "book/references.bib": "",
    "book/_static/nld.css": "p {}\n",
    "book/_templates/layout.html": "<p>",
    "nld/publish/pages/card.py": "",
    "results/reference/fig-x.nc": "numbers",
    "README.md": "read me",
    ".nld/current/picture.json": sealed({"key": "k", "changed": {}}),
    ".nld/executed/k.ipynb": notebook([]),
    ".nld/figures/fig-x/f/provenance.json": "{}",
    ".nld/figures/fig-x/f/figure.svg": "<svg>",
    ".nld/figures/fig-x/other/figure.svg": "<svg>",
}


class Book:
    """A book in ``root`` and an account of its renders."""

    def __init__(self, root: Path):
        self.root, self.renders, self.during, self.warned = root, 0, lambda: True, False
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name: str, text: str):
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def render(self, root, folder, strict, out) -> tuple[bool, bool]:
        self.renders += 1
        shutil.rmtree(root / "_build" / "html", ignore_errors=True)
        for path in (root / "book").glob("*.md"):
            self.write(f"_build/html/book/{path.stem}.html", path.read_text())
        return self.during(), self.warned

    def update(self, *chapters: str, failed: int = 0, **options) -> bool:
        """Whether the pages were rendered."""
        before, self.said = self.renders, io.StringIO()
        asked = Options(chapters=chapters, why=True, **options)
        chapters_of_book = read_chapters(self.root)
        self.good = build.update_pages(self.root, self.root / ".nld", chapters_of_book, failed, asked, self.said)
        return self.renders > before


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Book:
    """A rendered book."""
    package = tmp_path / "installed" / "nld"
    package.mkdir(parents=True)
    (package / "card.py").write_text("")
    (tmp_path / "site" / "theme-1.0.dist-info").mkdir(parents=True)
    monkeypatch.setattr(page_cache, "PACKAGE", package)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    book = Book(tmp_path / "book")
    monkeypatch.setattr(build, "render", book.render)
    assert book.update()
    assert book.good
    return book


def edited(name):
    def change(root, monkeypatch):
        path, times = root / name, os.stat(root / name)
        text = path.read_text()
        path.write_text(text[:-1] + chr(ord(text[-1]) ^ 1) if text else " ")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a checkout or a copy may leave it

    return change


def written(name, text="new"):
    return lambda root, monkeypatch: (root / name).write_text(text)


def removed(name):
    return lambda root, monkeypatch: (root / name).unlink()


CHANGES = {
    **{f"{name} edited": edited(name) for name in FILES if not name.startswith((".nld/current", "_toc", ".nld/ex"))},
    "file of a page added": written("book/_static/new.js"),
    "file of a page removed": removed("book/_static/nld.css"),
    "table of contents": written("_toc.yml", "format: jb-book\nroot: book/index\n"),
    "other parameters": written(".nld/current/picture.json", sealed({"key": "k", "changed": {"seed": 7}})),
    "executed copy": written(".nld/executed/k.ipynb", notebook([1])),
    "executed copy gone": removed(".nld/executed/k.ipynb"),
    "executed copy cut off": edited(".nld/executed/k.ipynb"),
    "nothing executed": removed(".nld/current/picture.json"),
    "file of a figure added": written(".nld/figures/fig-x/f/data.nc"),
    "nld outside the checkout": edited("../installed/nld/card.py"),
    "package installed again": lambda root, monkeypatch: os.utime(root.parent / "site/theme-1.0.dist-info", (1, 1)),
    "package of another version": lambda root, monkeypatch: (root.parent / "site/theme-1.0.dist-info").rename(
        root.parent / "site/theme-1.1.dist-info"
    ),
    "another python": lambda root, monkeypatch: monkeypatch.setattr(sys, "version", "3.99"),
    "date of the build": lambda root, monkeypatch: monkeypatch.setenv("SOURCE_DATE_EPOCH", "0"),
    "page edited": edited("_build/html/book/index.html"),
    "page removed": removed("_build/html/book/index.html"),
    "page added": written("_build/html/book/stray.html"),
    "no pages": lambda root, monkeypatch: shutil.rmtree(root / "_build"),
    "record gone": removed("_build/rendered.json"),
    "record cut off": lambda root, monkeypatch: os.truncate(root / "_build/rendered.json", 99),
    "record of something else": written("_build/rendered.json", "[]"),
}


del CHANGES[".nld/figures/fig-x/other/figure.svg edited"]  # no page shows it


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_each_change_alone_renders_the_pages_once(shelf, change, monkeypatch):
    assert not shelf.update()
    change(shelf.root, monkeypatch)
    assert shelf.update()
    assert "nothing changed" not in shelf.said.getvalue()
    for page in ("index", "picture"):
        source = (shelf.root / f"book/{page}.md").read_text()
        assert (shelf.root / f"_build/html/book/{page}.html").read_text() == source
    assert not (shelf.root / "_build/html/book/stray.html").exists()
    unknown = change in (CHANGES["executed copy gone"], CHANGES["executed copy cut off"])
    assert shelf.update() == unknown


@pytest.mark.parametrize(
    "name",
    [
        ".git/index",
        ".venv/lib/x.py",
        "nld/__pycache__/card.pyc",
        "dist/nld.zip",
        "_build/book.pdf",
        "_build/singlehtml/print.html",
        "book/.page.md.swp",
        ".nld/executed/another.ipynb",
        ".nld/figures/fig-x/other/figure.svg",
        ".nld/logs/jupyter-book.log",
    ],
)
def test_what_no_page_shows_renders_nothing(shelf, name):
    shelf.write(name, "other")
    assert not shelf.update()
    assert "pages: nothing changed" in shelf.said.getvalue()
    assert "up to date" in shelf.said.getvalue()


def test_a_virtual_environment_and_a_link_back_are_passed_over(shelf):
    shelf.write("env/pyvenv.cfg", "")
    shelf.write("env/lib/big.py", "")
    (shelf.root / "book" / "loop").symlink_to(shelf.root / "book")
    os.mkfifo(shelf.root / "book" / "pipe")
    assert shelf.update()  # link and pipe are new
    assert not shelf.update()
    shelf.write("env/lib/big.py", "other")
    assert not shelf.update()


def test_what_is_reached_through_a_link_counts(shelf):
    shelf.write("../elsewhere/part.md", "one")
    (shelf.root / "book" / "parts").symlink_to(shelf.root.parent / "elsewhere")
    assert shelf.update()
    shelf.write("../elsewhere/part.md", "two")
    assert shelf.update()
    assert "book/parts/part.md changed" in shelf.said.getvalue()
    (shelf.root / "book" / "broken").symlink_to("nowhere")
    assert shelf.update()
    assert shelf.update()  # it cannot be read, so nobody knows


def test_pages_rendered_with_warnings_do_not_serve_a_whole_build(shelf):
    assert not shelf.update("picture")
    edited("book/index.md")(shelf.root, None)
    shelf.warned = True
    assert shelf.update("picture")
    assert not shelf.update("picture")
    shelf.warned = False
    assert shelf.update()
    assert "let a warning pass" in shelf.said.getvalue()
    assert not shelf.update()


def test_pages_of_chosen_chapters_rendered_without_a_warning_serve_a_whole_build(shelf):
    edited("book/index.md")(shelf.root, None)
    assert shelf.update("picture")
    assert not shelf.update()


def test_force_renders_and_a_failed_chapter_leaves_no_record(shelf):
    assert shelf.update(force=True)
    assert not shelf.update()
    assert shelf.update(failed=1)
    assert shelf.update()
    assert "no record of a finished render" in shelf.said.getvalue()


def test_a_failed_or_interrupted_render_is_made_again(shelf):
    def interrupt():
        raise KeyboardInterrupt

    edited("book/index.md")(shelf.root, None)
    shelf.during = lambda: False
    assert shelf.update()
    assert not shelf.good
    shelf.during = interrupt
    with pytest.raises(KeyboardInterrupt):
        shelf.update()
    shelf.during = lambda: True
    assert shelf.update()
    assert not shelf.update()


def test_an_edit_during_the_render_renders_again(shelf):
    shelf.during = lambda: edited("book/index.md")(shelf.root, None) or True
    assert shelf.update(force=True)
    shelf.during = lambda: True
    assert shelf.update()
    assert not shelf.update()
