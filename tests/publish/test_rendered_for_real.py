"""The laws of test_rendered under the renderer of the book."""

import shutil

import pytest

from tests.publish.scratch import Scratch


@pytest.mark.slow
def test_the_real_build_leaves_good_pages_alone_and_restores_damaged_ones(book):
    def pages():
        html = book.root / "_build" / "html"
        return {path.relative_to(html): path.read_bytes() for path in html.rglob("*") if path.is_file()}

    def written():
        return (book.root / "_build" / "html" / "book" / "plain.html").stat().st_mtime_ns

    assert "Rendering" in book.build("--jobs", "2").stdout
    first, when = pages(), written()
    result = book.build("--why")
    assert result.returncode == 0
    assert "pages: nothing changed" in result.stdout
    assert "Rendering" not in result.stdout
    assert written() == when
    assert pages() == first

    html = book.root / "_build" / "html"
    (html / "book" / "plain.html").write_text("<p>mine</p>")
    (html / "book" / "picture.html").unlink()
    (html / "book" / "gone.html").write_text("<p>of a chapter that left</p>")
    result = book.build("--why")
    assert result.returncode == 0
    assert "page book/plain.html changed; page book/gone.html is new; page book/picture.html is gone" in result.stdout
    assert {name: content for name, content in pages().items() if name.suffix == ".html"} == {
        name: content for name, content in first.items() if name.suffix == ".html"
    }
    assert pages().keys() == first.keys()


@pytest.mark.slow
def test_the_real_build_of_one_chapter_leaves_pages_that_serve_the_whole_book(book):
    assert "Rendering" in book.build("--chapter", "plain").stdout
    result = book.build("--why")
    assert result.returncode == 0
    assert "pages: nothing changed" in result.stdout
    shutil.rmtree(book.store / "executed")
    assert "Rendering" in book.build("--chapter", "plain").stdout  # with a warning about each of the others
    assert "Rendering" in book.build().stdout


@pytest.mark.slow
def test_pages_that_failed_are_never_up_to_date(tmp_path):
    scratch = Scratch(tmp_path / "book").make({})
    (scratch.root / "book" / "index.md").write_text("# Front\n\n{doc}`nowhere`\n")
    for _ in range(2):
        result = scratch.build()
        assert result.returncode == 1
        assert "unknown document" in result.stdout
    assert not (scratch.root / "_build" / "rendered.json").exists()
