"""The fan: an estimate first, then a dot that is dragged; its numbers are those of Python and of the drawing board."""

import itertools
import math

import numpy as np
import pytest

from nld.publish.explorables import explorable_fan
from tests.browser.reader import SIZE

pytestmark = pytest.mark.browser
EXPLORABLE = explorable_fan
TABLE = list(itertools.product(explorable_fan.METRICS, (0.5, 1.0, 3.0), (5.0, 60.0, 85.0), (0.1, 1.0)))


def points(page, selector: str) -> np.ndarray:
    return np.array([p.split(",") for p in page.locator(selector).get_attribute("points").split()], dtype=float)


def test_the_numbers_are_those_of_python(exported):
    call = exported("explorable-fan.js")
    for row in TABLE:
        found = call("exports.compute", *row, explorable_fan.STRETCH)
        assert found == pytest.approx(explorable_fan.compute(*row), rel=1e-9, abs=1e-12), row


def test_the_numbers_are_those_of_the_drawing_board():
    """Pythagoras in the round and the elliptic plane; in Burg's, (1 + a)(1 - a) whatever the norm."""
    sin, cos = math.sin(math.radians(60)), math.cos(math.radians(60))
    for norm in (0.5, 1.0, 3.0):
        force = 0.7 * sin / norm**2  # eta |g| over the norm
        round_, ellipse, burg = (explorable_fan.compute(name, norm, 60, 0.7) for name in ("round", "ellipse", "burg"))
        assert round_["turn"] == pytest.approx(math.degrees(math.atan(force)))
        assert round_["change"] == pytest.approx(force**2)
        assert ellipse["change"] == pytest.approx(force**2 * (sin**2 + cos**2 / 3) / (cos**2 + 3 * sin**2))
        assert burg["change"] == pytest.approx(-((0.7 * sin**2 * cos) ** 2))


def test_an_estimate_comes_first(tab, alone):
    opened = tab.open(alone, wait=False)
    page = opened.page
    assert page.locator("[data-part=controls] input:disabled").count() == 6
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator(".nld-answer").inner_text().startswith("You said: as much as before.")
    assert page.locator("[data-part=controls] input:disabled").count() == 0
    turns = [explorable_fan.compute("round", norm, 60, 0.7)["turn"] for norm in (1, 2)]
    assert f"by 1/{turns[0] / turns[1]:.3g} of what" in page.locator(".nld-answer").inner_text()
    page.locator("input[value='4']").check()
    assert page.locator(".nld-answer").inner_text().endswith("That is what you said.")
    assert opened.complaints == []


def test_the_dot_is_dragged_along_its_ray_and_stays_on_it(tab, alone):
    page = tab.open(alone, wait=False).page
    handle = page.locator(".nld-handle")

    def drag(right: float, up: float):
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + right, y - up, steps=3)
        page.mouse.up()

    drag(0, 60)
    assert page.locator("input[name=norm]").input_value() == "1"  # before the estimate nothing moves
    page.locator("input[value='2']").check()
    drag(0, 60)
    norm = float(page.locator("input[name=norm]").input_value())
    assert 1.2 < norm < 2.5
    frame = explorable_fan.FRAME
    at = np.array([float(page.locator(".nld-here").get_attribute(name)) for name in ("cx", "cy")])
    q = (at - [frame["left"], frame["top"] + frame["size"]]) * [1, -1] * frame["span"] / frame["size"]
    assert math.degrees(math.atan2(q[1], q[0])) == pytest.approx(60, abs=0.2)
    assert np.hypot(*q) == pytest.approx(norm, abs=0.01)
    found = explorable_fan.compute("round", norm, 60, 0.7)
    assert f"The step turns the filter by {found['turn']:.3g}°" in page.locator(".nld-readout").inner_text()


def test_keys_choose_a_metric_and_take_steps(tab, alone):
    page = tab.open(alone, wait=False).page
    assert len(points(page, "polyline.nld-flow")) == 43
    page.locator("input[value='2']").check()
    page.locator("input[value=round]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    found = explorable_fan.compute("burg", 1, 60, 0.7)
    assert f"changes q₁q₂, which gradient flow would keep, by −{-100 * found['change']:.3g} %" in (
        page.locator(".nld-readout").inner_text()
    )
    level = points(page, "[data-curve=burg]")[:, 1]
    assert np.ptp(level) == 0
    assert np.ptp(points(page, "[data-curve=round]")[:, 1]) > 50
    page.locator(".nld-fan button").focus()
    page.keyboard.press("Enter")
    assert float(page.locator("input[name=norm]").input_value()) == pytest.approx(
        math.hypot(found["x"], found["y"]), abs=0.006
    )
    assert float(page.locator("input[name=angle]").input_value()) == pytest.approx(60 - found["turn"], abs=0.26)


def test_without_scripts_the_first_step_stands_there(browser, tab, alone):
    lively = tab.open(alone, wait=False).page
    before = lively.locator(".nld-readout").inner_text()
    curves = [points(lively, f"[data-curve={name}]") for name in explorable_fan.METRICS]
    lively.locator("input[value='2']").check()
    lively.locator("input[name=norm]").focus()
    lively.keyboard.press("ArrowRight")
    lively.keyboard.press("ArrowLeft")  # drawn by the script, where Python drew it
    assert lively.locator(".nld-readout").inner_text() == before
    for name, curve in zip(explorable_fan.METRICS, curves, strict=True):
        np.testing.assert_allclose(points(lively, f"[data-curve={name}]"), curve, atol=0.11)
    page = browser.new_context(java_script_enabled=False, viewport=SIZE).new_page()
    page.goto(alone)
    assert page.locator(".nld-readout").inner_text() == before
    assert page.locator("noscript").inner_text().startswith("Pulling needs JavaScript.")
    assert page.locator("fieldset:disabled").count() == 2
    page.context.close()
