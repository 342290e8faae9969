"""What a link to an equation, a figure or a reference shows before it is followed.

Pages opened from a disk may not fetch other pages, but may load scripts: every labelled equation, figure and
bibliography entry is collected into `_static/previews.js`, which `nld-previews.js` loads at the first need.
"""

import json
from pathlib import Path

KINDS = "div.math[id^=equation-], figure.nld-figure[id], div.citation[id]"


def collect(text: str, page: str) -> dict[str, str]:
    """The previews that a page of HTML offers, by address below the root ("book/x.html#fig-y")."""
    from bs4 import BeautifulSoup

    previews = {}
    for element in BeautifulSoup(text, "html.parser").select(KINDS):
        for unwanted in element.select(".headerlink, .legend, .label, .backrefs, script, figcaption > figcaption"):
            unwanted.decompose()
        for link in element.select("a[href]"):  # a preview is read, not followed
            link.unwrap()
        for image in element.select("img"):
            image["src"] = str(image["src"]).removeprefix("../" * page.count("/"))
        address = f"{page}#{element.attrs.pop('id')}"
        whole = element.name == "figure" or "math" in element["class"]
        previews[address] = str(element) if whole else element.decode_contents().strip()
    return previews


def write_previews(app, error) -> None:
    """Write `_static/previews.js` from the pages as they were written."""
    if error or app.builder.name != "html":
        return
    out, previews = Path(app.outdir), {}
    for document in sorted(app.env.found_docs):
        page = f"{document}.html"
        previews |= collect((out / page).read_text("utf-8"), page)
    text = json.dumps(previews, ensure_ascii=False, indent=0, sort_keys=True)
    (out / "_static" / "previews.js").write_text(f"window.nldPreviews = {text};\n", "utf-8")
