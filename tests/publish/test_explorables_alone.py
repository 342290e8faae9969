"""What holds of every page within a page: it asks the network for nothing, is light, and stands without its script."""

import json
import re
from pathlib import Path

import pytest

from nld.publish.explorables import calculator, explorable, explorable_books, explorable_fan, explorable_training

STATIC = Path(__file__).parents[2] / "book" / "_static"
SHOWN = [calculator, explorable, explorable_books, explorable_fan, explorable_training]


@pytest.fixture(scope="module", params=SHOWN, ids=lambda module: module.__name__.rpartition(".")[2])
def page(request) -> str:
    return request.param.show().data


def test_it_is_offline_and_light(page):
    scripts = re.findall(r'<script src="\.\./_static/([\w-]+\.js)">', page)
    source = "".join((STATIC / script).read_text("utf-8") for script in scripts)
    assert source
    assert not re.findall(r"https?://|\bfetch\(|\bimport\b", page + source)
    assert len((page + source).encode()) < 150_000


def test_its_data_are_json_that_html_does_not_end(page):
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    json.loads(data)
    assert "<" not in data


def test_every_control_has_a_name_and_waits_for_the_script(page):
    controls = re.findall(r"<(?:input|select)\b", page)
    assert len(re.findall(r"<label[^>]*>(?:(?!</label>).)*<(?:input|select)\b", page)) == len(controls) > 0
    outer = re.findall(r"<fieldset(?: hidden| disabled)[ >]", page)
    assert len(outer) == page.count("<fieldset")
    assert "<noscript>" in page


def test_every_picture_has_a_text(page):
    for picture in re.findall(r"<svg\b[^>]*>", page):
        assert 'aria-hidden="true"' in picture or re.search(r'role="img".*aria-label="[^"]+"', picture)
