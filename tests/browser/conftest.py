"""One browser, one built book and one web server for all browser tests."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from nld.publish.exports.pdf import find_chromium
from tests.browser.reader import Tab

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html"
STATIC = ROOT / "book" / "_static"
# Without these Chromium itself talks to the network, which a page's requests could hide behind.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


# Pages of each kind. What is checked on these each time is checked on the other chapters with -m "browser and slow",
# which each build runs.
KINDS = {"index", "symmetry-of-the-loss", "claims", "figures", "bibliography", "search", "404"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """A page costs a browser seconds: each time one page of each kind, over http:// and over file://."""
    for item in items:
        chosen = getattr(item, "callspec", None) and item.callspec.params
        if chosen and "scheme" in chosen and Path(chosen.get("opened", "index")).stem not in KINDS:
            item.add_marker(pytest.mark.slow)


def without(reason: str):
    """Skip, or fail where a browser is required."""
    (pytest.fail if os.environ.get("NLD_REQUIRE_BROWSER") else pytest.skip)(reason)


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium."""
    program = find_chromium()
    if program is None:
        without("needs Chromium: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        without('needs playwright: pip install -c constraints.txt -e ".[browser]"')
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def tab(browser):
    """A tab for tests that open their pages themselves, one after the other."""
    tab = Tab(browser)
    yield tab
    tab.close()


@pytest.fixture(scope="session")
def site(browser, tmp_path_factory) -> Path:
    """The folder with the pages of the book; built when there is none."""
    base = tmp_path_factory.getbasetemp()
    lock = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "site.lock"
    with FileLock(lock):
        if not (HTML / "index.html").exists():
            result = subprocess.run(
                [sys.executable, "-m", "nld.cli", "book", "build"],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
            )
            assert result.returncode == 0, result.stdout + result.stderr
    return HTML


@pytest.fixture(scope="module")
def alone(request, tmp_path_factory) -> str:
    """Address of a page on the disk that holds the EXPLORABLE of the test module and no book around it."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(STATIC, folder / "_static")
    (folder / "book").mkdir()
    page = folder / "book" / "page.html"
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>t</title>'
        '<link rel="stylesheet" href="../_static/nld.css">'
    )
    page.write_text(f'<!doctype html><html lang="en">{head}{request.module.EXPLORABLE.show().data}', "utf-8")
    return page.as_uri()


@pytest.fixture
def exported(tab):
    """``exported(script)`` loads a script of the book without a page around it and returns a function that calls an
    expression in `exports`, what the script hands to `module.exports`, with arguments."""

    def load(script: str):
        page = tab.open("about:blank").page
        page.evaluate("window.module = {exports: {}}")
        page.add_script_tag(path=STATIC / script)
        program = "given => (exports => {})(window.module.exports)(...given)"
        return lambda expression, *given: page.evaluate(program.format(expression), given)

    return load


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def address(site):
    """Addresses of the folder over file:// and over http://, by scheme."""
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {"file": site.as_uri(), "http": f"http://127.0.0.1:{server.server_port}"}
        server.shutdown()
