"""`make bench` finds its benchmarks, and nothing else."""

import ast

import pytest

from benchmarks.__main__ import FOLDER, main, names


def test_every_benchmark_defines_its_table():
    assert {"book", "ensemble", "gpu", "monitor"} <= set(names())
    for name in names():
        tree = ast.parse((FOLDER / f"{name}.py").read_text("utf-8"))
        assert any(isinstance(node, ast.FunctionDef) and node.name == "table" for node in tree.body), name


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture):
    assert main(["bok"]) == 2
    assert "expected names among book, ensemble" in capsys.readouterr().err
