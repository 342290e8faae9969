"""What each page tells machines: title, description and picture for those who link to it, and where it lies.

`describe_page` fills the head of a page (description, Open Graph, Twitter card); `write_site_files`
writes `sitemap.xml` and `404.html`, both from the table of contents alone, so that equal books are equal bytes.
"""

import html
from pathlib import Path

from docutils import nodes

LONGEST = 200  # characters of a description; search engines cut where this does
# With an icon of its own: without one, browsers ask the server for /favicon.ico.
FRONT_DOOR = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="icon" href="_static/favicon.svg"><meta http-equiv="refresh" content="0; url={page}"></head>
<body><a href="{page}">{title}</a></body></html>
"""
NOT_FOUND = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>Not found — {title}</title>
<style>:root {{ color-scheme: light dark; color: light-dark(#222, #ddd); background: light-dark(#fff, #121212) }}
body {{ font: 18px/1.5 system-ui, sans-serif; max-width: 36rem;
margin: 18vh auto; padding: 0 1rem }}
a {{ color: light-dark(#0b57b7, #8ab8ff) }}</style></head>
<body><h1>There is no such page</h1>
<p>Addresses of pages, figures and equations of <i>{title}</i> do not change once they are published, so this one is
probably misspelled. <a href="{base}">Front page</a> · <a href="{base}search.html">Search</a> ·
<a href="{base}book/figures.html">All figures</a></p></body></html>
"""


# Roles and names that the theme and its extensions write against ARIA's rules: a fold named otherwise than it reads,
# and a list without list items.
REPAIRS = {
    '<summary aria-label="Toggle hidden content">': "<summary>",
    '<div role="list" class="citation-list">': "<div>",
}


def describe_page(app, page: str, template: str, context: dict, doctree) -> None:
    """Add the description and the Open Graph data of a page to its head, and repair the roles in its body."""
    if doctree is None:
        return
    for wrong, right in REPAIRS.items():
        context["body"] = context["body"].replace(wrong, right)
    base = _base(app.config)
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
    lines = [f'<meta name="description" content="{html.escape(properties["og:description"])}" />']
    for name, value in properties.items():
        kind = "name" if name.startswith("twitter") else "property"
        lines.append(f'<meta {kind}="{name}" content="{html.escape(value)}" />')
    context["metatags"] = "\n".join([context.get("metatags", ""), *lines])


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
    base, out = _base(app.config), Path(app.outdir)
    places = "\n".join(f"<url><loc>{base}{page}.html</loc></url>" for page in sorted(app.env.found_docs))
    sitemap = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{places}\n</urlset>\n'
    (out / "sitemap.xml").write_text('<?xml version="1.0" encoding="utf-8"?>\n' + sitemap, "utf-8")
    front = {"title": html.escape(app.config.html_title), "page": f"{app.config.root_doc}.html"}
    (out / "index.html").write_text(FRONT_DOOR.format(**front), "utf-8")
    # A server shows this page at any address, so its links are absolute and its style is its own.
    (out / "404.html").write_text(NOT_FOUND.format(title=html.escape(app.config.html_title), base=base), "utf-8")


def _base(config) -> str:
    return config.html_baseurl.rstrip("/") + "/"
