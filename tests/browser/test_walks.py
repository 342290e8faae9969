"""Three people use the book: one reads, one reruns, one cites. Each walk is made in the browser, over file://."""

import json
import re
import shlex
import subprocess
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import h5py
import pybtex.database
import pytest

from nld.cli import make_parser
from nld.publish.exports.archive import write_archive
from tests.browser.conftest import ROOT
from tests.browser.reader import open_window, settle
from tests.browser.test_pages import PAGES

pytestmark = pytest.mark.browser
LIMIT = 300_000  # bytes that a page makes a browser fetch, beyond what all pages share
LIST_LIMIT = 400_000  # of a page that is no chapter: all claims, all figures


def test_a_reader_goes_from_front_page_to_data_and_bibtex_in_three_clicks(tab, address):
    opened = tab.open(f"{address['file']}/book/index.html")
    page = opened.page
    page.locator(".bd-sidebar-primary a", has_text="Figures").click()  # one
    page.locator(".nld-gallery-entry p:not(.nld-gallery-files) a").nth(1).click()  # two: the figure in its chapter
    page.wait_for_url("**#fig-*")
    name = page.url.rpartition("#")[2]
    figure = page.locator(f"figure#{name}")
    assert figure.is_visible()
    data = figure.locator("a", has_text="netCDF").get_attribute("href")  # three would be either of these
    path = unquote(urlsplit(page.evaluate("link => new URL(link, location).href", data)).path)
    with h5py.File(path) as file:
        assert len(file) > 0
    figure.locator("details.nld-card summary").click()  # three
    bibtex = figure.locator("pre").first.inner_text()
    (entry,) = pybtex.database.parse_string(bibtex, "bibtex").entries.values()
    assert entry.fields["url"].endswith(f"#{name}")
    assert opened.complaints == []


@pytest.mark.slow
def test_a_keeper_opens_the_archive_without_a_network(browser, site, tmp_path):
    pytest.importorskip("rocrate", reason='needs rocrate: pip install -c constraints.txt -e ".[archive]"')
    (tmp_path / "book.pdf").write_bytes(b"%PDF-1.4 a stand-in")
    write_archive(ROOT, tmp_path / "book.pdf", tmp_path / "nld.zip")
    zipfile.ZipFile(tmp_path / "nld.zip").extractall(tmp_path)
    folder = tmp_path / "nld"
    checked = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, capture_output=True)
    assert checked.returncode == 0, checked.stdout
    opened = open_window(browser, (folder / "index.html").as_uri(), wait=False, offline=True)
    page = opened.page
    page.wait_for_url("**/html/book/index.html")
    page.locator(".bd-sidebar-primary a", has_text="What symmetry breaking buys").click()
    page.wait_for_url("**/what-symmetry-breaking-buys.html")
    page.wait_for_selector("mjx-container")
    page.locator(".nld-grid label", has_text="0.01").click()
    assert "η = 0.01" in page.locator(".nld-grid caption").inner_text()
    links = page.locator("figure#fig-grid .nld-figure-files a[download]").evaluate_all("all => all.map(a => a.href)")
    assert len(links) == 7
    for link in links:
        path = Path(unquote(urlsplit(link).path))
        assert path.is_relative_to(folder)
        assert path.stat().st_size > 0
    page.goto((folder / "html" / "search.html").as_uri() + "?q=kinetic")
    page.locator("#search-results li a").first.wait_for(timeout=20_000)
    assert [url for url in opened.requests if not url.startswith((folder.as_uri(), "data:", "blob:"))] == []
    assert opened.failed == []
    assert opened.complaints == []
    page.context.close()


def test_a_citer_copies_every_form_with_the_button(browser, address):
    opened = open_window(
        browser, f"{address['http']}/book/index.html", permissions=["clipboard-read", "clipboard-write"]
    )
    page = opened.page
    page.locator("details.nld-card summary").first.click()
    card = page.locator("details.nld-card").first
    copied = []
    for number in range(3):
        box = card.locator(".highlight-text").nth(number)
        box.hover()
        box.locator("button.copybtn").click()
        page.wait_for_function(
            "before => navigator.clipboard.readText().then(text => text !== before)", arg=(copied or [""])[-1]
        )
        copied.append(page.evaluate("navigator.clipboard.readText()"))
    bibtex, csl, text = copied
    (entry,) = pybtex.database.parse_string(bibtex, "bibtex").entries.values()
    (item,) = json.loads(csl)
    digest = re.search(r"sha256:([0-9a-f]{32})", text)[1]
    assert item["URL"] == entry.fields["url"]
    assert digest in item["note"]
    assert digest in entry.fields["note"]
    assert entry.fields["url"] in text
    page.context.close()


