"""Templates: what they say is their own, what they are given is escaped, and a change in one is a change of source."""

import hashlib
import io
import re
import zipfile
from datetime import date

import jinja2
import pytest
from bs4 import BeautifulSoup

from nld.publish import rendering
from nld.publish.pages import card
from nld.publish.pages.citation import Citation
from nld.results import dependencies
from tests.publish.scratch import REPOSITORY

TEMPLATES = sorted(path for folder in rendering.FOLDERS for path in folder.iterdir())
NASTY = "<b onclick=\"x\">it's & 'so'</b>"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_only_white_space_is_taken_from_a_template(path):
    source = path.read_text("utf-8")
    read = rendering._OneLine(rendering._environment()).preprocess(source, path.name)
    assert re.sub(r"\s", "", read) == re.sub(r"\s", "", source)
    assert re.findall(r"\S+", re.sub(r"[<>{}]", " ", read)) == re.findall(r"\S+", re.sub(r"[<>{}]", " ", source))
    part_of_a_page = path.suffix == ".html" and not source.startswith("<!doctype")
    assert (read == source) is not part_of_a_page
    assert ("\n" in read) is not part_of_a_page


def test_two_templates_never_share_a_name():
    assert len({path.name for path in TEMPLATES}) == len(TEMPLATES)


def test_a_value_that_is_not_given_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="title"):
        rendering.render("front_door.html", page="a.html", icon="b.svg")


def test_a_card_shows_whatever_it_is_given_as_text():
    origin = {
        "figure": "fig-x",
        "profile": NASTY,
        "parameters": {"start": NASTY},
        "source_hash": NASTY,
        "verdicts": [{"claim": "c", "label": "refuted", "numbers": NASTY, "statement": "It holds.", "scale": NASTY}],
    }
    cited = Citation("fig-x", NASTY, "https://x/", NASTY, "0", NASTY, 2026, NASTY)
    for changed in (None, {"seed": NASTY}):
        page = BeautifulSoup(card.card(origin, cited, "../", "https://r", changed), "html.parser")
        assert not page.select("b, [onclick]")
        assert page.get_text().count(NASTY) >= 4
        assert NASTY in page.select_one("a.nld-badge")["title"]


def test_a_card_spells_out_the_formulas_of_its_rulings():
    verdict = {
        "claim": "c",
        "label": "refuted",
        "numbers": r"Off $\beta = \sqrt{\rho}$ by 1e-8.",
        "statement": "It holds.",
    }
    origin = {"figure": "fig-x", "profile": "quick", "parameters": {}, "source_hash": "0", "verdicts": [verdict]}
    cited = Citation("fig-x", "t", "https://x/", "a", "0", "v", 2026, "b")
    page = BeautifulSoup(card.card(origin, cited, "../", "https://r"), "html.parser").get_text()
    assert "It holds. Off β = √(ρ) by 10⁻⁸." in page
    assert "$" not in page


def test_text_is_not_escaped_where_nothing_reads_html():
    text = rendering.render("readme.txt", title=NASTY, version="1", wheel="nld.whl")
    assert text.startswith(f"{NASTY}, version 1\n")
    assert text.endswith("to the last bit.\n")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_counts_as_source_of_its_package(path):
    package = f"nld.publish.{path.parents[1].name}"
    hashes = dependencies.source_hashes(frozenset({package}))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    listed = hashes[f"{package}/templates/{path.name}"]
    assert len(listed) >= 16
    assert digest.startswith(listed)


@pytest.mark.parametrize("code", ["from nld.publish.explorables import explorable", "import nld.publish.explorables"])
def test_a_chapter_that_shows_an_explorable_reaches_its_template(code):
    hashes = dependencies.source_hashes(dependencies.reached_modules(code))
    assert "nld.publish.explorables/templates/explorable.html" in hashes


def test_the_wheel_holds_every_template():
    pytest.importorskip("hatchling", reason='needs hatchling: pip install -c constraints.txt -e ".[archive]"')
    from nld.publish.exports.archive import build_wheel

    _, content = build_wheel(REPOSITORY, date(2026, 1, 1))
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        assert {path.relative_to(REPOSITORY).as_posix() for path in TEMPLATES} <= set(wheel.namelist())
