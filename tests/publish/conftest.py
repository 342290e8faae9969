"""Scratch books that several tests share: built once, also when the suite runs in several processes."""

import os

import pytest
from filelock import FileLock

from tests.publish.scratch import PARAMETERS, Scratch

TOY_FIGURE = '''"""A toy figure."""

import numpy as np
import xarray as xr

from nld.figures._render.style import new_figure


def compute(profile, *, seed: int = 0):
    return xr.Dataset({"y": ("x", np.random.default_rng(seed).normal(size=9))})


def draw(data):
    figure, axes = new_figure()
    axes.plot(data["y"])
    return figure


def caption(data):
    return "A toy."


def alt(data):
    return f"A curve that ends at {float(data['y'][-1]):.6f}."
'''


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Make a scratch book only once for all worker processes of pytest-xdist."""

    def make_once(name, make):
        base = tmp_path_factory.getbasetemp()
        if os.environ.get("PYTEST_XDIST_WORKER"):
            base = base.parent
        done = base / f"{name}.done"
        with FileLock(base / f"{name}.lock"):
            if not done.exists():
                done.write_text(make(base / name) or "")
        return base / name, done.read_text()

    return make_once


@pytest.fixture(scope="session")
def built(once) -> Scratch:
    """A book of three chapters, built with its pages. Do not change it; `book` is a copy to change."""

    def make(root):
        scratch = Scratch(root, package=True).make(
            {
                "plain": [PARAMETERS, "print('seed', seed, 'rate', learning_rate, start)"],
                "picture": ["seed = 0  # from 0 to 9: seed", "import nld\n\nnld.figures.show('fig-toy', seed=seed)"],
                "reaching": ["seed = 0  # from 0 to 9: seed", "from nld.toy_b import value\n\nprint(value)"],
            }
        )
        (root / "nld" / "figures" / "fig_toy.py").write_text(TOY_FIGURE)
        (root / "nld" / "toy_a.py").write_text("value = 3\n")
        (root / "nld" / "toy_b.py").write_text("from nld.toy_a import value\n")
        result = scratch.build("--jobs", "2")
        assert result.returncode == 0, result.stdout
        assert sorted(scratch.ran()) == ["picture", "plain", "reaching"]

    root, _ = once("built", make)
    return Scratch(root, package=True)


@pytest.fixture
def book(built, tmp_path) -> Scratch:
    """A copy of the built book, to change."""
    return built.copy(tmp_path / "book")
