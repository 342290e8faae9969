"""A rerunner's walk: the command printed in a chapter reruns it, page and figure say so, and one brings it back."""

import json
import shlex

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


def test_the_command_in_a_chapter_reruns_it_and_the_next_build_brings_it_back(built, book):
    canonical = article(built)
    (origin, drawing), arguments = figure(built), printed_command(canonical)
    name, value = arguments[-2:]
    assert arguments == ["--chapter", CHAPTER, "-p", name, value]
    assert origin["parameters"] == {name: 0} != {name: int(value)}

    result = book.build(*arguments)
    assert result.returncode == 0, result.stdout
    assert book.ran() == [CHAPTER]
    assert f"{name} = {value}" in article(book).select_one(".nld-changed").get_text()
    assert "nld-changed" not in book.page("plain")
    changed, changed_drawing = figure(book)
    assert changed["parameters"] == {name: int(value)}
    assert changed["alt"] != origin["alt"]
    assert changed_drawing != drawing

    assert book.build().returncode == 0
    assert book.ran() == []
    assert article(book) == canonical
    assert figure(book) == (origin, drawing)
