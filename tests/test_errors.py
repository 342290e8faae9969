"""One family of errors: each is told by the command line once, in one line, with its exit status."""

import ast
import inspect
from pathlib import Path

import pytest

from nld import errors, figures
from nld.cli import main

ROOT = Path(__file__).parents[1]
FAMILY = [value for value in vars(errors).values() if inspect.isclass(value) and value.__module__ == errors.__name__]
WRONG_USAGE = {"InvalidInput", "ParameterError", "UsageError"}
MODULES = sorted(path for path in (ROOT / "nld").rglob("*.py") if path.name != "errors.py")
# What Python's own classes stand for is a fault of ours; what can be expected has a class in nld/errors.py.
FAULTS = {"Exception", "ValueError"}
FAULTS_OF_COMMANDS = FAULTS | {"RuntimeError", "OSError", "IOError", "FileNotFoundError"}


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(("words", "name"), [(["figure", "list"], "nld figure list"), (["claims"], "nld claims")])
def test_every_error_of_ours_is_one_line_with_its_status(monkeypatch, capsys, kind, words, name):
    def fail():
        raise kind("expected this, got that; do so")

    monkeypatch.setattr(figures, "names", fail)
    from nld.claims import rulings

    rulings.known.cache_clear()
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


def test_errors_are_one_family_in_one_place():
    assert all(issubclass(kind, errors.NldError) and kind.exit_code in (1, 2) for kind in FAMILY)
    elsewhere = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        for base in (ast.unparse(base).rpartition(".")[2] for base in node.bases)
        if base.endswith(("Error", "Exception")) or base in vars(errors)
    ]
    assert elsewhere == []


def test_no_bare_error_of_python_tells_a_user_what_was_expected():
    bare = []
    for path in MODULES:
        package = path.relative_to(ROOT / "nld").parts[0]
        of_commands = package in ("publish", "commands", "results", "claims", "cli.py")
        faults = FAULTS_OF_COMMANDS if of_commands else FAULTS if package != "paper" else set()
        bare += [
            f"{path.relative_to(ROOT)}:{node.lineno}"
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Raise)
            and (raised := ast.unparse(node.exc) if node.exc else "") != "ValueError"  # without words, for argparse
            and raised.partition("(")[0] in faults
        ]
    assert bare == [], "raise nld.errors.InvalidInput, which is a ValueError that commands show without a traceback"
