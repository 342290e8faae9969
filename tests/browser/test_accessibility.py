"""axe-core finds no serious and no critical violation on any page, in light and in dark."""

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from filelock import FileLock

from nld.publish.execution.chapters import read_chapters
from tests.browser.conftest import KINDS, ROOT, without

VERSION = "4.14.1"
PAGES = [f"{chapter.document}.html" for chapter in read_chapters(ROOT)] + ["search.html", "404.html"]
PARAMETERS = [pytest.param(p, marks=() if Path(p).stem in KINDS else pytest.mark.slow) for p in PAGES]
LONG = {"claims"}  # all rules on all of its rows take as long as on all other kinds of pages together
STILL = "*, *::before, *::after { transition: none !important; animation: none !important }"
AUDIT = """async (rules) => {
  const options = {resultTypes: ['violations'], ...(rules ? {runOnly: {type: 'rule', values: rules}} : {})};
  const found = await axe.run({exclude: [['mjx-container']]}, options);
  return found.violations.filter(violation => ['serious', 'critical'].includes(violation.impact))
    .map(v => `${v.impact} ${v.id}: ${v.help}: ` + v.nodes.slice(0, 4).map(n => n.target.join(' ')).join(' | '));
}"""
# Controls that look the same with and without the focus of the keyboard, and those that cannot have it.
UNSEEN = """() => {
  const looks = ['outlineStyle', 'outlineWidth', 'outlineColor', 'boxShadow', 'backgroundColor', 'borderColor', 'color',
    'textDecorationLine', 'textDecorationThickness', 'transform', 'top'];
  const look = control => [control, control.parentElement, control.closest('.sd-card') || control].map(part => {
    const style = getComputedStyle(part);
    return looks.map(name => style[name]).join();
  }).join();
  document.activeElement.blur();
  return [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')].filter(control =>
    !control.matches(':disabled') && control.checkVisibility({visibilityProperty: true})
    && control.getBoundingClientRect().width
  ).filter(control => {
    const before = look(control);
    control.focus();
    const seen = document.activeElement === control && look(control) !== before;
    control.blur();
    return !seen;
  }).map(control => control.outerHTML.slice(0, 120));
}"""
pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def axe() -> str:
    """The script, fetched once by npm into `.nld`."""
    folder = ROOT / ".nld" / "npm" / f"axe-core-{VERSION}"
    script = folder / "package" / "axe.min.js"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not script.exists():
            if shutil.which("npm") is None:
                without("needs npm, which brings axe-core: apt-get install npm")
            command = ["npm", "pack", "--silent", f"axe-core@{VERSION}"]
            result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if result.returncode:
                without(f"npm could not bring axe-core {VERSION}: {result.stderr.strip()[:200]}")
            with tarfile.open(folder / result.stdout.split()[-1]) as archive:
                archive.extractall(folder, filter="data")
    return script.read_text("utf-8")


@pytest.mark.parametrize(
    "name", [pytest.param(p, marks=() if Path(p).stem in KINDS - LONG else pytest.mark.slow) for p in PAGES]
)
def test_axe_finds_nothing_serious(name, tab, address, axe):
    page = tab.open(f"{address['http']}/{name}").page
    page.evaluate("document.querySelectorAll('article details').forEach(details => { details.open = true; })")
    page.add_style_tag(content=STILL)  # colours are judged at rest
    page.evaluate(axe)
    found = {"light": page.evaluate(AUDIT, None)}
    page.emulate_media(color_scheme="dark")
    if name != "404.html":
        page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    found["dark"] = page.evaluate(AUDIT, ["color-contrast", "link-in-text-block"])  # only these depend on colours
    assert found == {"light": [], "dark": []}


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_focus_of_the_keyboard_is_seen_on_every_control(name, tab, address):
    page = tab.open(f"{address['file']}/{name}", wait=False).page
    page.add_style_tag(content=STILL)
    page.keyboard.press("Tab")  # from here on the browser takes the reader for one with a keyboard
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(UNSEEN) == [], scheme


def test_axe_would_notice(tab, axe):
    page = tab.open("about:blank").page
    page.set_content(
        '<html lang="en"><title>t</title><main><img src="x.png"><p style="color:#aaa">pale</p></main></html>'
    )
    page.evaluate(axe)
    found = page.evaluate(AUDIT, None)
    assert {text.split(":")[0] for text in found} >= {"critical image-alt", "serious color-contrast"}
