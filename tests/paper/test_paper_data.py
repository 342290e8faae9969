"""The paper as data against the repository: every name in it exists, every equation has a test that can fail."""

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

from nld import paper
from nld.paper import notation

HERE = Path(__file__).parent
SOURCES = {path.name: ast.parse(path.read_text()) for path in sorted(HERE.glob("test_section*.py"))}
TESTS = {
    node.name: node
    for tree in SOURCES.values()
    for node in ast.walk(tree)
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
}
equations = pytest.mark.parametrize("equation", paper.EQUATIONS, ids=lambda equation: f"eq{equation.number:02}")


def resolve(dotted):
    module, name = dotted.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def test_equations_are_one_to_eighteen():
    assert [equation.number for equation in paper.EQUATIONS] == list(range(1, 19))
    assert len({equation.label for equation in paper.EQUATIONS}) == 18


@equations
def test_every_equation_has_code_that_names_it(equation):
    function = resolve(equation.code)
    assert callable(function)
    assert re.search(rf"Paper: [^.]*\b{equation.number}\b", function.__doc__), (
        f"{equation.code} does not cite its equation"
    )


@equations
def test_every_equation_has_a_test_that_can_fail(equation):
    assert equation.test.startswith(f"test_eq{equation.number:02}_")
    node = TESTS[equation.test]
    checks = [n for n in ast.walk(node) if isinstance(n, ast.Assert) or "assert_" in getattr(n, "attr", "")]
    assert checks, f"{equation.test} asserts nothing"
    used = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)} | {
        n.id for n in ast.walk(node) if isinstance(n, ast.Name)
    }
    called = equation.code.rsplit(".", 1)[1]
    others = {"fourth_power_solution", "mean_square_solution"}  # Eq 17 and 18 in symbols
    assert called in used or used & others, f"{equation.test} does not use {equation.code}"


def test_every_test_of_an_equation_has_its_equation():
    numbers = {int(match[1]) for name in TESTS if (match := re.match(r"test_eq(\d\d)_", name))}
    assert numbers == {equation.number for equation in paper.EQUATIONS}


@equations
def test_badges_and_chapters_and_formulas(equation):
    assert equation.badge in (paper.PROVED, paper.CHECKED)
    assert equation.chapter.startswith("book/")
    assert equation.latex.count("{") == equation.latex.count("}")
    assert equation.latex.count(r"\left") == equation.latex.count(r"\right")
    uses_sympy = "sp" in {n.id for n in ast.walk(TESTS[equation.test]) if isinstance(n, ast.Name)}
    assert uses_sympy or equation.badge == paper.CHECKED


@pytest.mark.parametrize("row", paper.TABLE_1, ids=lambda row: row.title)
def test_table1_rows_have_code_and_test(row):
    assert "Paper: Table 1" in resolve(row.code).__doc__
    assert row.test in TESTS


def test_claims_and_figures_refer_to_each_other():
    figures = {figure.name for figure in paper.FIGURES}
    numbers = {equation.number for equation in paper.EQUATIONS}
    assert len({claim.name for claim in paper.CLAIMS}) == len(paper.CLAIMS)
    for claim in paper.CLAIMS:
        assert not claim.figure or claim.figure in figures, claim.name
        assert claim.equations
        assert set(claim.equations) <= numbers, claim.name
    assert figures == {claim.figure for claim in paper.CLAIMS if claim.figure}


def test_symbols_have_one_meaning_each():
    for field in ("latex", "code"):
        values = [getattr(symbol, field) for symbol in notation.SYMBOLS]
        assert len(set(values)) == len(values)
    assert all(symbol.code.isidentifier() and symbol.code.isascii() for symbol in notation.SYMBOLS)


def test_equation_by_number():
    assert paper.equation(17).label == "eq-paper-17"
    with pytest.raises(ValueError, match="expected the number of an equation, 1 to 18, got 19"):
        paper.equation(19)


def test_the_data_imports_nothing_of_ours():
    nodes = [n for file in Path(paper.__file__).parent.glob("*.py") for n in ast.walk(ast.parse(file.read_text()))]
    imported = {str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)}
    imported |= {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    assert {name for name in imported if not name.startswith("nld.paper.")} <= set(sys.stdlib_module_names)