def test_the_gallery_shows_every_figure_of_the_book_once(tab, address):
    opened = tab.open(f"{address['file']}/book/figures.html")
    links = opened.page.locator(".nld-gallery-entry p:not(.nld-gallery-files) a").evaluate_all(
        "all => all.map(a => a.href)"
    )
    shown = {f"{path.name}#{name}" for path in (ROOT / "_build/html/book").glob("*.html") for name in figures(path)}
    assert sorted(link.rpartition("/")[2] for link in links) == sorted(shown)


def figures(path) -> list[str]:
    return re.findall(r'<figure class="nld-figure[^"]*" id="([^"]+)"', path.read_text("utf-8"))


def kind_of_link(page, kind):
    return page.locator(f"article a.reference.internal[href*='{kind}']").first


@pytest.mark.parametrize("scheme", ["file", pytest.param("http", marks=pytest.mark.slow)])
def test_links_show_what_they_lead_to(tab, address, scheme):
    opened = tab.open(f"{address[scheme]}/book/symmetry-of-the-loss.html")
    page = opened.page
    for kind, content in (
        ("#equation-eq-", "mjx-container"),
        ("index.html#fig-answer", "img.nld-light"),
        ("bibliography.html#", "p"),
    ):
        link = kind_of_link(page, kind)
        link.scroll_into_view_if_needed()
        link.hover()
        page.wait_for_selector(f"#nld-preview[data-ready] {content}")
        assert link.get_attribute("aria-describedby") == "nld-preview"
        box = page.locator("#nld-preview").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= page.viewport_size["width"]
        page.mouse.move(2, 2)
        page.wait_for_selector("#nld-preview", state="detached")
    assert [url for url in opened.requests if not url.startswith((address[scheme], "data:"))] == []
    assert opened.failed == []
    assert opened.complaints == []


def test_previews_answer_the_keyboard(tab, address):
    opened = tab.open(f"{address['file']}/book/symmetry-of-the-loss.html")
    page, link = opened.page, kind_of_link(opened.page, "#equation-eq-")
    link.focus()
    page.wait_for_selector("#nld-preview[data-ready]")
    assert page.locator("#nld-preview").get_attribute("role") == "tooltip"
    page.keyboard.press("Escape")
    page.wait_for_selector("#nld-preview", state="detached")
    assert link.get_attribute("aria-describedby") is None


def test_a_preview_that_comes_late_does_not_open_when_the_reader_went_on(browser, address):
    opened = open_window(browser, f"{address['http']}/book/symmetry-of-the-loss.html")
    page, link, held = opened.page, kind_of_link(opened.page, "#equation-eq-"), []
    page.route("**/previews.js", lambda route: held.append(route))
    with page.expect_request("**/previews.js"):
        link.focus()
    page.locator("summary").first.focus()
    page.wait_for_timeout(0)  # lets the handler take the request
    with page.expect_response("**/previews.js"):
        held[0].continue_()
    page.wait_for_function("window.nldPreviews")
    assert page.locator("#nld-preview").count() == 0
    link.focus()
    page.wait_for_selector("#nld-preview[data-ready]")
    assert opened.complaints == []
    page.context.close()


