"""The network that trains in the page: what the page holds before any script runs."""

import json
import re

import pytest
from sklearn.datasets import load_digits

from nld.experiment.studies import page_training
from nld.publish.explorables import explorable_training


@pytest.fixture(scope="module")
def page() -> str:
    return explorable_training.show().data


def test_the_numbers_drawn_are_those_of_mulberry32():
    """The first of seeds 0, 1 and 2³²−1, from the customary five lines of JavaScript, run by Node."""
    firsts = {0: 1144304738, 1: 2693262067, 2**32 - 1: 3850105811}
    assert {seed: next(page_training.uniform(seed)) * 2**32 for seed in firsts} == firsts


def test_the_page_holds_the_training_digits(page):
    held = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page)[1])
    place, pixels = {c: n for n, c in enumerate(held["alphabet"])}, []
    for first, second in zip(held["images"][::2], held["images"][1::2], strict=True):
        number = 71 * place[first] + place[second]
        pixels += [number % 17, number // 17 % 17, number // 289]
    images = [tuple(pixels[n : n + 64]) for n in range(0, 64 * 1437, 64)]
    known, labels = load_digits(return_X_y=True)
    of_image = {tuple(map(int, image)): str(label) for image, label in zip(known, labels, strict=True)}
    assert len(set(images)) == len(held["labels"]) == 1437
    assert [of_image[image] for image in images] == list(held["labels"])


def test_the_first_picture_is_whole_without_a_script(page):
    assert "<fieldset hidden>" in page
    controls = re.findall(r"<label.*?</label>", page)
    assert len(controls) == page.count("<input") == len(explorable_training.SLIDERS) + 1
    curves = re.findall(r'data-curve="(\w+)" points="([^"]*)"', page)
    assert [name for name, points in curves if points] == ["measured"] + 2 * ["measured", "exact", "white", "smooth"]


def test_the_sentence_below_the_pictures_is_of_the_run(page):
    record = page_training.train_two_layers(**explorable_training.defaults())
    text = re.search(r"<output[^>]*>(.*?)</output>", page)[1]
    number = r"([\d.]+?)\.? "
    loss, norm, exact, white, smooth = (
        float(x)
        for x in re.search(
            rf"loss is {number}.*squared norm {number}.*law says {number}.*says {number}w² with χ = 1 and {number}",
            text,
        ).groups()
    )
    assert loss == pytest.approx(float(record["loss"][-10:].mean()), rel=5e-3)
    assert norm == pytest.approx(float(record["last_squared_norm"].median()), rel=5e-3)
    assert exact == norm
    assert abs(white / norm - 1) < 0.15
    assert smooth > 3 * norm
