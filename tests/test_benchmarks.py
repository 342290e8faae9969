"""`make bench` finds its benchmarks, and nothing else."""

import ast
import tomllib

import pytest

from benchmarks.__main__ import FOLDER, main, names
from benchmarks.mutant_tests import Tests


def test_every_benchmark_defines_its_table():
    assert {"book", "ensemble", "gpu", "monitor"} <= set(names())
    for name in names():
        tree = ast.parse((FOLDER / f"{name}.py").read_text("utf-8"))
        assert any(isinstance(node, ast.FunctionDef) and node.name == "table" for node in tree.body), name


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture):
    assert main(["bok"]) == 2
    assert "expected names among book, ensemble" in capsys.readouterr().err


def test_what_nobody_could_notice_is_a_change_of_a_line_that_is_there():
    for row in tomllib.loads((FOLDER / "mutants.toml").read_text("utf-8"))["equivalent"]:
        lines = (FOLDER.parent / row["file"]).read_text("utf-8").splitlines()
        assert row["before"] in map(str.strip, lines), row["file"]
        assert row["after"] != row["before"]
        assert row["reason"]


SOURCE = '''"""Text with 1 number."""
LIMIT = 3


def f(a: int | None, b=2) -> int | None:
    if a is None:
        return b + 1
    total = sum(
        a * i
        for i in range(4)
    )
    return total
'''


def test_mutants_are_changes_of_values():
    mutation = pytest.importorskip("benchmarks.mutation", reason="needs cosmic-ray: pip install '.[mutants]'")
    found = list(mutation.mutants("f.py", SOURCE))
    changes = {mutant.change(SOURCE) for mutant in found}
    assert ("return b + 1", "return b - 1") in changes
    assert ("LIMIT = 3", "LIMIT = 4") in changes
    assert ("if a is None:", "if a is not None:") in changes
    assert not any("int" in before and "int" in after and "def" in before and "2" in after for before, after in changes)
    assert not any("<<" in after or "Text" in before for before, after in changes)
    assert all(mutant.apply(SOURCE) != SOURCE for mutant in found)
    assert len({mutant.apply(SOURCE) for mutant in found}) == len(found)
    assert mutation.sample(found, 3, seed=0) == mutation.sample(found, 5, seed=0)[:3]
    assert mutation.sample(found, 5, seed=0) != mutation.sample(found, 5, seed=1)


def test_a_line_belongs_to_its_statement():
    mutation = pytest.importorskip("benchmarks.mutation", reason="needs cosmic-ray: pip install '.[mutants]'")
    places = {line: mutation.statement(SOURCE, line) for line in range(1, 13)}
    assert places[2] == (range(2, 3), False)
    assert places[5] == (range(5, 6), False)  # defaults are computed on import
    assert places[6] == (range(6, 7), True)
    assert places[7] == (range(7, 8), True)
    assert {places[line] for line in range(8, 12)} == {(range(8, 12), True)}


def test_a_mutant_is_tried_on_the_tests_that_run_its_line():
    file = "".join(["qq", "q.py"])  # no test names it
    own = "tests/test_benchmarks.py::"
    known = Tests(
        seconds={own + "slow": 2.0, own + "quick": 1.0, own + "other": 0.1},
        lines={own + "slow": {file: [6, 7]}, own + "quick": {file: [6, 9]}, own + "other": {"other.py": [6]}},
    )
    assert known.of(file, range(6, 7), True) == [own + "quick", own + "slow"]
    assert known.of(file, range(7, 8), True) == [own + "slow"]
    assert known.of(file, range(2, 3), True) == []
    assert known.of(file, range(2, 3), False) == [own + "quick", own + "slow"]


def test_a_result_holds_while_file_and_tests_are_as_they_were(tmp_path, monkeypatch):
    driver = pytest.importorskip("benchmarks.mutants", reason="needs cosmic-ray: pip install '.[mutants]'")
    monkeypatch.setattr(driver, "ROOT", tmp_path)
    for name in ("f.py", "test_a.py", "test_b.py"):
        (tmp_path / name).write_text(SOURCE)
    dead, alive = list(driver.mutants("f.py", SOURCE))[:2]
    tests = ["test_a.py::one", "test_b.py::two"]
    results = driver.Results(tmp_path / "store" / "mutants.jsonl")
    results.add(dead, tests, {"result": "killed", "by": "test_a.py::one"})
    results.add(alive, tests, {"result": "survived", "by": ""})
    again = driver.Results(results.path)
    assert again.find(dead, tests)["result"] == "killed"
    assert again.find(alive, tests)["result"] == "survived"
    assert again.find(alive, [*tests, "test_c.py::new"]) is None, "a new test may kill it"
    (tmp_path / "test_b.py").write_text("changed")
    assert again.find(dead, tests), "another test than the one that decided"
    assert again.find(alive, tests) is None
    rows, survivors = driver.report({"packages": {}}, {"mine": [dead, alive]}, again)
    assert (rows[0]["drawn"], rows[0]["mutants"], rows[0]["killed"], rows[0]["score"], survivors) == (2, 1, 1, 1.0, [])
    (tmp_path / "f.py").write_text("changed")
    assert again.find(dead, tests) is None
