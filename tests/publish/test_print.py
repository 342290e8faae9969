"""The printed book: figures as vectors, no date of the day, the same bytes each time."""

import os
import re
import subprocess
import sys

import pytest

from nld.publish.exports.pdf import _renumbered, find_chromium

pytestmark = [pytest.mark.slow, pytest.mark.browser]


LINKS = 'See {numref}`fig-toy`, {doc}`picture` and <a href="../book/gone.html">a page</a> that is not printed.'


def test_the_book_prints_with_vectors_and_the_same_bytes_wherever_it_lies(built, tmp_path):
    if find_chromium() is None:
        (pytest.fail if os.environ.get("NLD_REQUIRE_BROWSER") else pytest.skip)(
            "needs Chromium: apt-get install chromium"
        )
    prints = []
    for number in range(2):
        book = built.copy(tmp_path / f"copy-{number}")
        page = book.root / "book" / "plain.md"
        page.write_text(page.read_text().replace("Some prose.", LINKS))
        environment = {**os.environ, "PYTHONPATH": str(book.root), "SCRATCH_TRACE": str(book.trace)}
        path = tmp_path / f"{number}.pdf"
        command = [sys.executable, "-m", "nld.cli", "book", "pdf", "--root", str(book.root), "--to", str(path)]
        result = subprocess.run(command, env=environment, cwd=book.root, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        prints.append(path.read_bytes())
    assert prints[0].startswith(b"%PDF")
    assert prints[0] == prints[1]
    assert len(re.findall(rb"/Type /Page\b", prints[0])) >= 5  # title, contents, front page and each chapter on its own
    assert b"/Subtype /Image" not in prints[0]
    assert b"/Outlines" in prints[0]
    # Links lead into the print, or else to the published book; never to the folder in which it was printed.
    assert b"file:" not in prints[0]
    assert b"https://nld-book.github.io/nld/book/gone.html" in prints[0]
    destinations = set(re.findall(rb"/Dest /([^\s/>]+)", prints[0]))
    assert {b"fig-toy", b"chapter-2"} <= destinations


def test_numbers_that_chromium_counts_up_do_not_reach_the_file():
    """Their order and their length stay: the PDF lists them sorted, and other objects by their place."""
    runs = [b"(node%08d) text node00000009 (node%08d) [(node%08d)]" % (n + 7, n, n + 7) for n in (6850, 6851)]
    assert {_renumbered(run) for run in runs} == {b"(node00000002) text node00000009 (node00000001) [(node00000002)]"}
