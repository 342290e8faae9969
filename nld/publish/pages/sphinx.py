"""The Sphinx extension of the book: chapters get the outputs of their executed copies.

- `source-read` replaces the text of a chapter by a notebook with outputs, which `read`
  hands to myst-nb: pages keep their `.md` sources, nothing executes during the build;
- a figure that `nld.figures.show` returned becomes a numbered, labelled figure with its
  files (`FigureRenderer`), copied to stable addresses `figures/NAME/`.
"""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import xarray as xr
from docutils import nodes
from myst_nb.core.read import read_myst_markdown_notebook
from myst_nb.core.render import MimeRenderPlugin
from myst_parser.config.main import MdParserConfig
from sphinx.util import logging

from nld import figures
from nld.errors import InvalidInput
from nld.figures.verification.verify import compare_with_reference, moved_verdicts, reference_path
from nld.inference.verdict import REVERSED
from nld.publish.execution import chapter_cache
from nld.publish.execution.chapters import Chapter
from nld.publish.execution.execute import FIGURE_MIME, KERNEL, authored
from nld.publish.pages import linked_data
from nld.publish.pages.card import card, in_words, write_script
from nld.publish.pages.citation import citation
from nld.publish.pages.equation_numbers import as_roles, number_equations
from nld.publish.pages.gallery import FigureIndex, FiguresDirective, fill_index
from nld.publish.pages.page_heads import describe_page, write_previews, write_site_files
from nld.publish.rendering import render
from nld.results import seals, stored_results

logger = logging.getLogger(__name__)
SIZE = re.compile(r'<svg[^>]* width="([0-9.]+)pt" height="([0-9.]+)pt"')
RERUN = """:::{{dropdown}} Rerun this chapter
:name: rerun-{name}
| parameter | default | admissible | meaning |
|---|---|---|---|
{rows}

```bash
.venv/bin/nld book build --chapter {name}{example}
```
:::"""
BLOCKS = MdParserConfig(enable_extensions={"colon_fence", "dollarmath"})


def setup(app) -> dict:
    """Register with Sphinx."""
    app.set_html_assets_policy("always")  # the index of figures gets its formulas when it is written
    app.add_node(FigureIndex)
    app.add_directive("nld-figures", FiguresDirective)
    app.connect("source-read", inject_outputs)
    app.connect("doctree-resolved", fill_index)
    app.connect("html-page-context", number_equations)
    app.connect("html-page-context", announce_changes)
    app.connect("html-page-context", describe_page)
    app.connect("build-finished", copy_figures)
    app.connect("build-finished", write_site_files)
    app.connect("build-finished", write_previews)
    return {"parallel_read_safe": True, "parallel_write_safe": True, "version": "1"}


def read(text: str):
    """The notebook that `inject_outputs` wrote, or plain MyST text as a notebook without code."""
    if text.startswith("{"):
        return nbformat.reads(text, as_version=4)
    return read_myst_markdown_notebook(text, config=BLOCKS, add_source_map=True)


def inject_outputs(app, document: str, source: list[str]) -> None:
    """Replace a chapter's text by a notebook that holds the outputs of its executed copy."""
    notebook = read_myst_markdown_notebook(source[0], config=BLOCKS, add_source_map=True)
    if all(cell.cell_type != "code" for cell in notebook.cells):
        return
    root = Path(app.srcdir)
    chapter = Chapter(document, 0, root)
    shown = chapter_cache.current(root / ".nld", chapter)
    path = chapter_cache.notebook_path(root / ".nld", shown.get("key", "none"))
    if not chapter_cache.is_whole(root / ".nld", shown.get("key", "none")):
        logger.warning("the chapter was not executed; run: nld book build", location=document)
    else:
        app.env.note_dependency(str(path))
        app.env.metadata[document]["nld_changed"] = shown["changed"]
        _copy_outputs(document, nbformat.read(path, as_version=4), notebook)
    if chapter.parameters:
        notebook.cells.append(nbformat.v4.new_markdown_cell(rerun_box(chapter)))
        notebook.metadata["source_map"].append(len(source[0].splitlines()))
    for number, cell in enumerate(notebook.cells):
        cell.id = hashlib.sha256(f"{number} {cell.source}".encode()).hexdigest()[:12]
    notebook.nbformat_minor = 5
    notebook.metadata.setdefault("kernelspec", KERNEL)
    source[0] = nbformat.writes(notebook)


def rerun_box(chapter: Chapter) -> str:
    """MyST text: the chapter's parameters, their ranges, and the command that changes them."""
    rows = [
        f"| `{name}` | `{parameter.default!r}` | {parameter.range} | {parameter.meaning} |"
        for name, parameter in chapter.parameters.items()
    ]
    numeric = [each for each in chapter.parameters.values() if not isinstance(each.default, str)][:2]
    example = "".join(f" -p {each.name} {each.example}" for each in numeric)
    return RERUN.format(name=chapter.name, rows="\n".join(rows), example=example)


