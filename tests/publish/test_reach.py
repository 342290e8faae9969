"""What reading says that code reaches contains what running it loads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nld import figures
from nld.results import dependencies
from tests.publish.scratch import Scratch

ROOT = Path(__file__).parents[2]
LOADED = "\nimport json, sys\nprint(json.dumps([m for m in sys.modules if m == 'nld' or m.startswith('nld.')]))"

# code -> modules that it must reach, by each way to name them
WAYS = {
    "import nld": {"nld"},
    "import nld.series": {"nld", "nld.series"},
    "import nld.series as s": {"nld.series"},
    "from nld import series": {"nld.series"},
    "from nld.series import Trajectory": {"nld.series"},
    "import nld\n\nnld.series.Trajectory": {"nld.series"},
    "import nld as n\n\nn.series": {"nld.series"},
    "from nld.figures._render import style as r\n\nr.COLOR": {"nld.figures._render.style"},
    "import nld\n\nnld.heavy_ball(0.1, 0.9)": {"nld.learning_rules.rules"},
    "from nld import heavy_ball": {"nld.learning_rules.rules"},
    "def late():\n    from nld import symmetry": {"nld.symmetry"},
    "import nld\n\nnld.figures.load('fig-1')": {"nld.figures.fig_1", "nld.theory.continuum", "nld.experiment.runs.run"},
    "import nld\n\nprint(f'{nld.series}')": {"nld.series"},
    "from nld import figures\n\nfigures.names()": {"nld.figures.fig_1"},
    "from nld.figures import names\n\nnames()": {"nld.figures.fig_1"},
}


def loaded(code: str) -> set[str]:
    """The modules of nld that a process holds after it ran the code."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NLD_QUIET": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code + LOADED], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize("code", WAYS)
def test_each_way_to_name_a_module_is_seen(code):
    assert WAYS[code] <= dependencies.reached_modules(code)


@pytest.mark.slow
def test_all_ways_together_load_nothing_unseen():
    code = "\n".join(WAYS) + "\n\nlate()"
    assert loaded(code) <= dependencies.reached_modules(code)


@pytest.mark.slow
@pytest.mark.parametrize("name", figures.names())
def test_a_figure_loads_nothing_unseen(name):
    code = f"import nld\n\nnld.figures.load({name!r})"
    assert loaded(code) <= dependencies.reached_modules(code)


def test_a_chapter_that_hides_an_import_is_refused(tmp_path):
    # Every chapter is held to this when it runs, so that the cache is sound for the whole book.
    hidden = "import importlib\n\nimportlib.import_module('nld.' + 'series')"
    scratch = Scratch(tmp_path / "book").make({"hides": ["seed = 0  # from 0 to 9: seed", hidden]})
    result = scratch.build("--no-html")
    assert result.returncode == 1
    loaded = "nld, nld.deprecation, nld.errors, nld.series"
    assert f"hides: HiddenImport: the cells load {loaded}, which reading them does not show" in result.stdout


def test_text_that_merely_looks_like_a_figure_reaches_nothing():
    reached = dependencies.reached_modules("x = 'fig-of-nobody'; y = 'nld.series'")
    assert "nld.series" not in reached
    assert not any(module.startswith("nld.figures.fig") for module in reached)
    assert dependencies.reached_modules("import numpy as np\n\nnp.sin(1)") == frozenset()


def test_a_module_outside_what_is_reached_can_change_without_notice():
    reached = dependencies.reached_modules("from nld import series")
    assert "nld.figures._render.style" not in reached
    assert set(dependencies.source_hashes(reached)) >= reached


def test_data_beside_a_package_counts_as_source():
    assert "nld.figures._render/nld.mplstyle" in dependencies.source_hashes(
        dependencies.reached_modules("from nld.figures._render import style")
    )
