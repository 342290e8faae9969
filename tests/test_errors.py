"""One family of errors: each is told by the command line once, in one line, with its exit status."""

import ast
import inspect
from pathlib import Path

import pytest

from nld import errors, figures
from nld.cli import main

ROOT = Path(__file__).parents[1]
FAMILY = [value for value in vars(errors).values() if inspect.isclass(value)]
WRONG_USAGE = {"InvalidInput", "ParameterError", "UsageError"}
FOLDERS = ("publish", "commands", "results", "claims")
FILES = sorted([ROOT / "nld" / "cli.py", *(path for name in FOLDERS for path in (ROOT / "nld" / name).rglob("*.py"))])
# What Python's own classes stand for is a fault of ours; what can be expected has a class in nld/errors.py.
FAULTS = {"Exception", "RuntimeError", "OSError", "IOError", "FileNotFoundError"}


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(("words", "name"), [(["figure", "list"], "nld figure list"), (["claims"], "nld claims")])
def test_every_error_of_ours_is_one_line_with_its_status(monkeypatch, capsys, kind, words, name):
    def fail():
        raise kind("expected this, got that; do so")

    monkeypatch.setattr(figures, "names", fail)
    from nld.claims import rulings

    rulings.known.cache_clear()
    assert issubclass(kind, errors.NldError)
    assert main(words) == (2 if kind.__name__ in WRONG_USAGE else 1)
    assert capsys.readouterr() == ("", f"{name}: expected this, got that; do so\n")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file or directory", "x.nc"), "expected x.nc, found none"),
        (OSError(28, "No space left on device", "x.nc"), "cannot write x.nc: No space left on device; free space"),
        (OSError("the host gave up"), "the host gave up\n"),
    ],
)
def test_a_file_that_cannot_be_read_or_written_is_told(monkeypatch, capsys, error, said):
    def fail():
        raise error

    monkeypatch.setattr(figures, "names", fail)
    assert main(["figure", "list"]) == 1
    assert capsys.readouterr().err.startswith(f"nld figure list: {said}")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_errors_on_purpose_are_of_the_family(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
            assert not [base for base in bases if base.endswith(("Error", "Exception"))], node.name
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = ast.unparse(node.exc).partition("(")[0]
            assert raised not in FAULTS, f"line {node.lineno}"
