"""Who may import whom, what is imported when, style and types: the rules of the house, each shown to bite."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
HEAVY = {"torch", "sympy", "scipy", "matplotlib", "xarray", "sklearn", "pandas", "jupytext", "papermill", "IPython"}


def python(*arguments, cwd=ROOT, **environment) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(cwd), **environment}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


def lint_imports(root) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200"}
    command = [str(BIN / "lint-imports"), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


def test_imports_keep_the_contracts():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("theory/noether.py", "import nld.finder.block", "Theory never sees a run"),
        ("theory/noether.py", "def f():\n    from nld import experiment", "Theory never sees a run"),
        ("experiment/spec.py", "import nld.theory.noether", "What measures never sees the theory"),
        ("monitor/block.py", "import nld.experiment.runs.spec", "Layers"),
        ("experiment/training/loop.py", "import nld.experiment.runs.spec", "Experiments: studies observe"),
        ("experiment/runs/run_store.py", "import nld.experiment.runs.worker", "No import circles anywhere"),
        ("series.py", "import nld.learning_rules.rules", "Layers"),
        ("figures/text.py", "import nld.publish.execution.chapters", "Layers"),
        ("newcomer.py", "", "Layers"),
        ("paper.py", "import nld.series", "The paper is data"),
        ("figures/_data/orders_of_accuracy.py", "import nld.figures.catalogue", "Figures: what they share"),
        ("figures/_render/labels.py", "import nld.figures._data.orders_of_accuracy", "Figures: what they share"),
        ("publish/build.py", "import matplotlib.pyplot", "matplotlib only in figures"),
        ("figures/text.py", "import sympy", "sympy only in theory"),
        ("symmetry.py", "import torch", "torch only where networks are"),
        ("publish/rendering.py", "def f():\n    import nld.publish.pages.card", "No import circles anywhere"),
        ("results/seals.py", "def f():\n    import nld.results.store", "No import circles anywhere"),
        ("monitor/inner_products/numba_tables.py", "from . import numba_kernel", "No import circles anywhere"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(tmp_path, file, line, contract):
    shutil.copytree(ROOT / "nld", tmp_path / "nld", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "nld" / file).open("a") as source:
        source.write(f"\n{line}\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert any(contract in row and "BROKEN" in row for row in result.stdout.splitlines()), result.stdout


def of_a_figure(source: str) -> list[str]:
    """What a module takes from the file of a figure."""
    nodes = list(ast.walk(ast.parse(source)))
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    names = [f"{node.module}.{alias.name}" for node in froms for alias in node.names]
    names += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return [name for name in names if name.startswith("nld.figures.fig_")]


def test_no_figure_is_imported_by_another_or_by_what_figures_share():
    taken = {
        str(path.relative_to(ROOT)): of_a_figure(path.read_text("utf-8"))
        for path in (ROOT / "nld").rglob("*.py")
        if of_a_figure(path.read_text("utf-8"))
    }
    assert taken == {}, "what two figures need belongs to nld/figures/_data or _render"
    assert of_a_figure("def f():\n    from nld.figures import fig_1 as other") == ["nld.figures.fig_1"]
    assert of_a_figure("from nld.figures.fig_2 import draw, alt") == ["nld.figures.fig_2.draw", "nld.figures.fig_2.alt"]


def test_import_nld_loads_nothing_heavy():
    result = python("-c", "import nld, sys; print(*{name.split('.')[0] for name in sys.modules})")
    assert result.returncode == 0, result.stderr
    loaded = set(result.stdout.split())
    assert "nld" in loaded
    assert not loaded & (HEAVY | {"numpy"})


def test_the_command_line_answers_without_loading_anything_heavy():
    code = "import sys; from nld.cli import make_parser; make_parser(); print(*{n.split('.')[0] for n in sys.modules})"
    result = python("-c", code)
    assert result.returncode == 0, result.stderr
    assert not set(result.stdout.split()) & HEAVY


def test_nothing_is_named_utils():
    names = {path.stem for path in (ROOT / "nld").rglob("*.py")}
    assert not names & {"utils", "util", "helpers", "misc", "common"}


def test_every_module_says_what_it_is():
    silent = [
        str(path)
        for path in (ROOT / "nld").rglob("*.py")
        if path.read_text("utf-8").strip() and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


@pytest.mark.parametrize("command", [["check", "."], ["format", "--check", "."]], ids=["check", "format"])
def test_ruff(command):
    result = python("-m", "ruff", *command, "--no-cache")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_pyright():
    result = python("-m", "pyright", "--pythonpath", sys.executable)
    assert result.returncode == 0, result.stdout
