"""The explorable of measured runs, worked by keyboard: what it shows is what the figure's data hold."""

import itertools

import numpy as np
import pytest
import xarray as xr

from tests.browser.reader import SIZE

pytestmark = pytest.mark.browser
PAGE = "book/what-symmetry-breaking-buys.html"
FIELDS = ("learning_rate", "momentum", "weight_decay")
MODES = ("unconstrained", "constrained")
PLACES = """grid => [...grid.querySelectorAll('fieldset, label, figure, svg, table, td, th')].map(part => {
  const here = part.getBoundingClientRect(), there = grid.getBoundingClientRect();
  return [here.x - there.x, here.y - there.y, here.width, here.height].map(Math.round);
})"""
WATCH = """() => {
  window.shifts = [];
  window.watcher = new PerformanceObserver(list => window.shifts.push(...list.getEntries()));
  window.watcher.observe({type: 'layout-shift'});
}"""
# Two frames later all that moved has been drawn; what was not yet delivered is asked for.
SEEN = """async () => {
  for (const _ of [1, 2]) await new Promise(requestAnimationFrame);
  return [...window.shifts, ...window.watcher.takeRecords()].map(entry => entry.value);
}"""


@pytest.fixture(scope="module")
def data(site):
    return xr.load_dataset(site / "figures" / "fig-grid" / "data.nc", engine="h5netcdf").isel(seed=0)


def choose(page, wanted: dict, values: dict) -> None:
    """Move each group of buttons with the arrow keys until it shows what is wanted."""
    for name in FIELDS:
        group = page.locator(f".nld-grid [data-field={name}]")
        group.locator("input:checked").focus()
        for _ in values[name]:
            if float(group.locator("label:has(input:checked)").inner_text()) == pytest.approx(wanted[name]):
                break
            page.keyboard.press("ArrowRight")
        assert float(group.locator("label:has(input:checked)").inner_text()) == pytest.approx(wanted[name])


def drawn(page, quantity: str, mode: str) -> np.ndarray:
    """Values of a curve, read off the picture by its own ticks, as a reader with a ruler does."""
    texts, points = page.evaluate(
        """([quantity, mode]) => {
          const curve = document.querySelector(`[data-quantity=${quantity}][data-curve=${mode}]`);
          const ticks = [...curve.closest('svg').querySelectorAll('text')].filter(t => t.getAttribute('x') === '30');
          const lines = ticks.map(t => [Number(t.textContent), Number(t.getAttribute('y')) - 4]);
          return [lines, [...curve.points].map(p => [p.x, p.y])];
        }""",
        [quantity, mode],
    )
    (value, at), (other, there) = texts[0], texts[-1]
    slope = np.log(other / value) / (there - at)
    return value * np.exp(slope * (np.array(points)[:, 1] - at))


def measured(number: float, text: str, factor: float = 1.0) -> bool:
    """Whether a text is this number to three digits."""
    return float(text) == pytest.approx(factor * number, rel=5.01e-3)


@pytest.mark.parametrize("scheme", ["file", pytest.param("http", marks=pytest.mark.slow)])
def test_every_setting_shows_its_measured_numbers(tab, address, scheme, data):
    opened = tab.open(f"{address[scheme]}/{PAGE}")
    page = opened.page
    values = {name: data[name].values for name in FIELDS}
    seen = set()
    for setting in itertools.product(*values.values()):
        wanted = dict(zip(FIELDS, setting, strict=True))
        choose(page, wanted, values)
        runs = data.sel(wanted)
        spoken = page.locator(".nld-grid output").inner_text()
        for number, mode in enumerate(MODES):
            cell = {
                name: page.locator(f"td[data-mode={mode}][data-quantity={name}]").inner_text()
                for name in ("test_loss", "test_accuracy", "squared_norm", "effective_rate")
            }
            end = runs.isel(constrained=number, step=-1)
            for name, text in cell.items():
                assert measured(float(end[name]), text, 100 if name == "test_accuracy" else 1), (wanted, mode, name)
            assert f"{cell['test_loss']} ℓ {mode}" in spoken
            for name in ("test_loss", "squared_norm", "effective_rate"):
                course = drawn(page, name, mode)
                np.testing.assert_allclose(course, runs[name].values[number], rtol=0.01, err_msg=f"{wanted} {mode}")
        shown = page.locator(".nld-grid caption").inner_text()
        assert all(f"{symbol} = {value:g}" in shown for symbol, value in zip("ηβk", setting, strict=True))
        assert shown.splitlines()[-1] in spoken
        seen.add(spoken)
    assert len(seen) == data["diverged"].size / 2
    assert opened.complaints == []


@pytest.mark.parametrize("width", [1280, 390])
def test_choosing_moves_nothing(tab, address, data, width):
    page = tab.open(f"{address['http']}/{PAGE}", size={**SIZE, "width": width}).page
    grid = page.locator(".nld-grid")
    grid.scroll_into_view_if_needed()
    before = grid.evaluate(PLACES)
    page.evaluate(WATCH)
    values = {name: data[name].values for name in FIELDS}
    for ends in (0, -1):
        choose(page, {name: values[name][ends] for name in FIELDS}, values)
        assert grid.evaluate(PLACES) == before
    assert page.evaluate(SEEN) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_tab_visits_the_three_groups_once_each(tab, address):
    page = tab.open(f"{address['file']}/{PAGE}").page
    page.locator(".nld-grid input:checked").first.focus()
    visited = []
    for _ in FIELDS:
        visited.append(page.evaluate("document.activeElement.closest('[data-field]')?.dataset.field"))
        page.keyboard.press("Tab")
    assert visited == list(FIELDS)
    assert not page.evaluate("!!document.activeElement.closest('.nld-grid')")


def test_without_scripts_one_measured_setting_stays(browser, tab, address, data):
    lively = tab.open(f"{address['file']}/{PAGE}").page.locator(".nld-grid").evaluate(PLACES)
    page = browser.new_context(java_script_enabled=False, viewport=SIZE).new_page()
    page.goto(f"{address['file']}/{PAGE}")
    assert page.locator(".nld-grid").evaluate(PLACES) == lively  # the script moves nothing when it starts
    assert page.locator(".nld-grid input:disabled").count() == sum(data.sizes[name] for name in FIELDS)
    chosen = {
        name: float(page.locator(f".nld-grid [data-field={name}] label:has(input:checked)").inner_text())
        for name in FIELDS
    }
    end = data.sel(chosen, method="nearest").isel(step=-1)
    for number, mode in enumerate(MODES):
        assert measured(float(end["test_loss"][number]), page.locator(f"td[data-mode={mode}]").first.inner_text())
    assert page.locator(".nld-grid noscript").inner_text().startswith("Choosing needs JavaScript.")
    assert page.locator(".nld-grid polyline").count() == 6
    page.context.close()
