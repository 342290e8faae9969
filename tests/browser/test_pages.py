"""The pages as a reader sees them: offline, formulas typeset, on a phone, in the dark.

Every page is opened once over file:// and once over http://, pages that are not one of each kind with -m slow; all of
its checks look at the same page.
"""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from nld.publish.execution.chapters import read_chapters
from tests.browser.reader import SIZE, Tab, settle

ROOT = Path(__file__).parents[2]
DOCUMENTS = [chapter.document for chapter in read_chapters(ROOT)]
PAGES = [f"{document}.html" for document in DOCUMENTS]
pytestmark = pytest.mark.browser

CONTRAST = """() => {
  const luminance = ([r, g, b]) => {
    const f = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
  };
  const remembered = (known, f) => key => {
    if (!known.has(key)) known.set(key, f(key));
    return known.get(key);
  };
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const parse = remembered(new Map(), text => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  });
  const over = (top, below) => [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * below[i]);
  const background = remembered(new Map(), element => element
    ? over(parse(getComputedStyle(element).backgroundColor), background(element.parentElement)) : [255, 255, 255]);
  const low = [];
  const walker = document.createTreeWalker(document.querySelector('article'), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility({visibilityProperty: true})) continue;
    if (element.closest('mjx-assistive-mml, .headerlink, script, style')) continue;
    const style = getComputedStyle(element), behind = background(element);
    const front = over(parse(style.color), behind);
    const [a, b] = [luminance(front), luminance(behind)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    const text = walker.currentNode.textContent.trim().slice(0, 40);
    if (ratio < (large ? 3 : 4.5)) low.push(`${ratio.toFixed(2)} ${text}`);
  }
  return low;
}"""

SHOWN = """modes => [...document.querySelectorAll('.nld-figure')].map(figure => modes.map(mode => {
  const image = figure.querySelector(`img.nld-${mode}`);
  return image.checkVisibility({visibilityProperty: true}) && image.getBoundingClientRect().height > 0;
}))"""
WIDER = """() => [...document.querySelectorAll('article *')]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && e.checkVisibility())
  .map(e => e.tagName + '.' + e.className).slice(0, 5)"""


SMALLEST = """() => Math.min(99, ...[...document.querySelectorAll('article div.math mjx-container')].map(
  e => parseFloat(getComputedStyle(e).fontSize)))"""
SHRUNK = """() => [...document.querySelectorAll('.nld-drawing img')].filter(
  i => i.checkVisibility() && i.getBoundingClientRect().width < 0.97 * i.getAttribute('width')).map(i => i.src)"""
CUT = """() => [...document.querySelectorAll('article div.math mjx-container, article table')].filter(
  e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1).map(
  e => [e.tagName === 'TABLE', e.tabIndex === 0 && e.classList.contains('nld-wide'), e.closest('[id]')?.id])"""


@pytest.fixture(scope="module", params=["file", "http"])
def scheme(request):
    return request.param


@pytest.fixture(scope="module")
def own_tab(browser):
    """Not `tab`: the tests with a page of their own run in between."""
    tab = Tab(browser)
    yield tab
    tab.close()


@pytest.fixture(scope="module", params=PAGES)
def opened(request, own_tab, address, scheme):
    return own_tab.open(f"{address[scheme]}/{request.param}")


# How a page looks does not depend on where it came from: once is enough.
once = pytest.mark.parametrize("scheme", ["http"], indirect=True, scope="module")


def test_a_page_asks_the_network_for_nothing_and_complains_of_nothing(opened, address, scheme):
    external = [url for url in opened.requests if not url.startswith((address[scheme], "data:", "blob:"))]
    assert external == []
    assert opened.failed == []
    assert opened.complaints == []


def test_all_formulas_are_typeset(opened):
    page = opened.page
    formulas = page.locator(".math").count()
    assert page.locator("mjx-container").count() == formulas
    assert page.locator("mjx-merror, .MathJax_Error").count() == 0
    assert page.evaluate("[...document.querySelectorAll('.math')].every(m => m.querySelector('mjx-container'))")
    text = page.locator("article").inner_text()
    assert r"\(" not in text
    assert r"\[" not in text
    assert "$$" not in text


@once
def test_pictures_are_there_with_a_text_and_follow_the_mode(opened):
    page = opened.page
    page.emulate_media(color_scheme="light")
    page.wait_for_function("document.documentElement.dataset.theme === 'light'")
    silent = page.evaluate("[...document.querySelectorAll('article img')].filter(i => !i.alt.trim()).map(i => i.src)")
    assert silent == []
    for mode, other in (("light", "dark"), ("dark", "light")):
        page.emulate_media(color_scheme=mode)
        page.wait_for_function(f"document.documentElement.dataset.theme === '{mode}'")
        settle(page)
        shown = page.evaluate(SHOWN, [mode, other])
        assert shown == [[True, False]] * len(shown)
        broken = page.evaluate(
            "[...document.images].filter(i => i.checkVisibility() && !(i.complete && i.naturalWidth)).map(i => i.src)"
        )
        assert broken == []


