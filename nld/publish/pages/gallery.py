"""The index of all figures: the directive `nld-figures` shows every figure of the book in reading order.

The directive leaves a place holder, since figures are known only when all pages were read; the list is
filled in when its page is written.
"""

import json
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

from nld.publish.pages.card import FILES, badges, in_words
from nld.publish.rendering import render


class FigureIndex(nodes.General, nodes.Element):
    """Where the index of figures is to stand."""


class FiguresDirective(Directive):
    """`nld-figures`: thumbnails of every figure with title, place, data and verdicts."""

    def run(self) -> list[nodes.Node]:
        return [FigureIndex()]


def fill_index(app, doctree, document: str) -> None:
    """Replace the place holder by the figures of all pages, in the order of the table of contents."""
    for place in list(doctree.findall(FigureIndex)):
        up = "../" * document.count("/")
        cards = [
            part
            for page in reading_order(app.env)
            for name, folder in app.env.metadata[page].get("nld_figures", {}).items()
            for part in _entry(app.env, page, name, Path(app.srcdir) / ".nld" / folder, up)
        ]
        place.replace_self(nodes.container("", *cards, classes=["nld-gallery"]))


def reading_order(env) -> list[str]:
    """All pages as the table of contents lists them."""
    order, queue = [], [env.config.root_doc]
    while queue:
        page = queue.pop(0)
        order.append(page)
        queue = env.toctree_includes.get(page, []) + queue
    return order


def _entry(env, page: str, name: str, folder: Path, up: str) -> list[nodes.Node]:
    origin = json.loads((folder / "provenance.json").read_text("utf-8"))
    number = env.toc_fignumbers.get(page, {}).get("figure", {}).get(name, ())
    numbered = f"Fig. {'.'.join(map(str, number))}" if number else name
    address, files = f"{up}{page}.html#{name}", f"{up}figures/{name}/"
    sentence = title(env.get_doctree(page), name)
    thumbnail = render("thumbnail.html", address=address, files=files, alt="".join(node.astext() for node in sentence))
    downloads = render(
        "thumbnail_files.html",
        page=f"{up}{page}.html",
        title=env.titles[page].astext(),
        changed=in_words(env.metadata[page].get("nld_changed", {})),
        files={form: f"{files}{FILES[form]}" for form in ("CSV", "netCDF", "SVG")},
        badges=badges(origin),
    )
    reference = nodes.reference("", "", nodes.Text(f"{numbered} "), refuri=address, internal=True)
    reference.extend(sentence)
    parts = [
        nodes.raw("", thumbnail, format="html"),
        nodes.paragraph("", "", reference),
        nodes.raw("", downloads, format="html"),
    ]
    return [nodes.container("", *parts, classes=["nld-gallery-entry"])]


def title(doctree, name: str) -> list[nodes.Node]:
    """The first sentence of a figure's caption, formulas kept, links left out."""
    figure = next(figure for figure in doctree.findall(nodes.figure) if name in figure["ids"])
    sentence: list[nodes.Node] = []
    for child in next(iter(figure.findall(nodes.caption))).children:
        if isinstance(child, nodes.math):
            sentence.append(child.deepcopy())
            continue
        head, stop, _ = child.astext().partition(". ")
        sentence.append(nodes.Text(head))
        if stop:
            break
    return sentence
