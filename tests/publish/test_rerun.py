"""What runs again after a change, and what does not."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.publish.scratch import PARAMETERS, printed

slow = pytest.mark.slow


def replace_in(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_built_pages_show_what_the_cells_printed(built):
    assert "seed 0 rate 0.1 near" in built.page("plain")
    assert 'id="fig-toy"' in built.page("picture")
    assert "Changed parameters" not in built.page("plain")
    files = {path.name for path in (built.root / "_build" / "html" / "figures" / "fig-toy").iterdir()}
    assert files >= {"figure.svg", "figure-dark.svg", "figure.pdf", "figure.png", "data.nc", "provenance.json"}


def test_nothing_runs_when_nothing_changed(book):
    result = book.build("--no-html", "--why")
    assert result.returncode == 0
    assert book.ran() == []
    assert "0 chapters to run, 3 unchanged" in result.stdout
    assert len(re.findall("nothing changed", result.stdout)) == 3


def test_prose_alone_runs_nothing(book):
    replace_in(book.root / "book" / "plain.md", "Some prose.", "Other prose.")
    assert book.build("--no-html").returncode == 0
    assert book.ran() == []


@pytest.mark.parametrize(
    ("file", "old", "new", "chapter", "reason"),
    [
        pytest.param("book/plain.md", "'seed', seed", "'SEED', seed", "plain", "cell 3 changed", marks=slow),
        pytest.param("book/plain.md", "seed = 0 ", "seed = 5 ", "plain", "parameter seed changed", marks=slow),
        ("nld/toy_a.py", "3", "4", "reaching", "module nld.toy_a changed"),
        pytest.param("nld/figures/fig_toy.py", "A toy.", "Any.", "picture", "fig_toy changed", marks=slow),
        pytest.param(
            "nld/figures/_render/nld.mplstyle", "\n", "\n# a\n", "picture", "nld.mplstyle changed", marks=slow
        ),
    ],
)
def test_a_change_reruns_only_the_chapter_that_reaches_it(book, file, old, new, chapter, reason):
    replace_in(book.root / file, old, new)
    result = book.build("--no-html", "--why")
    assert result.returncode == 0
    assert book.ran() == [chapter]
    (line,) = [line for line in result.stdout.splitlines() if re.match(rf"\d\d {chapter}:", line)]
    assert reason in line
    assert result.stdout.count("nothing changed") == 2


def test_force_runs_what_was_asked_for_and_writes_the_same_bytes(book):
    notebook = book.store / "executed" / f"{book.current('plain')['key']}.ipynb"
    before = notebook.read_bytes()
    notebook.unlink()
    result = book.build("--no-html", "--chapter", "plain", "--force", "--why")
    assert notebook.read_bytes() == before
    assert book.ran() == ["plain"]
    assert "plain: --force" in result.stdout


@pytest.mark.slow
def test_constraints_and_a_lost_figure_are_reasons(book):
    (book.root / "constraints.txt").write_text("numpy==2.0.0\n")
    result = book.build("--no-html", "--chapter", "plain", "--why")
    assert book.ran() == ["plain"]
    assert "constraints.txt changed" in result.stdout
    (book.root / "constraints.txt").unlink()
    shutil.rmtree(book.store / "figures")
    result = book.build("--chapter", "plain")  # a page that lacks its figure is one that was not executed
    assert result.returncode == 0, result.stdout
    assert 'id="fig-toy"' not in book.page("picture")
    result = book.build("--no-html", "--why")
    assert book.ran() == ["picture"]  # the first run of plain is still in the store
    assert "its executed copy or a figure of it is gone" in result.stdout


@pytest.mark.parametrize(
    "damage", [b'{"cells": [', pytest.param(b"", marks=slow), pytest.param(b"\xff\xfe", marks=slow)]
)
def test_a_damaged_copy_is_made_again(book, damage):
    path = book.store / "executed" / f"{book.current('plain')['key']}.ipynb"
    path.write_bytes(damage)
    (book.store / "current" / "reaching.json").write_bytes(damage)
    result = book.build("--no-html")
    assert result.returncode == 0, result.stdout
    assert book.ran() == ["plain"]
    assert "seed 0" in printed(book.executed("plain"))
    assert book.current("reaching")["changed"] == {}


def test_a_value_equal_to_the_default_changes_nothing(book):
    result = book.build("--no-html", "--chapter", "plain", "-p", "seed", "0", "-p", "learning_rate", "1e-1")
    assert result.returncode == 0
    assert book.ran() == []


def test_a_parameter_reaches_the_cells_with_its_type(book):
    result = book.build("--no-html", "--chapter", "01", "-p", "learning_rate", "1", "-p", "start", "far")
    assert result.returncode == 0
    assert "seed 0 rate 1.0 far" in printed(book.executed("plain"))
    assert book.current("plain")["changed"] == {"learning_rate": 1.0, "start": "far"}
    assert PARAMETERS.splitlines()[0] in (book.root / "book" / "plain.md").read_text()


@pytest.mark.slow
def test_jupyter_book_alone_shows_what_was_executed(book):
    command = [
        sys.executable,
        "-c",
        "from jupyter_book.cli.main import main; main()",
        "build",
        ".",
        "--all",
        "-n",
        "-W",
    ]
    environment = {**os.environ, "PYTHONPATH": str(book.root)}
    result = subprocess.run(command, cwd=book.root, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "seed 0 rate 0.1 near" in book.page("plain")
    assert book.ran() == []


@pytest.mark.slow
def test_two_builds_from_nothing_give_equal_pages(book):
    def pages():
        shutil.rmtree(book.store)
        shutil.rmtree(book.root / "_build", ignore_errors=True)  # over an old one, myst-nb adds a checksum to a link
        assert book.build("--jobs", "2").returncode == 0
        html = book.root / "_build" / "html"
        return {path.relative_to(html): path.read_bytes() for path in html.rglob("*.html")}

    first = pages()
    assert len(first) > 4
    assert pages() == first
