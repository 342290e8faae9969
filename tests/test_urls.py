"""Addresses that readers may have cited stay: pages, figures, equations and claims.

`urls.txt` lists them. New ones may be added (`python -m tests.test_urls` rewrites the file); one that is gone fails,
because somebody's link would lead nowhere.
"""

import re
from pathlib import Path

from nld.claims.rulings import known
from nld.publish.execution.chapters import read_chapters
from nld.publish.pages.card import FILES

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_name("urls.txt")


def addresses() -> set[str]:
    """What the sources of the book say that it serves, relative to its base address."""
    found = {"index.html", "search.html", "sitemap.xml", "404.html"}
    for chapter in read_chapters(ROOT):
        page = f"{chapter.document}.html"
        figures = re.findall(r"figures\.show\(\s*\"(fig-[a-z0-9-]+)\"", chapter.text)
        equations = re.findall(r"\$\$[ \t]*\((eq-[a-z0-9-]+)\)", chapter.text)
        places = re.findall(r"^\(([a-z0-9-]+)\)=$", chapter.text, re.MULTILINE)
        found |= {page, *(f"{page}#{name}" for name in [*figures, *places])}
        found |= {f"{page}#equation-{label}" for label in equations}
        found |= {f"figures/{name}/{file}" for name in figures for file in FILES.values()}
    return found | {f"book/claims.html#claim-{name}" for name in known()}


def test_no_published_address_is_gone():
    published = LIST.read_text("utf-8").split()
    assert published == sorted(set(published))
    gone = set(published) - addresses()
    assert not gone, f"{sorted(gone)} may have been cited; keep the label or the page, or leave a page that leads on"


def test_the_addresses_are_found_at_all():
    assert {"book/index.html#fig-answer", "figures/fig-answer/data.nc", "book/index.html#cite"} <= addresses()
    assert any("#equation-eq-" in address for address in addresses())


if __name__ == "__main__":
    LIST.write_text("\n".join(sorted(addresses() | set(LIST.read_text("utf-8").split()))) + "\n", "utf-8")
