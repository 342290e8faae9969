"""What each page tells machines: title, description and picture for those who link to it, and where it lies.

`describe_page` fills the head of a page (description, Open Graph, Twitter card); `write_site_files`
writes `sitemap.xml` and `404.html`, both from the table of contents alone, so that equal books are equal bytes.
"""

from pathlib import Path

from docutils import nodes

from nld.publish.rendering import render

LONGEST = 200  # characters of a description; search engines cut where this does
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
    head = render("head.html", description=properties["og:description"], properties=properties)
    context["metatags"] = f"{context.get('metatags', '')}\n{head}"


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
    title, front = app.config.html_title, f"{app.config.root_doc}.html"
    written = {
        "sitemap.xml": render("sitemap.xml", base=base, pages=sorted(app.env.found_docs)),
        "index.html": render("front_door.html", title=title, page=front, icon="_static/favicon.svg"),
        # A server shows this page at any address, so its links are absolute and its style is its own.
        "404.html": render("not_found.html", title=title, base=base),
    }
    for name, text in written.items():
        (out / name).write_text(text, "utf-8")


def _base(config) -> str:
    return config.html_baseurl.rstrip("/") + "/"
