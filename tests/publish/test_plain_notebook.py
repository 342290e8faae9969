"""`nld notebook`: what the book alone understands becomes plain Markdown, and the result runs."""

import json
import os
import re
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from nld.cli import main
from nld.errors import UsageError
from nld.publish.execution.chapters import find_chapter, read_chapters
from nld.publish.exports.plain_notebook import plain_notebook
from tests.publish.scratch import REPOSITORY, Scratch

CHAPTERS = [chapter for chapter in read_chapters(REPOSITORY) if "## Exercises" in chapter.text]
# Colon fences, directives in backticks, roles and labels: what a plain Markdown reader would show as it is.
LEFT = re.compile(r":{3,}|`{3,}\{|\{[a-z][a-z:-]*\}`|^\([a-z0-9-]+\)=|\$\$[ \t]*\(eq-|myst_nb", re.MULTILINE)
PROSE = """
(a-label)=
## Words

By {cite:t}`tanaka2021noether`, {eq}`eq-a` holds in {doc}`other` as {numref}`fig-toy` shows;
see {ref}`the place <a-label>`.
It is {glue:text}`half` {cite:p}`tanaka2021noether,kingma2015adam`.

$$\\begin{aligned}
x = 1
\\end{aligned}$$ (eq-a)

::::{grid} 1 2
:gutter: 2

:::{grid-item-card} Card
:link: a-label
:link-type: ref
Inside a card.
:::
::::

:::{admonition} Exercise 1
:class: tip
Show that $x = 1$.

Twice.
:::

:::{dropdown} Solution
By {eq}`eq-a`.
:::
"""


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Scratch:
    book = Scratch(tmp_path_factory.mktemp("plain") / "book").make(
        {"other": ["seed = 0  # from 0 to 9: seed"], "words": ["seed = 0  # from 0 to 9: seed"]}
    )
    cells = [
        "half_of_seed = seed / 2",
        "from myst_nb import glue\n\nglue('half', f'{half_of_seed:.1f}', display=False)",
    ]
    book.write("words", "seed = 3  # from 0 to 9: seed", *cells, prose=PROSE)
    result = book.build("--no-html", "--chapter", "words")
    assert result.returncode == 0, result.stdout
    return book


def markdown(notebook) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_nothing_that_only_the_book_understands_is_left(chapter):
    notebook = plain_notebook(REPOSITORY, chapter)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not LEFT.search(cell.source), LEFT.search(cell.source)
    assert len(re.findall(r"\\tag\{", markdown(notebook))) == len(re.findall(r"\$\$[ \t]*\(eq-", chapter.text))
    assert markdown(notebook).count("<details>") == chapter.text.count(":::{dropdown}")


@pytest.mark.parametrize(
    "shown",
    [
        "By Tanaka and Kunin (2021), (1) holds in [Other](https://nld-book.github.io/nld/book/other.html)",
        "see [the place](https://nld-book.github.io/nld/book/words.html#a-label)",
        "It is 1.5 (Tanaka and Kunin, 2021; Kingma and Ba, 2015).",
        "\\end{aligned} \\tag{1}$$",
        "**Card.**\nInside a card.",
        "> **Exercise 1**\n>\n> Show that $x = 1$.\n>\n> Twice.",
        "<summary>Solution</summary>\n\nBy (1).\n\n</details>",
        "- Tanaka, Kunin (2021). Noether's Learning Dynamics",
    ],
)
def test_each_construct_becomes_plain(scratch, shown):
    chapter = find_chapter(read_chapters(scratch.root), "words")
    assert shown in markdown(plain_notebook(scratch.root, chapter))


def test_a_number_that_was_never_computed_is_named(scratch, tmp_path):
    book = scratch.copy(tmp_path / "book")
    (book.store / "current" / "words.json").unlink()
    text = markdown(plain_notebook(book.root, find_chapter(read_chapters(book.root), "words")))
    assert "It is `half` (printed above)" in text


def test_a_notebook_that_somebody_edited_is_not_replaced(scratch, tmp_path, capsys):
    command = ["notebook", "words", "--to", str(tmp_path), "--root", str(scratch.root)]
    path = tmp_path / "words.ipynb"
    assert main(command) == 0
    written = path.read_text()
    assert main(command) == 0  # the same again
    path.write_text(written.replace("half", "mine"))
    assert main(command) == 2
    assert "exists and differs; --force replaces it" in capsys.readouterr().err
    assert "mine" in path.read_text()
    assert main([*command, "--force"]) == 0
    assert path.read_text() == written
    assert main([*command[:3], str(path), *command[4:]]) == 1  # a file where the folder is to be
    assert "cannot write" in capsys.readouterr().err


def test_the_notebook_runs_away_from_the_book(scratch, tmp_path):
    command = [sys.executable, "-m", "nld.cli", "notebook", "words", "--to", str(tmp_path), "--root", str(scratch.root)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "SCRATCH_TRACE": str(tmp_path / "trace")}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    notebook = nbformat.read(tmp_path / "words.ipynb", as_version=4)
    NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute(env=environment)
    printed = "".join(out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", ()))
    assert "half = 1.5" in printed


@pytest.mark.slow
def test_a_chapter_of_the_book_runs_as_a_plain_notebook(tmp_path):
    chapter = next(chapter for chapter in CHAPTERS if chapter.name == "learning-as-mechanics")
    notebook = plain_notebook(REPOSITORY, chapter)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "NLD_STORE": str(tmp_path / "store")}
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute(env=environment)
    pictures = [
        out for cell in notebook.cells for out in cell.get("outputs", ()) if "image/svg+xml" in out.get("data", {})
    ]
    assert pictures


@pytest.mark.parametrize("name", ["notation", "equations", "claims", "names", "bibliography"])
def test_pages_of_reference_are_refused(name):
    with pytest.raises(UsageError, match="page of reference"):
        plain_notebook(REPOSITORY, find_chapter(read_chapters(REPOSITORY), name))


def test_the_same_chapter_gives_the_same_file(scratch):
    chapter = find_chapter(read_chapters(scratch.root), "words")
    first, second = (json.dumps(plain_notebook(scratch.root, chapter)) for _ in range(2))
    assert first == second