def _copy_outputs(document: str, copy, notebook) -> None:
    """Give each code cell the outputs of the executed cell with the same source."""
    ran, wanted = authored(copy), authored(notebook)
    if [cell.source.strip() for cell in ran] != [cell.source.strip() for cell in wanted]:
        logger.warning("the chapter changed since it was executed; run: nld book build", location=document)
        return
    for cell, done in zip(wanted, ran, strict=True):
        cell.outputs, cell.execution_count = done.outputs, done.execution_count
        for output in cell.outputs:
            output.get("data", {}).pop(linked_data.MIME, None)  # for machines, which no page shows
    notebook.metadata["language_info"] = copy.metadata["language_info"]


def announce_changes(app, page: str, template: str, context: dict, doctree) -> None:
    """A page that was rerun with other parameters, or on whose processor figures differ, says so at its top."""
    changed = app.env.metadata.get(page, {}).get("nld_changed")
    moved = app.env.metadata.get(page, {}).get("nld_moved")
    if "body" not in context:
        return
    if changed:
        context["body"] = render("rerun.html", changed=in_words(changed)) + context["body"]
    elif moved:
        context["body"] = render("moved.html", figures=moved) + context["body"]


class FigureRenderer(MimeRenderPlugin):
    """Turns the record of a figure into a numbered figure with its anchor, caption and files."""

    mime_priority_overrides = (("*", FIGURE_MIME, 0),)

    @staticmethod
    def handle_mime(renderer, data, inline):
        """Docutils nodes of a figure; None for any other output."""
        if inline or data.mime_type != FIGURE_MIME:
            return None
        described: Any = json.loads(data.content) if isinstance(data.content, str) else data.content
        name, folder = described["name"], described["folder"]
        myst = renderer.renderer
        env: Any = myst.sphinx_env
        env.metadata[env.docname].setdefault("nld_figures", {})[name] = folder
        figure = nodes.figure("", classes=["nld-figure"], names=[name], ids=[name])
        base = "../" * env.docname.count("/") + f"figures/{name}/"
        shown = figures.Shown(name, Path(env.srcdir) / ".nld" / folder)
        figure += nodes.raw("", drawings(shown.folder, base, described["alt"]), format="html")
        caption = nodes.caption()
        with myst.current_node_context(caption):
            myst.nested_render_text(as_roles(described["caption"]), data.line or 0, inline=True)
        changed = env.metadata[env.docname].get("nld_changed", {})
        origin = shown.provenance
        if not changed and origin["profile"] == "quick" and has_moved(Path(env.srcdir), name, shown.data):
            env.metadata[env.docname].setdefault("nld_moved", []).append(name)
        if changed:  # the caption goes with the figure wherever it is shown
            caption += nodes.Text(f" From a rerun with {in_words(changed)}.")
        figure += caption
        cited = citation(Path(env.srcdir), shown.folder, env.docname)
        options = env.config.html_theme_options
        repository = f"{options['repository_url']}/blob/{options['repository_branch']}"
        text = card(origin, cited, base, repository, changed)
        figure += nodes.legend("", nodes.raw("", text, format="html"))
        myst.document.note_explicit_target(figure, figure)
        return [figure]


def has_moved(root: Path, name: str, data: xr.Dataset) -> bool:
    """Whether a figure of this build differs from the published one by more than training repeats elsewhere.

    A number is then further from the reference than its own arithmetics are from each other, or a verdict turned.
    False where the checkout holds no reference: then there is nothing to differ from.
    """
    path = reference_path(root, name)
    if not path.is_file():
        return False
    reference, module = xr.load_dataset(stored_results.whole(path), engine="h5netcdf"), figures.load(name)
    if any(not row.holds for row in compare_with_reference(module, data, reference)):
        return True
    return any(how == REVERSED for how, _ in moved_verdicts(module, data, reference))


def drawings(folder: Path, base: str, alt: str) -> str:
    """HTML of the two drawings of a figure, light and dark, with their size, so that nothing moves when they load.

    Raises:
        ValueError: a drawing does not say its size.
    """
    shown = []
    for file, shade in (("figure.svg", "nld-light"), ("figure-dark.svg", "nld-dark")):
        with (folder / file).open(encoding="utf-8") as drawing:
            size = SIZE.search(drawing.read(4096))
        if size is None:
            raise InvalidInput(f"expected the size of the drawing in pt at the start of {folder / file}, found none")
        width, height = (round(float(points) * 4 / 3) for points in size.groups())
        shown.append({"address": base + file, "shade": shade, "width": width, "height": height})
    return render("drawings.html", drawings=shown, alt=alt)


def copy_figures(app, error) -> None:
    """Copy the files of every shown figure to `figures/NAME/`, the address that people cite."""
    if error or app.builder.format != "html":
        return
    for metadata in app.env.metadata.values():
        for name, folder in metadata.get("nld_figures", {}).items():
            target = Path(app.outdir) / "figures" / name
            left = shutil.ignore_patterns(seals.SUMS)  # the archive leaves out the wall time, and has sums of its own
            shutil.copytree(Path(app.srcdir) / ".nld" / folder, target, dirs_exist_ok=True, ignore=left)
            write_script(target)
