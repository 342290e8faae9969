"""The one table of inner products: a row is all that a product needs, in both back ends."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nld.monitor.inner_products import products
from nld.symmetry import Kind

ROOT = Path(__file__).parents[2]
LAST = '    "position_generator": (POSITION, GENERATOR),\n'
ROWS = {
    "a new pair": '    "momentum_gradient": (MOMENTUM, GRADIENT),\n',
    "a new pair of a vector with what a generator moves": '    "position_moved": (POSITION, MOVED),\n',
    "sums of entries, of a linear generator too": '    "displacement_ones": (DISPLACEMENT, ONES),\n',
}


def test_each_pair_of_vectors_is_taken_down_once_and_those_with_ones_last():
    for constant in (False, True):
        for name in products.COLUMNS:
            pair = products.pair(name, constant)
            assert pair is None or products.PAIRS.count(pair) == 1, name
    with_ones = [products.ONES in pair for pair in products.PAIRS]
    assert with_ones == sorted(with_ones)


@pytest.mark.parametrize("kind", Kind)
def test_vectors_are_lined_up_as_far_as_products_need_them(kind):
    pairs = [products.pair(name, kind.is_constant) for name in products.COLUMNS]
    assert products.vectors_of(kind) == 1 + max(max(pair) for pair in pairs if pair is not None)


@pytest.mark.slow  # numba compiles for each table
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_new_product_is_one_row(row, tmp_path):
    """In a copy of the package with that row, both back ends still find every product by its definition."""
    for folder in ("nld", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "records"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    table = tmp_path / "nld" / "monitor" / "inner_products" / "products.py"
    text = table.read_text()
    assert text.count(LAST) == 1
    table.write_text(text.replace(LAST, LAST + row))
    tests = [f"tests/monitor/test_{back_end}_backend.py" for back_end in ("torch", "numba")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, "-k"]
    command.append("test_products_are_their_definition or test_books_are_those_of_the_pages")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "passed" in result.stdout
