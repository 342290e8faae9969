"""What each page tells those who link to it, and what is mended in it before it is laid out.

`describe_page` fills the head of a page (description, Open Graph, Twitter card); `write_site_files` writes
`sitemap.xml` and `404.html` from the table of contents alone, so that equal books are equal bytes; and
`write_previews` what a link to an equation, a figure or a reference shows before it is followed.
"""

import json
import re
from pathlib import Path

from docutils import nodes

from nld.publish.pages.citation import base_address
from nld.publish.rendering import render

LONGEST = 200  # characters of a description; search engines cut where this does
# Roles and names that the theme and its extensions write against ARIA's rules: a fold named otherwise than it reads,
# and a list without list items.
REPAIRS = {
    '<summary aria-label="Toggle hidden content">': "<summary>",
    '<div role="list" class="citation-list">': "<div>",
}
_FORMULA = re.compile(r'(<span class="math notranslate nohighlight">\\\([^<]*\\\)</span>)([.,;:!?)\]’”]+)')
PREVIEWED = "div.math[id^=equation-], figure.nld-figure[id], div.citation[id]"


def describe_page(app, page: str, template: str, context: dict, doctree) -> None:
    """Add the description and the Open Graph data of a page to its head, and mend its body."""
    if doctree is None:
        return
    context["body"] = keep_punctuation(context["body"])
    for wrong, right in REPAIRS.items():
        context["body"] = context["body"].replace(wrong, right)
    if 'class="math' in context["body"]:
        context["body"] = render("without_scripts.html") + context["body"]
    base = base_address(Path(app.srcdir))
    figures = app.env.metadata.get(page, {}).get("nld_figures", {})
    picture = next(iter(figures), "fig-answer")
    title = app.env.titles[page].astext()
    properties = {
        "og:type": "article",
        "og:site_name": app.config.html_title,
        "og:title": title,
        "og:description": description(doctree),
        "og:url": f"{base}{page}.html",
        "og:image": f"{base}figures/{picture}/figure.png",
        "twitter:card": "summary_large_image",
    }
    head = render("head.html", description=properties["og:description"], properties=properties)
    context["metatags"] = f"{context.get('metatags', '')}\n{head}"


def keep_punctuation(body: str) -> str:
    r"""The HTML of a page in which punctuation stays on the line of the formula before it.

    >>> keep_punctuation('<span class="math notranslate nohighlight">\\(q\\)</span>, so')
    '<span class="nld-keep"><span class="math notranslate nohighlight">\\(q\\)</span>,</span> so'
    """
    return _FORMULA.sub(r'<span class="nld-keep">\1\2</span>', body)


def description(doctree) -> str:
    """The page's first paragraph without formulas as plain text, cut at a word."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if len(text) < 40 or any(True for _ in paragraph.findall(nodes.math)):
            continue
        return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0] + " …"
    return " ".join(title.astext() for title in list(doctree.findall(nodes.title))[:1])


def write_site_files(app, error) -> None:
    """Write `sitemap.xml`, `404.html` and the redirection to the front page beside the pages."""
    if error or app.builder.name != "html":
        return
    base, out = base_address(Path(app.srcdir)), Path(app.outdir)
    title, front = app.config.html_title, f"{app.config.root_doc}.html"
    written = {
        "sitemap.xml": render("sitemap.xml", base=base, pages=sorted(app.env.found_docs)),
        "index.html": render("front_door.html", title=title, page=front, icon="_static/favicon.svg"),
        # A server shows this page at any address, so its links are absolute and its style is its own.
        "404.html": render("not_found.html", title=title, base=base),
    }
    for name, text in written.items():
        (out / name).write_text(text, "utf-8")


def collect(text: str, page: str) -> dict[str, str]:
    """The previews that a page of HTML offers, by address below the root ("book/x.html#fig-y")."""
    from bs4 import BeautifulSoup

    previews = {}
    for element in BeautifulSoup(text, "html.parser").select(PREVIEWED):
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
    """Write `_static/previews.js`, which `nld-previews.js` loads at the first need, from the pages as they are.

    Pages opened from a disk may not fetch other pages, but may load scripts.
    """
    if error or app.builder.name != "html":
        return
    out, previews = Path(app.outdir), {}
    for document in sorted(app.env.found_docs):
        page = f"{document}.html"
        previews |= collect((out / page).read_text("utf-8"), page)
    text = json.dumps(previews, ensure_ascii=False, indent=0, sort_keys=True)
    (out / "_static" / "previews.js").write_text(f"window.nldPreviews = {text};\n", "utf-8")
