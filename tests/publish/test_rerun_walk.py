"""A rerunner's walk: the printed command reruns a chapter, page and figure say so, and one command brings it back."""

import json
import shlex

import pytest
from bs4 import BeautifulSoup

from tests.publish.scratch import Scratch

CHAPTER = "picture"


def article(book: Scratch):
    return BeautifulSoup(book.page(CHAPTER), "html.parser").select_one("article")


def figure(book: Scratch) -> tuple[dict, bytes]:
    """Where the published figure says that it comes from, and its drawing."""
    folder = book.root / "_build" / "html" / "figures" / "fig-toy"
    return json.loads((folder / "provenance.json").read_text()), (folder / "figure.svg").read_bytes()


def printed_command(page) -> list[str]:
    (box,) = [details for details in page.select("details") if "Rerun this chapter" in details.get_text()]
    _, noun, verb, *arguments = shlex.split(box.find("pre").get_text())
    assert (noun, verb) == ("book", "build")
    return arguments


@pytest.mark.slow
def test_the_command_in_a_chapter_reruns_it_and_the_next_build_brings_it_back(built, book):
    canonical = article(built)
    (origin, drawing), arguments = figure(built), printed_command(canonical)
    name, value = arguments[-2:]
    assert arguments == ["--chapter", CHAPTER, "-p", name, value]
    assert origin["parameters"] == {name: 0} != {name: int(value)}

    (book.root / "book" / "index.md").write_text("# Front\n\n```{nld-figures}\n```\n")
    result = book.build(*arguments)
    assert result.returncode == 0, result.stdout
    assert book.ran() == [CHAPTER]
    warning = article(book).select_one(".nld-changed").get_text()
    assert f"rerun with {name} = {value}. Figures, numbers and verdicts are those of the rerun" in warning
    assert "nld-changed" not in book.page("plain")
    assert f"A toy. From a rerun with {name} = {value}." in book.page(CHAPTER)
    assert "@misc" not in book.page(CHAPTER)  # its permalink shows another figure
    assert f"rerun with <code>{name} = {value}</code>" in book.page("index")
    assert f"From a rerun with {name} = {value}" in (book.root / "_build/html/_static/previews.js").read_text()
    changed, changed_drawing = figure(book)
    assert changed["parameters"] == {name: int(value)}
    assert changed["alt"] != origin["alt"]
    assert changed_drawing != drawing

    assert book.build().returncode == 0
    assert book.ran() == []
    assert "@misc" in book.page(CHAPTER)
    assert "rerun with" not in book.page("index")
    assert article(book) == canonical
    assert figure(book) == (origin, drawing)
