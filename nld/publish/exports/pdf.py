"""The book as one PDF: all chapters on one page of HTML, printed by Chromium. No LaTeX is needed."""

import json
import re
import shutil
from pathlib import Path

import yaml

from nld.errors import ToolError
from nld.publish.execution.build import STRICT, jupyter_book
from nld.publish.pages.citation import base_address

# Names of Chromium on Linux, and Chrome's place on macOS.
PROGRAMS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",  # containers give 64 MB of it, little for the decoded images
]
# Chromium writes when it printed, and numbers that count what it made before; equal books are to be equal bytes.
NODES = re.compile(rb"(?<=\()node\d{8}(?=\))")
DATES = re.compile(rb"/(CreationDate|ModDate) \(D:\d{14}")
# Scripts in files of their own, but for MathJax.
UNPRINTED = re.compile(r'<script\b[^>]*\bsrc="(?![^"]*mathjax)[^"]*"[^>]*></script>')

PRINTS = 4  # at most: now and then one print differs from the next, so two in a row must agree
PATIENCE = 300_000  # ms that the browser may take to open the page: all chapters at once, on a busy machine
HERE = Path(__file__).parent
NOTE = "Solutions of the exercises, the data of the figures and the way to rerun them are at "


def find_chromium() -> str | None:
    """The program that prints the book and opens its pages in tests; None if there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def print_book(root: Path, path: Path) -> None:
    """Print the book in ``root``, whose chapters are executed, to ``path``.

    Raises:
        ToolError: Chromium or playwright is missing, or they or Jupyter Book failed; the message says what to do.
    """
    program = find_chromium()
    if program is None:
        raise ToolError("the PDF needs Chromium or Chrome: apt-get install chromium, or Chrome from its own site")
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise ToolError('the PDF needs playwright: pip install -c constraints.txt -e ".[browser]"') from None
    record = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    about = {
        "title": record["title"].removeprefix("nld: ").capitalize(),
        "authors": ", ".join(author.get("name") or author["family-names"] for author in record["authors"]),
        "version": str(record["version"]),
        "date": str(record["date-released"]),
        "note": NOTE + record["url"],
        "address": base_address(root),
    }
    page_file = _one_page(root)
    page_file.write_text(printable(page_file.read_text("utf-8"), about), "utf-8")
    stamp = about["date"].replace("-", "").encode() + b"000000"
    previous, content = None, b""
    for _ in range(PRINTS):
        try:
            with sync_playwright() as playwright:
                content = _renumbered(DATES.sub(rb"/\1 (D:" + stamp, _printed(playwright, program, page_file)))
        except Error as error:
            raise ToolError(f"{program} could not print {page_file}: {error.message.strip()}") from error
        if content == previous:
            break
        previous = content
    else:
        raise ToolError(f"{program} printed {page_file} {PRINTS} times, and no two in a row were equal; end other work")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _printed(playwright, program: str, page_file: Path) -> bytes:
    """The page as a PDF, from a new browser, once its formulas, fonts and images are there."""
    browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
    page = browser.new_page(color_scheme="light")
    page.set_default_timeout(PATIENCE)
    page.emulate_media(media="print")  # from the start: a layout for the screen would be thrown away
    page.goto(page_file.as_uri())
    page.evaluate("async () => { await MathJax.startup.promise; await document.fonts.ready; }")
    page.evaluate("() => Promise.all([...document.images].map(image => image.decode()))")
    content = page.pdf(prefer_css_page_size=True, print_background=True, outline=True, tagged=True)
    browser.close()
    return content


def printable(text: str, about: dict) -> str:
    """The one page of HTML with the style of the print, and with the script that makes the printed book of it.

    The script stands at the end of the body, so that MathJax, which is deferred, never sets what is not printed. Of
    the page's own scripts only MathJax stays: the others serve readers at a screen.
    """
    text = UNPRINTED.sub("", text)
    style = f"<style>{(HERE / 'print.css').read_text('utf-8')}</style>"
    values = json.dumps(about).replace("</", "<\\/")
    call = f"({(HERE / 'print.js').read_text('utf-8').strip()})({values})"
    head, body = text.split("</head>", 1)
    body, end = body.rsplit("</body>", 1)
    return f"{head}{style}</head>{body}<script>{call}</script></body>{end}"


def _renumbered(content: bytes) -> bytes:
    """The same PDF with its table headers numbered from one: Chromium's own numbers change from run to run."""
    known = sorted(set(NODES.findall(content)))  # in their order, since the PDF lists them sorted
    number = {node: b"node%08d" % place for place, node in enumerate(known, 1)}
    return NODES.sub(lambda match: number[match[0]], content)


def _one_page(root: Path) -> Path:
    """All chapters as one page of HTML."""
    log = root / ".nld" / "logs" / "singlehtml.log"
    good, said = jupyter_book(root, *STRICT, "--builder", "custom", "--custom-builder", "singlehtml")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(said, "utf-8")
    if not good:
        raise ToolError(f"Jupyter Book could not join the chapters into one page; what it said is in {log}")
    document = yaml.safe_load((root / "_toc.yml").read_text("utf-8"))["root"]
    folder = root / "_build" / "singlehtml"
    # Sphinx links this page's styles as if it lay at the top, and its figures as if it lay where it is.
    text = (folder / f"{document}.html").read_text("utf-8")
    text = text.replace(f'="{"../" * document.count("/")}figures/', '="figures/')
    (folder / "print.html").write_text(text, "utf-8")
    return folder / "print.html"
