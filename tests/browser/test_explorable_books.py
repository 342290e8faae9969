"""The sabotaged books: an estimate first, then steps; its entries and its words are those of Python."""

import numpy as np
import pytest

from nld.experiment.studies import sabotaged
from nld.publish.explorables import explorable_books
from tests.browser.reader import SIZE

pytestmark = pytest.mark.browser
EXPLORABLE = explorable_books
NOTICED = ("entries", "momentum", "epsilon")


@pytest.fixture(scope="module")
def measured():
    return explorable_books.record()


def choose(page, run: str, step: int) -> None:
    page.locator("input[name=nld-books-estimate]").first.check()
    page.locator(f"input[name=nld-books-run][value={run}]").check()
    page.locator("input[name=step]").fill(str(step))


@pytest.mark.parametrize("momentum", [0.9, 0.8])
def test_the_entries_are_those_of_python(exported, measured, momentum):
    call = exported("explorable-books.js")
    for name in sabotaged.SABOTAGES:
        run = measured.sel(sabotage=name)
        columns = {variable: run[variable].values.tolist() for variable in run.data_vars}
        found = call("exports.books", columns, momentum, sabotaged.RATES["weight_decay"])
        for entry, expected in explorable_books.books(run, momentum).items():
            assert found[entry] == expected.tolist(), (name, entry)  # the same sums in the same order


@pytest.mark.parametrize("name", explorable_books.WORDS)
def test_each_step_is_told_as_python_tells_it(tab, alone, measured, name):
    opened = tab.open(alone, wait=False)
    page, run = opened.page, measured.sel(sabotage=name)
    kept = explorable_books.books(run, 0.9)
    for step in (0, 19, 20, 39):
        choose(page, name, step)
        assert page.locator(".nld-readout").inner_text() == explorable_books.sentence(run, kept, step)
        amounts = page.locator("[data-amount]").all_text_contents()
        moves = [kept[entry][step] for entry in ("dissipation", "kinetic", "decay", "residual")]
        assert amounts == [explorable_books.thousandths(x) for x in (*moves, sum(moves))]
        bars = [float(bar.get_attribute("width")) for bar in page.locator("[data-entry]").all()]
        scale = max(bars) / max(map(abs, [*moves, sum(moves)]))
        np.testing.assert_allclose(bars, [max(0.8, scale * abs(x)) for x in (*moves, sum(moves))], atol=0.2)
    assert opened.complaints == []
    assert opened.failed == []


def test_an_estimate_comes_first_and_is_judged_by_the_measurement(tab, alone, measured):
    page = tab.open(alone, wait=False).page
    assert page.locator("[data-part=controls] input:disabled").count() == 7
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator("[data-part=controls] input:disabled").count() == 0
    assert "So it is. From step 20 on" in page.locator(".nld-answer").inner_text()
    for name in NOTICED:
        page.locator(f"input[name=nld-books-estimate][value={name}]").check()
        left = explorable_books.power(explorable_books.worst(measured.sel(sabotage=name)))
        assert f"largest residual is {left} of" in page.locator(".nld-answer").inner_text()


def test_keys_step_through_and_the_residual_jumps_where_somebody_tampers(tab, alone):
    page = tab.open(alone, wait=False).page
    choose(page, "entries", 19)
    assert page.locator(".nld-readout").inner_text().endswith("The books balance.")
    page.locator(".nld-books button").focus()
    page.keyboard.press("Enter")
    assert page.locator("input[name=step]").input_value() == "20"
    assert "something was done to the loss or to its gradient" in page.locator(".nld-readout").inner_text()
    heights = [float(p.split(",")[1]) for p in page.locator("[data-curve=relative]").get_attribute("points").split()]
    assert len(heights) == 21
    assert min(heights[:-1]) - heights[-1] > 60  # of 130: more than eight powers of ten up
    page.locator("input[name=step]").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".nld-readout").inner_text().endswith("The books balance.")


def test_books_with_the_new_momentum_balance_from_the_step_of_the_change_on(tab, alone):
    page = tab.open(alone, wait=False).page
    choose(page, "momentum", 25)
    assert "the momentum is not what they take it for" in page.locator(".nld-readout").inner_text()
    page.locator("input[name=momentum]").focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert page.locator("input[name=momentum]").get_attribute("aria-valuetext") == "0.8"
    assert page.locator(".nld-readout").inner_text().endswith("The books balance.")
    page.locator("input[name=step]").fill("10")
    assert "The books do not balance" in page.locator(".nld-readout").inner_text()


def test_a_tap_steps_on_a_phone_and_nothing_is_wider_than_it(browser, alone):
    page = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).new_page()
    page.goto(alone)
    page.locator("input[name=nld-books-estimate]").last.tap()
    before = page.evaluate("document.documentElement.scrollHeight")
    for step in range(20, 24):
        page.locator(".nld-books button").tap()
        assert page.locator("[data-step]").inner_text() == str(step)
    assert page.evaluate("document.documentElement.scrollHeight") == before
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.context.close()


def test_without_scripts_the_last_untouched_step_and_the_results_stand_there(browser, tab, alone, measured):
    lively = tab.open(alone, wait=False).page
    curves = "() => [...document.querySelectorAll('.nld-plots polyline')].map(l => l.getAttribute('points'))"
    bars = "() => [...document.querySelectorAll('rect')].map(b => [b.getAttribute('x'), b.getAttribute('width')])"
    stood = lively.evaluate(curves), lively.evaluate(bars), lively.locator(".nld-readout").inner_text()
    choose(lively, "none", 19)  # drawn by the script, where Python drew it
    assert (lively.evaluate(curves), lively.evaluate(bars), lively.locator(".nld-readout").inner_text()) == stood
    page = browser.new_context(java_script_enabled=False, viewport=SIZE).new_page()
    page.goto(alone)
    told = page.locator("noscript").inner_text()
    assert told.startswith("Stepping needs JavaScript.")
    for name in ("norm", *NOTICED):
        left = explorable_books.power(explorable_books.worst(measured.sel(sabotage=name)))
        assert f"{left} of ‖π‖‖q‖ where {explorable_books.WORDS[name]}" in told
    assert page.locator("fieldset:disabled").count() == 2
    page.context.close()
