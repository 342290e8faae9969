"""What the pages tell machines and browsers: titles, descriptions, sizes of pictures, the map of the site, previews."""

import html
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
from bs4 import BeautifulSoup

from nld.publish.pages.page_heads import LONGEST, collect

BASE = "https://nld-book.github.io/nld/"


@pytest.fixture(scope="module")
def page(built):
    return BeautifulSoup(built.page("picture"), "html.parser")


def meta(page, name):
    found = page.select(f'meta[property="{name}"], meta[name="{name}"]')
    assert len(found) == 1, name
    return found[0]["content"]


def test_a_page_introduces_itself(page):
    assert meta(page, "og:title") == "Picture"
    assert meta(page, "og:url") == f"{BASE}book/picture.html" == page.select_one('link[rel="canonical"]')["href"]
    assert meta(page, "og:image") == f"{BASE}figures/fig-toy/figure.png"
    assert meta(page, "description") == meta(page, "og:description")
    assert 0 < len(meta(page, "description")) <= LONGEST + 2


def test_pictures_have_the_size_of_their_drawing(built, page):
    images = page.select("figure.nld-figure img")
    assert len(images) == 2
    for image in images:
        path = built.root / "_build" / "html" / "book" / image["src"]
        width, height = map(float, re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', path.read_text()).groups())
        assert float(image["width"]) / float(image["height"]) == pytest.approx(width / height, rel=0.005)
        assert image["loading"] == "lazy"


def test_the_sitemap_lists_every_page_and_nothing_else(built):
    site = built.root / "_build" / "html"
    tree = ElementTree.parse(site / "sitemap.xml")
    listed = [element.text for element in tree.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    assert len(set(listed)) == len(listed)
    assert {text.removeprefix(BASE) for text in listed} == {f"book/{path.name}" for path in site.glob("book/*.html")}


def test_the_page_for_lost_readers_works_at_any_address(built):
    page = BeautifulSoup((built.root / "_build" / "html" / "404.html").read_text(), "html.parser")
    assert all(link["href"].startswith(BASE) for link in page.select("a"))
    assert not page.select("script, link[rel=stylesheet]")


def test_previews_hold_figures_formulas_and_references_without_links():
    text = (
        '<div class="math" id="equation-eq-a"><span class="eqno">(1)<a class="headerlink">#</a></span>x</div>'
        '<figure class="nld-figure" id="fig-a"><img src="../figures/fig-a/figure.svg"><figcaption><p>A '
        '<a href="x.html">link</a>.</p><div class="legend">card</div></figcaption></figure>'
        '<div class="citation" id="id1"><span class="label">[A]</span><p>Somebody. Title.</p></div><p id="other">no</p>'
    )
    found = collect(text, "book/page.html")
    assert set(found) == {f"book/page.html#{name}" for name in ("equation-eq-a", "fig-a", "id1")}
    assert 'src="figures/fig-a/figure.svg"' in found["book/page.html#fig-a"]
    assert found["book/page.html#id1"] == "<p>Somebody. Title.</p>"
    everything = "".join(found.values())
    assert not re.search(r"<a\b|headerlink|card| id=", everything)
    assert "A link." in everything


def test_the_built_book_offers_previews_as_a_script(built):
    script = (built.root / "_build" / "html" / "_static" / "previews.js").read_text()
    found = json.loads(script.removeprefix("window.nldPreviews = ").rstrip(";\n"))
    assert "A toy." in html.unescape(found["book/picture.html#fig-toy"])
