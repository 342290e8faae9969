"""The network that trains in the page: in a real browser, from a disk, its numbers are those of PyTorch."""

import json

import numpy as np
import pytest
import torch

from nld.experiment.studies import page_training
from nld.publish.explorables import explorable_training
from tests.browser.reader import SIZE

pytestmark = pytest.mark.browser
EXPLORABLE = explorable_training
DEFAULT = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.0005, "filter_scale": 1.0, "hold": False}
PROGRAM = """(data, p) => {
  const out = exports.run(data, exports.decode(data), p);
  while (out.step());
  return out;
}"""
WATCH = """() => {
  const line = document.querySelector('[data-quantity=squared_norm] polyline[data-curve=measured]');
  const before = line.getAttribute('points'), button = document.querySelector('.nld-training button');
  button.addEventListener('click', () => { window.clicked = performance.now(); }, {capture: true});
  new MutationObserver(() => { window.drawn ??= performance.now(); }).observe(line, {attributes: true});
}"""


@pytest.fixture
def in_the_browser(exported):
    """What the script computes of a setting in so many steps."""
    call, data = exported("explorable-training-engine.js"), json.loads(explorable_training.page_data())

    def train(setting: dict, steps: int) -> dict[str, np.ndarray]:
        found = call(PROGRAM, data | {"steps": steps}, setting)
        return {name: np.array(value) for name, value in found.items()}

    return train


def by_pytorch(setting: dict, steps: int, rounding: int | None = None) -> dict[str, np.ndarray]:
    """The same training by PyTorch alone: loss, charge of the momentum buffer, squared norms.

    Args:
        rounding: seed of another rounding: after every step each parameter goes to a neighbouring number, by chance.
    """
    network = page_training.two_layers(setting["filter_scale"])
    chance = None if rounding is None else torch.Generator().manual_seed(rounding)
    filters = network[0].weight
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=setting["learning_rate"],
        momentum=setting["momentum"],
        weight_decay=setting["weight_decay"],
    )
    start = filters.detach().norm(dim=1, keepdim=True)
    out = {
        "loss": [],
        "charge": [],
        "squared_norm": [filters.detach().square().sum(1)],
        "squared_step": [],
        "gradient": [],
    }
    for images, labels in page_training.batches(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        before = filters.detach().clone()
        out["gradient"].append(filters.grad.square().sum(1))
        optimizer.step()
        if chance is not None:
            with torch.no_grad():
                for parameter in network.parameters():
                    up = torch.randint(0, 2, parameter.shape, generator=chance)
                    parameter.copy_(torch.nextafter(parameter, parameter + 2 * up - 1))
        out["loss"].append(loss.detach())
        out["charge"].append((optimizer.state[filters]["momentum_buffer"] * before).sum(1))
        out["squared_step"].append((filters.detach() - before).square().sum(1))
        if setting["hold"]:
            with torch.no_grad():
                filters.mul_(start / filters.norm(dim=1, keepdim=True))
        out["squared_norm"].append(filters.detach().square().sum(1))
    return {name: torch.stack(rows).numpy() for name, rows in out.items()}


def agree(found: dict, expected: dict, rtol: float) -> None:
    for name in ("loss", "charge", "squared_norm"):
        size = np.abs(expected[name]).max()  # charges pass through zero
        np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=rtol * size, err_msg=name)


@pytest.mark.parametrize(
    "changed",
    [{}, {"hold": True}, {"momentum": 0.5, "weight_decay": 0.01}, {"learning_rate": 1.0, "filter_scale": 10.0}],
    ids=str,
)
def test_fifty_steps_are_those_of_pytorch(in_the_browser, changed):
    setting = DEFAULT | changed
    agree(in_the_browser(setting, 50), by_pytorch(setting, 50), rtol=1e-9)


def test_what_is_predicted_is_what_the_theory_predicts(in_the_browser):
    found, measured = in_the_browser(DEFAULT, 50), by_pytorch(DEFAULT, 50)
    norm, beta, eta, k = measured["squared_norm"], 0.9, 0.1, 0.0005
    exact, charge, before = [norm[0]], np.zeros_like(norm[0]), 0
    for step in measured["squared_step"]:  # the recursion of the exact law
        charge = beta * (charge + before) - eta * k * exact[-1]
        exact.append(exact[-1] + 2 * charge + step)
        before = step
    np.testing.assert_allclose(found["exact"], exact, rtol=1e-9)
    rate = 4 * k * eta / (1 - beta)  # T&K (17), as an integral over steps in each of which |g^|² is constant
    unit = norm[:-1] * measured["gradient"]
    for name, chi in (("white", 1.0), ("smooth", 19.0)):
        forgotten = np.exp(-rate * np.arange(len(unit))[::-1])[:, None] * unit
        gain = 2 * eta**2 * chi / (1 - beta) ** 2 * (1 - np.exp(-rate)) / rate
        last = np.sqrt(gain * forgotten.sum(0) + np.exp(-rate * len(unit)) * norm[0] ** 2)
        np.testing.assert_allclose(found[name][-1], last, rtol=1e-9, err_msg=name)


