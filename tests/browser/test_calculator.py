"""The calculator: in a real browser it says what Python says, to the letter, and its numbers are the theory's."""

import json
import math
import re

import pytest

from nld.publish.explorables import calculator
from tests.browser.reader import SIZE

pytestmark = pytest.mark.browser
EXPLORABLE = calculator
RUNS = [
    {"optimizer": optimizer, "learning_rate": rate, "momentum": beta, "weight_decay": k, "steps": steps, "batch": 128}
    for optimizer in calculator.OPTIMIZERS
    for rate, beta, k, steps in (
        (0.1, 0.9, 0.0005, 78200),
        (0.1, 0.9, 0.0008, 1),  # a memory of 312.5 steps, half-way between two roundings
        (0.001, 0.9, 0.1, 3000),
        (0.001, 0.99, 0.1, 14000),
        (0.3, 0.0, 0.3, 100),
        (1e-05, 0.999, 1e-05, 10),
        (0.1, 0.9, 0, 1000),
    )
]


def said(page) -> dict[str, str]:
    answers = "[...document.querySelectorAll('[data-answer]')].map(place => [place.dataset.answer, place.textContent])"
    return dict(page.evaluate(answers))


def typed(page, run: dict) -> None:
    page.locator("select").select_option(run["optimizer"])
    for name, value in run.items():
        if name != "optimizer":
            page.locator(f"input[name={name}]").fill(f"{value:g}")


def test_the_page_says_what_python_says(tab, alone):
    opened = tab.open(alone, wait=False)
    for run in RUNS:
        typed(opened.page, run)
        assert said(opened.page) == calculator.answers(**run), run
    assert opened.complaints == []
    assert opened.failed == []


def test_the_numbers_are_those_of_python(exported):
    call = exported("calculator.js")
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', calculator.show().data)[1])
    for run in RUNS:
        if run["weight_decay"]:
            found = call("exports.numbers", run, data)
            assert found == pytest.approx(calculator.numbers(**run), rel=1e-12)


def test_the_numbers_are_those_of_the_book():
    """By the closed forms of the chapters, to leading order in ηk."""
    eta, beta, k = 0.1, 0.9, 0.0005
    sgd = calculator.numbers("sgd", eta, beta, k, steps=1000, batch=10)
    assert sgd["memory"] == pytest.approx((1 - beta) / (4 * k * eta))
    assert sgd["images"] == pytest.approx(5000)
    assert sgd["left"] == pytest.approx(math.exp(-2))
    assert sgd["angle"] == pytest.approx(math.sqrt(2 * eta * k / (1 + beta)), rel=1e-4)
    assert sgd["norm"] == pytest.approx(math.sqrt(eta / (2 * k * (1 - beta))), rel=1e-4)
    adamw = calculator.numbers("adamw", 0.001, beta, 0.1, steps=1000, batch=10)
    assert adamw["memory"] == pytest.approx(5000)
    assert adamw["root"] == pytest.approx(math.sqrt(0.001 / (2 * 0.1)), rel=1e-3)
    assert adamw["angle"] == pytest.approx(math.sqrt(2 * 0.0001 * (1 - beta) / (1 + beta)), rel=1e-3)


def test_every_sentence_is_said_of_some_run():
    answers = [answer for run in RUNS for answer in calculator.answers(**run).values()]
    for name in ("memory", "no memory", "zero", "off", "on", "noisy", "reached", "missed", "none", "angle"):
        begin = calculator.SENTENCES[name].partition("{")[0]
        assert any(answer.startswith(begin) for answer in answers), name


def test_what_cannot_be_is_refused_in_words(tab, alone):
    page = tab.open(alone, wait=False).page
    for name, value in (("momentum", "1"), ("learning_rate", "0"), ("weight_decay", "20"), ("steps", "")):
        stood = page.locator(f"input[name={name}]").input_value()
        page.locator(f"input[name={name}]").fill(value)
        assert page.locator("[data-invalid]").inner_text() == calculator.SENTENCES["invalid"]
        assert set(said(page).values()) == {"–"}
        page.locator(f"input[name={name}]").fill(stood)
        assert not page.locator("[data-invalid]").is_visible()


def test_on_paper_the_answers_stand_beside_their_numbers(tab, alone):
    page = tab.open(alone, wait=False).page
    page.emulate_media(media="print")
    assert all(page.locator(f"input[name={name}]").is_visible() for name in calculator.FIELDS)


def test_by_keyboard_and_without_scripts(browser, tab, alone):
    page = tab.open(alone, wait=False).page
    page.locator("select").focus()
    page.keyboard.press("ArrowDown")
    expected = calculator.answers("adamw", **calculator.DEFAULT)
    assert said(page) == expected
    still = browser.new_context(java_script_enabled=False, viewport=SIZE).new_page()
    still.goto(alone)
    places = still.locator("[data-answer]")
    answers = {places.nth(n).get_attribute("data-answer"): places.nth(n).inner_text() for n in range(places.count())}
    assert answers == calculator.answers("sgd", **calculator.DEFAULT)
    assert still.locator("noscript").inner_text().startswith("Other numbers need JavaScript.")
    assert still.locator("input:disabled").count() == len(calculator.FIELDS)
    still.context.close()
