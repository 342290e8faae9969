"""The explorable of measured runs: what the page holds before any script runs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nld.figures._data.experiment_table import MODES
from nld.figures._data.run_grid import DEFAULT, GRID
from nld.publish.explorables import explorable_grid

SCRIPT = Path(__file__).parents[2] / "book" / "_static" / "explorable-grid.js"
STEPS = np.arange(0, 301, 30)


@pytest.fixture(scope="module")
def data():
    """Positive numbers, all different, and one free run that diverged after the third evaluation."""
    random = np.random.default_rng(5)
    sizes = {"constrained": 2, **{name: len(values) for name, values in GRID.items()}, "step": len(STEPS)}
    drawn = {
        name: (tuple(sizes), np.exp(random.normal(size=tuple(sizes.values()))))
        for name in ("test_loss", "test_accuracy", "squared_norm", "effective_rate")
    }
    coords = {"constrained": [0, 1], **{name: list(values) for name, values in GRID.items()}, "step": STEPS}
    made = xr.Dataset(drawn, coords=coords)
    made["diverged"] = (tuple(sizes)[:-1], np.zeros(tuple(sizes.values())[:-1], dtype=int))
    made["diverged"][0, 0, 0, 0] = 1
    for name in drawn:
        made[name][0, 0, 0, 0, 3:] = np.nan
    return made


@pytest.fixture(scope="module")
def page(data):
    return explorable_grid.show(data).data


def test_all_runs_are_in_the_page_to_six_digits(data, page):
    held = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page)[1])
    assert held["steps"] == STEPS.tolist()
    assert held["fields"] == {name: list(values) for name, values in GRID.items()}
    for name, nested in held["values"].items():
        np.testing.assert_allclose(np.array(nested, dtype=float), data[name].values, rtol=1e-5, equal_nan=True)
    for name, (low, high) in held["axes"].items():
        assert low <= float(data[name].min()) < float(data[name].max()) <= high


def test_without_a_script_the_page_shows_the_measured_default(data, page):
    chosen = data.sel(DEFAULT).isel(step=-1)
    for number, mode in enumerate(MODES):
        for name, factor in (("test_loss", 1), ("test_accuracy", 100), ("squared_norm", 1), ("effective_rate", 1)):
            shown = re.search(f'data-mode="{mode}" data-quantity="{name}">([^<]+)<', page)[1]
            assert float(shown) == pytest.approx(factor * float(chosen[name][number]), rel=5e-3)
    checked = re.findall(r'name="nld-grid-(\w+)" value="(\d)" autocomplete="off" checked', page)
    assert {name: GRID[name][int(index)] for name, index in checked} == DEFAULT
    assert page.count("<fieldset disabled") == 1
    assert "<noscript>" in page
    assert len(re.findall("<polyline", page)) == 6
    assert all(len(points.split()) == len(STEPS) for points in re.findall(r' points="([^"]+)"', page))


def test_a_diverged_run_is_shown_as_such(data, monkeypatch):
    first = {name: values[0] for name, values in GRID.items()}
    monkeypatch.setattr(explorable_grid, "DEFAULT", first)
    page = explorable_grid.show(data).data
    assert page.count(">diverged<") == 4
    assert "is diverged l" not in page
    free = re.search(r'data-curve="unconstrained" data-quantity="test_loss".*? points="([^"]+)"', page)[1]
    assert len(free.split()) == 3


def test_every_choice_has_its_label_and_the_page_stands_alone(page):
    assert len(re.findall(r"<label><input type=\"radio\"[^>]*>[^<]+</label>", page)) == page.count("<input")
    assert page.count("<legend>") == 1 + len(GRID)
    identifiers = re.findall(r' id="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))
    assert not re.findall(r"https?://", page + SCRIPT.read_text("utf-8"))
    assert len(page.encode()) + SCRIPT.stat().st_size < 150_000