@pytest.mark.slow
def test_a_thousand_steps_are_those_of_pytorch(in_the_browser):
    agree(in_the_browser(DEFAULT, 1000), by_pytorch(DEFAULT, 1000), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{"hold": True}, {"learning_rate": 1.0}, {"momentum": 0.98}], ids=str)
def test_elsewhere_the_browser_is_as_near_as_another_rounding(in_the_browser, changed):
    """Training amplifies rounding: in every step, runs of PyTorch that round otherwise bound what may be asked.

    At η = 1 w²/ℓ training makes 10⁻¹ of 10⁻¹⁵ within 650 steps. There such runs differ from PyTorch by amounts that lie
    a hundredfold apart, and every second of them is farther than the farthest of four others. So the browser may be
    farther than all of them by what lies between them. A learning rate that is wrong by 10⁻⁹ of itself is seen.
    """
    setting = DEFAULT | changed
    expected = by_pytorch(setting, 1000)
    twins = [by_pytorch(setting, 1000, seed) for seed in range(4)]
    assert beyond_rounding(in_the_browser(setting, 1000), expected, twins) == []
    faulty = by_pytorch(setting | {"learning_rate": setting["learning_rate"] * (1 + 1e-9)}, 1000)
    assert beyond_rounding(faulty, expected, twins) == ["loss", "charge", "squared_norm"][: 2 if setting["hold"] else 3]


def beyond_rounding(found: dict, expected: dict, twins: list[dict]) -> list[str]:
    """What is farther from the expected, at any step, than roundings are, times how far these lie apart."""
    beyond = []
    for name in ("loss", "charge", "squared_norm"):
        rounding = 1e-14 * np.abs(expected[name]).max()
        distances = np.maximum([distance(twin[name], expected[name]) for twin in twins], rounding)
        farthest, nearest = distances.max(0), distances.min(0)
        if (distance(found[name], expected[name]) > farthest * (farthest / nearest).max()).any():
            beyond.append(name)
    return beyond


def distance(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The largest difference of any filter until each step."""
    return np.maximum.accumulate(np.abs(found - expected).reshape(len(expected), -1).max(1))


def test_a_click_trains_and_ends_where_pytorch_ended(tab, alone):
    opened = tab.open(alone, wait=False)
    page = opened.page
    text = page.locator(".nld-training output").inner_text()
    curves = "() => [...document.querySelectorAll('.nld-training polyline')].map(l => l.getAttribute('points'))"
    stood = page.evaluate(curves)
    page.evaluate(WATCH)
    page.locator(".nld-training button").click()
    page.wait_for_selector(".nld-training[data-state=trained]")
    assert page.evaluate("window.drawn - window.clicked") < 1000  # ms; a slice is 12
    assert page.locator(".nld-training output").inner_text() == text
    for before, after in zip(stood, page.evaluate(curves), strict=True):
        points = [np.array([p.split(",") for p in line.split()], dtype=float) for line in (before, after)]
        np.testing.assert_allclose(points[1], points[0], atol=0.11)  # coordinates have one decimal
    assert opened.complaints == []
    assert opened.failed == []


def test_keys_move_and_hold_and_the_text_follows(tab, alone):
    opened = tab.open(alone, wait=False)
    page = opened.page
    page.locator("input[name=learning_rate]").focus()
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.wait_for_selector(".nld-training[data-state=trained]")
    assert "Every norm is what it was at first" in page.locator("output").inner_text()
    assert page.locator("[data-quantity=squared_norm] [data-curve=smooth]").get_attribute("points") == ""
    heights = page.locator("[data-quantity=squared_norm] [data-curve=measured]").get_attribute("points").split()
    assert len({point.split(",")[1] for point in heights}) == 1
    page.locator("input[name=filter_scale]").focus()
    page.keyboard.press("End")
    page.wait_for_selector(".nld-training[data-state=trained]")
    assert page.locator("input[name=filter_scale]").get_attribute("aria-valuetext") == "10"
    expected = 100 * np.median(by_pytorch(DEFAULT, 1)["squared_norm"][0])
    assert f"in the median {expected:.3g} w²" in page.locator("output").inner_text()
    assert page.locator("[data-quantity=loss] [data-curve=before]").get_attribute("points")
    assert opened.complaints == []


def test_a_run_that_diverges_is_said_to(tab, alone):
    page = tab.open(alone, wait=False).page
    page.evaluate("document.querySelector('input[name=learning_rate]').max = 400")
    slider = page.locator("input[name=learning_rate]")
    slider.evaluate("slider => { slider.value = 200; slider.dispatchEvent(new Event('input')); }")
    page.wait_for_selector(".nld-training[data-state=trained]")
    assert "this run diverged" in page.locator("output").inner_text()


def test_without_scripts_the_run_of_pytorch_stands_there(browser, alone):
    page = browser.new_context(java_script_enabled=False, viewport=SIZE).new_page()
    page.goto(alone)
    assert page.locator(".nld-training noscript").inner_text().startswith("Training in the page needs JavaScript.")
    assert not page.locator(".nld-training fieldset").is_visible()
    assert page.locator("[data-quantity=squared_norm] polyline").count() == 5
    assert "T&K (17)" in page.locator(".nld-training output").inner_text()
    page.context.close()