@once
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_is_readable(opened, mode):
    opened.page.emulate_media(color_scheme=mode)
    opened.page.wait_for_function(f"document.documentElement.dataset.theme === '{mode}'")
    assert opened.page.evaluate(CONTRAST) == []


@once
def test_no_formula_or_table_is_cut_off(opened):
    assert opened.page.evaluate(CUT) == []


@once
def test_on_a_phone_formulas_fit_and_what_is_wider_says_so_and_is_scrolled(opened):
    page = opened.page
    page.set_viewport_size({"width": 390, "height": 844})
    try:
        for _ in range(20):  # letters are fitted a moment after the window has its width, later on a busy machine
            page.wait_for_timeout(300)
            if not page.evaluate(SHRUNK) and page.evaluate("document.documentElement.scrollWidth") <= 390:
                break
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, page.evaluate(WIDER)
        cut = page.evaluate(CUT)
        assert [place for is_table, _, place in cut if not is_table] == []
        assert [place for _, says_so, place in cut if not says_so] == []
        assert page.evaluate(SMALLEST) >= 9
        shrunk = page.evaluate(SHRUNK)
        assert shrunk == [], "text of 7 points, the smallest in figures, has 9 pixels only in a drawing of its own size"
    finally:
        page.set_viewport_size(SIZE)


def test_links_within_the_book_lead_somewhere(opened, site):
    page = opened.page
    base = urlsplit(page.url)
    links = page.evaluate("[...document.querySelectorAll('a[href], link[href]')].map(a => a.href)")
    here = [urlsplit(link) for link in links if link.startswith(f"{base.scheme}://{base.netloc}")]
    assert here
    for link in here:
        path = Path(unquote(link.path)) if base.scheme == "file" else site / unquote(link.path).lstrip("/")
        path = path / "index.html" if path.is_dir() else path
        assert path.is_file(), f"{page.url} links to {link.geturl()}"
        if link.fragment and path.suffix == ".html" and not link.fragment.startswith((":", "__")):
            text = path.read_text("utf-8")
            assert re.search(rf"""(id|name)=["']{re.escape(unquote(link.fragment))}["']""", text), link.geturl()


def test_the_favicon_loads(opened, site):
    (icon,) = opened.page.evaluate("[...document.querySelectorAll('link[rel~=icon]')].map(l => l.href)")
    path = unquote(urlsplit(icon).path)
    path = Path(path) if icon.startswith("file:") else site / path.lstrip("/")
    assert path.stat().st_size > 0


def test_search_finds_a_word(tab, address, scheme):
    opened = tab.open(f"{address[scheme]}/search.html?q=kinetic")
    found = opened.page.locator("#search-results li a").first
    found.wait_for(timeout=20_000)
    assert opened.page.locator("#search-results li a[href*='symmetry-of-the-loss']").count()
    external = [url for url in opened.requests if not url.startswith((address[scheme], "data:", "blob:"))]
    assert external == []
    assert opened.complaints == []


def test_the_front_door_opens_the_book(tab, address, scheme):
    opened = tab.open(f"{address[scheme]}/index.html", wait=False)
    opened.page.wait_for_url(f"**/{PAGES[0]}")
    assert opened.complaints == []


def test_a_drawing_is_enlarged_by_a_tap_or_by_enter_and_closed_again(tab, address, scheme):
    page = tab.open(f"{address[scheme]}/{PAGES[0]}", size={"width": 390, "height": 844}).page
    drawing, large = page.locator(".nld-drawing").first, page.locator("dialog.nld-large")
    drawing.locator("img:visible").click()
    assert large.get_attribute("open") is not None
    assert large.locator("img").bounding_box()["width"] >= 800
    page.keyboard.press("Escape")
    assert large.get_attribute("open") is None
    drawing.focus()
    page.keyboard.press("Enter")
    assert large.get_attribute("open") is not None
    large.locator("button").click()
    assert large.get_attribute("open") is None


def test_a_figure_card_tells_where_the_figure_comes_from(tab, address, scheme):
    opened = tab.open(f"{address[scheme]}/{PAGES[0]}")
    card = opened.page.locator("details.nld-card").first
    card.locator("summary").click()
    opened.page.wait_for_function("document.querySelector('details.nld-card').dataset.filled === 'yes'")
    opened.page.wait_for_function("/ s$/.test(document.querySelector('[data-nld-field=wall_seconds]').textContent)")
    assert opened.complaints == []
