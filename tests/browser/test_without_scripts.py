"""With scripts off: pages are light and readable, and each page within a page shows its first state and says why."""

from pathlib import Path

import pytest

from tests.browser.conftest import KINDS
from tests.browser.reader import SIZE
from tests.browser.test_pages import CONTRAST, PAGES, SHOWN

WITH_EXPLORABLES = {
    "keeping-the-books",
    "kinetic-symmetry-breaking",
    "normalization-as-adaptive-optimization",
    "what-is-true",
    "what-symmetry-breaking-buys",
    "where-the-closed-form-ends",
}
PARAMETERS = [
    pytest.param(p, marks=() if Path(p).stem in KINDS | WITH_EXPLORABLES else pytest.mark.slow) for p in PAGES
]
EXPLORABLES = """() => [...document.querySelectorAll('.nld-explorable')].map(e => ({
  said: e.querySelector('noscript').checkVisibility() && e.querySelector('noscript').innerText.includes('JavaScript'),
  alive: [...e.querySelectorAll('input, select, button')].filter(c => c.checkVisibility() && !c.matches(':disabled'))
    .length,
  drawn: [...e.querySelectorAll('polyline[points], [data-answer]')].filter(c => c.checkVisibility()).length,
}))"""
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def still(browser):
    """A tab in which no script runs."""
    page = browser.new_context(java_script_enabled=False, viewport=SIZE).new_page()
    yield page
    page.context.close()


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_page_can_be_read_without_scripts(name, still, address):
    still.goto(f"{address['file']}/{name}")
    assert still.evaluate(CONTRAST) == []
    shown = still.evaluate(SHOWN, ["light", "dark"])
    assert shown == [[True, False]] * len(shown)
    behind_the_icons = "getComputedStyle(document.querySelector('.bd-header-article')).backgroundColor"
    assert still.evaluate(behind_the_icons) == "rgb(255, 255, 255)"
    told = still.locator("article > noscript")
    assert still.locator(".math").count() == 0 or "stand here as LaTeX" in told.first.inner_text()
    explorables = still.evaluate(EXPLORABLES)
    assert bool(explorables) == (Path(name).stem in WITH_EXPLORABLES)
    for explorable in explorables:
        assert explorable["said"], explorable
        assert explorable["alive"] == 0, explorable
        assert explorable["drawn"] >= 2, explorable
