"""A rerunner's walk: the command printed in a chapter reruns it, the page says so, and one command brings it back."""

import shlex

from bs4 import BeautifulSoup


def article(book):
    return BeautifulSoup(book.page("plain"), "html.parser").select_one("article")


def test_the_command_in_a_chapter_reruns_it_and_the_next_build_brings_it_back(book):
    assert book.build().returncode == 0
    canonical = article(book)
    folded = canonical.select("details")
    (box,) = [details for details in folded if "Rerun this chapter" in details.get_text()]
    _, noun, verb, *arguments = shlex.split(box.find("pre").get_text())
    assert (noun, verb) == ("book", "build")
    changed = dict(
        zip(*[iter(value for value in arguments if value not in ("--chapter", "plain", "-p"))] * 2, strict=True)
    )
    assert changed
    result = book.build(*arguments)
    assert result.returncode == 0, result.stdout
    banner = article(book).select_one(".nld-changed").get_text()
    for name, value in changed.items():
        assert f"{name} = {value}" in banner
    assert "nld-changed" not in book.page("picture")
    assert book.build().returncode == 0
    assert article(book) == canonical
