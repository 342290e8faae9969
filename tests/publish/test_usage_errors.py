"""What the caller typed wrong: one clear message, exit status 2, and nothing touched."""

import pytest

from nld.cli import main
from tests.publish.scratch import HEADER, PARAMETERS, Scratch


@pytest.fixture
def book(tmp_path) -> Scratch:
    """A book that was never built."""
    return Scratch(tmp_path / "book").make(
        {"plain": [PARAMETERS, "print(seed)"], "notation": ["seed = 0  # from 0 to 9: seed"]}
    )


@pytest.fixture
def refused(book, capsys):
    """Run the command, which must be refused before anything is written; returns the message."""

    def refuse(*arguments: str) -> str:
        before = {path: path.read_bytes() for path in sorted(book.root.rglob("*")) if path.is_file()}
        status = main(["book", "build", "--root", str(book.root), *arguments])
        out, message = capsys.readouterr()
        assert status == 2, out + message
        assert before == {path: path.read_bytes() for path in sorted(book.root.rglob("*")) if path.is_file()}
        assert not book.store.exists()
        assert message.startswith("nld book build: ")
        assert "Traceback" not in message
        return message

    return refuse


@pytest.mark.parametrize("typed", ["notatoin", "book/notatoin", "Notation", "notatoin.md"])
def test_unknown_chapter_suggests_the_nearest_and_lists_all(refused, typed):
    message = refused("--chapter", typed)
    assert f"unknown chapter {typed!r}" in message
    assert "did you mean 'notation'?" in message
    assert "00 index, 01 plain, 02 notation" in message


@pytest.mark.parametrize("typed", ["7", "²", "zzz", ""])
def test_unknown_chapter_without_a_near_name_lists_all(refused, typed):
    message = refused("--chapter", typed)
    assert "did you mean" not in message
    assert "00 index, 01 plain, 02 notation" in message


@pytest.mark.parametrize("chapter", [[], ["--chapter", "plain"]])
def test_unknown_parameter_lists_those_that_exist_with_defaults(refused, chapter):
    message = refused(*chapter, "-p", "learnig_rate", "0.2")
    assert "unknown parameter 'learnig_rate'; did you mean 'learning_rate'?" in message
    for shown in ("seed = 0", "int from 0 to 9999", "learning_rate = 0.1", "float from 0.001 to 1 w²/ℓ", "step size"):
        assert shown in message
    assert "start = 'near'   one of near, far: where it starts" in message


def test_a_parameter_of_another_chapter_is_unknown(refused):
    message = refused("--chapter", "notation", "-p", "learning_rate", "0.2")
    assert "unknown parameter 'learning_rate'" in message
    assert "plain" not in message
    message = refused("--chapter", "index", "-p", "learning_rate", "0.2")
    assert "unknown parameter 'learning_rate'. No code runs in what was chosen" in message


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("seed", "many", "int from 0 to 9999"),
        ("seed", "1.5", "int from 0 to 9999"),
        ("seed", "-1", "int from 0 to 9999"),
        ("seed", "", "int from 0 to 9999"),
        ("learning_rate", "2", "float from 0.001 to 1 w²/ℓ"),
        ("learning_rate", "nan", "float from 0.001 to 1 w²/ℓ"),
        ("learning_rate", "inf", "float from 0.001 to 1 w²/ℓ"),
        ("start", "farther", "one of near, far"),
    ],
)
def test_wrong_type_or_range_says_what_is_expected(refused, name, text, expected):
    message = refused("--chapter", "plain", "-p", name, text)
    assert f"parameter {name!r}: expected {expected}, got {text!r}" in message


def test_the_whole_book_checks_a_shared_parameter_in_every_chapter(refused):
    # seed may be 100 in one chapter but not in the other
    assert "expected int from 0 to 9, got '100'" in refused("-p", "seed", "100")


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (b"root: [book/index", "is not valid YAML"),
        (b"\xff\xfe\x00", "is not valid UTF-8"),
        (b"", "expected a mapping with 'root: <front page>'"),
        (b"- book/index\n", "expected a mapping with 'root: <front page>'"),
        (b"format: jb-book\nchapters: []\n", "expected a mapping with 'root: <front page>'"),
        (b"format: jb-book\nroot: book/index\nchapters: []\n", "not a non-empty list"),
        (b"format: jb-book\nroot: book/index\nparts: []\nchapters:\n- file: book/plain\n", "Both 'parts' and"),
        (b"root: book/index\nchapters: book/plain\n", "expected a list under 'chapters'"),
        (b"root: book/index\nchapters:\n- book/plain\n", "write '- file: book/name'"),
        (
            b"root: book/index\nchapters:\n- fiel: book/plain\n",
            "unknown key 'fiel' in chapters[1]; did you mean 'file'",
        ),
        (b"root: book/index\nchapter:\n- file: book/plain\n", "'chapter' in the top; did you mean 'chapters'"),
        (b"root: book/index\nchapters:\n- file: book/absent\n", "names 'book/absent'"),
        (b"root: book/absent\n", "names 'book/absent'"),
        (b"root: book/index\nchapters:\n- file:\n", "expected the name of a file"),
        (b"root: book/index\nchapters:\n- file: book/plain\n- file: book/plain\n", "names 'plain' twice"),
    ],
)
def test_malformed_table_of_contents(book, refused, contents, expected):
    (book.root / "_toc.yml").write_bytes(contents)
    message = refused()
    assert expected in message
    assert "_toc.yml" in message


def test_missing_table_of_contents(book, refused):
    (book.root / "_toc.yml").unlink()
    assert "run this in the root of the book" in refused()


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("seed = 0", "expected a comment '# from LOW to HIGH"),
        ("seed = 0  # from a to b: letters", "expected numbers after 'seed'"),
        ("seed = 20  # from 0 to 9: too large", "expected int from 0 to 9, got '20'"),
        ("seed = [0]  # from 0 to 9: a list", "expected 'name = number, text or bool'"),
        ("import os", "expected 'name = number, text or bool'"),
        ("seed = = 0", "expected 'name = number, text or bool'"),
    ],
)
def test_a_malformed_parameters_cell_is_named(book, refused, cell, expected):
    book.write("plain", cell)
    message = refused("-p", "seed", "1")
    assert expected in message
    assert "plain.md" in message


def test_a_chapter_that_cannot_be_read_is_named(book, refused):
    path = book.root / "book" / "plain.md"
    path.write_text(HEADER.format(title="Plain").replace("kernelspec:", "kernelspec: ["))
    assert "plain.md" in refused()
    path.write_bytes(b"\xff\xfe")
    assert "plain.md" in refused()


@pytest.mark.parametrize(
    "arguments",
    [["--jobs", "0"], ["--jobs", "two"], ["--timeout", "-1"], ["--timeout", "nan"], ["--profile", "slow"], ["-p", "x"]],
)
def test_options_out_of_range_are_refused(book, capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["book", "build", "--root", str(book.root), *arguments])
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err
    assert not book.store.exists()


def test_the_process_itself_exits_with_2(book):
    result = book.build("--chapter", "notatoin")
    assert result.returncode == 2
    assert result.stdout.startswith("nld book build: unknown chapter")