def test_previews_are_readable_in_the_dark(tab, address):
    opened = tab.open(f"{address['file']}/book/symmetry-of-the-loss.html", scheme="dark")
    kind_of_link(opened.page, "index.html#fig-answer").focus()
    opened.page.wait_for_selector("#nld-preview[data-ready] img.nld-dark")
    assert not opened.page.locator("#nld-preview img.nld-light").is_visible()


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_heavy(name, site):
    """A page weighs its HTML and its pictures, for light pages or for dark ones; what pages share is _static."""
    text = (site / name).read_text("utf-8")
    pictures = re.findall(r'<(?:img|source|object|embed)\b[^>]*?\s(?:src|srcset|data)="(?!data:)([^"]+)"[^>]*>', text)
    files = {((site / name).parent / address).resolve() for address in pictures}
    own = [file for file in files if not file.is_relative_to(site / "_static")]
    assert (name in ("book/figures.html", "book/what-is-true.html") or '<figure class="nld-figure' in text) == bool(own)
    dark = sum(file.stat().st_size for file in own if file.name == "figure-dark.svg")
    light = sum(file.stat().st_size for file in own if file.name == "figure.svg")
    both = sum(file.stat().st_size for file in own) - dark - light
    limit = LIMIT if '<figure class="nld-figure' in text else LIST_LIMIT
    assert len(text.encode()) + both + max(dark, light) <= limit


@pytest.mark.parametrize(("scheme", "seen", "unseen"), [("light", "", "-dark"), ("dark", "-dark", "")])
def test_a_reader_fetches_the_pictures_of_one_colour_scheme(browser, address, scheme, seen, unseen):
    """In the dark the first one may be fetched before the page knows that it is dark."""
    path = "book/what-symmetry-breaking-buys.html"
    opened = open_window(browser, f"{address['http']}/{path}", wait=False, color_scheme=scheme)
    page = opened.page
    for figure in page.locator(f".nld-figure img.nld-{scheme}").all():
        figure.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete && image.naturalWidth", arg=figure.element_handle())
    fetched = [url.rpartition("/")[2] for url in opened.requests]
    assert fetched.count(f"figure{seen}.svg") == len(page.locator(f".nld-figure img.nld-{scheme}").all()) > 1
    assert fetched.count(f"figure{unseen}.svg") <= (scheme == "dark")
    page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_pictures_load_when_they_come_into_sight(name, site):
    images = re.findall(r'<img\b[^>]*\ssrc="[^"]*figures/[^>]*>', (site / name).read_text("utf-8"))
    assert all('loading="lazy"' in image for image in images)


def test_pictures_that_load_late_move_nothing(browser, address):
    opened = open_window(browser, f"{address['http']}/{PAGES[1]}", wait=False)
    page = opened.page
    page.evaluate("async () => { await MathJax.startup.promise; }")
    before = page.evaluate("document.documentElement.scrollHeight")
    settle(page)
    assert page.evaluate("[...document.querySelectorAll('.nld-figure img.nld-light')].every(i => i.naturalWidth)")
    assert abs(page.evaluate("document.documentElement.scrollHeight") - before) <= 4
    page.context.close()


def test_on_paper_there_is_the_text_and_nothing_to_click(tab, address):
    opened = tab.open(f"{address['http']}/{PAGES[1]}", scheme="dark")
    opened.page.emulate_media(media="print")
    for selector in (
        ".bd-sidebar-primary",
        ".bd-sidebar-secondary",
        ".nld-figure-files",
        "details.nld-card",
        ".nld-dark",
    ):
        assert not opened.page.locator(selector).first.is_visible(), selector
    assert opened.page.locator("img.nld-light").first.is_visible()
    assert opened.page.locator("#jb-print-docs-body h1").is_visible()


def test_a_dark_page_is_printed_light_and_is_dark_again_afterwards(tab, address):
    page = tab.open(f"{address['file']}/{PAGES[1]}", scheme="dark").page
    shown = "getComputedStyle(document.querySelector('article p')).color + document.documentElement.dataset.theme"
    before = page.evaluate(shown)
    assert before.endswith("dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    printed = page.evaluate(shown)
    assert printed.endswith("light")
    red, green, blue = map(int, re.findall(r"\d+", printed)[:3])
    assert max(red, green, blue) < 128
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(shown) == before


def test_a_rerunner_finds_the_command_on_the_page(tab, address):
    opened = tab.open(f"{address['file']}/{PAGES[1]}")
    box = opened.page.locator("details", has_text="Rerun this chapter").last
    box.locator("summary").click()
    command = shlex.split(box.locator("pre").inner_text())
    assert command[:3] == [".venv/bin/nld", "book", "build"]
    # tests/publish/test_rerun_walk.py carries such a command out.
    asked = make_parser().parse_args(command[1:])
    assert asked.chapter == ["symmetry-of-the-loss"]
    assert asked.parameter
