"""What every chapter keeps to, and that the documents point to things that exist."""

import ast
import re
from html.parser import HTMLParser
from pathlib import Path

import pybtex.database
import pytest

from nld.cli import make_parser
from nld.publish.execution.chapters import read_chapters, read_notebook

ROOT = Path(__file__).parents[1]
ALL = read_chapters(ROOT)
CHAPTERS = [chapter for chapter in ALL if chapter.cells]
# Chapters of the paper's story are 150 to 350 lines; the front page and pages of reference are not.
FULL = [chapter for chapter in CHAPTERS if "## Exercises" in chapter.text or "## The picture" in chapter.text]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(c.path for c in ALL)]
MAXIMUM = 12
WIDTH = 83  # characters that fit beside both sidebars: nobody has to scroll to read a formula of code

by_name = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)


def cells(chapter):
    """Number, source and tags of each code cell."""
    return [(number, source, tags) for number, (source, tags) in enumerate(chapter.cells, 1)]


def written(text: str) -> int:
    """Lines of a text that are not blank."""
    return sum(bool(line.strip()) for line in text.splitlines())


def prose(chapter) -> str:
    """The text without its code cells and code blocks."""
    notebook = read_notebook(chapter.text)
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.sub(r"^(```+).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)


@by_name
def test_cells_define_nothing(chapter):
    for number, source, _ in cells(chapter):
        defined = [
            node
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        ]
        assert not defined, (
            f"cell {number} defines {defined[0].name!r}; definitions belong into nld, where they are tested"
        )


@by_name
def test_cells_neither_plot_nor_install(chapter):
    for number, source, _ in cells(chapter):
        assert not re.search(r"^\s*[%!]|\bpip\b|get_ipython", source, re.MULTILINE), f"cell {number} runs a command"
        names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        modules = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        }
        assert not (names | modules) & {"plt", "matplotlib", "plotly", "ipywidgets", "torch"}, (
            f"cell {number} draws or trains; nld.figures and nld.experiment do that"
        )


@by_name
def test_cells_are_short(chapter):
    for number, source, _ in cells(chapter):
        lines = written(source)
        assert lines <= MAXIMUM, f"cell {number} has {lines} lines; expected at most {MAXIMUM}, split it"


@by_name
def test_code_that_readers_see_fits_the_page(chapter):
    for number, source, tags in cells(chapter):
        if not {"parameters", "remove-cell", "remove-input"} & set(tags):
            wide = [line for line in source.splitlines() if len(line) > WIDTH]
            assert not wide, f"cell {number}: expected lines of at most {WIDTH} characters, got {wide}"


@by_name
def test_the_first_cell_declares_the_parameters(chapter):
    tagged = [number for number, _, tags in cells(chapter) if "parameters" in tags]
    assert tagged == [1] or (not tagged and chapter not in FULL)
    for parameter in chapter.parameters.values():
        assert parameter.meaning
        used = re.compile(rf"\b{parameter.name}\b")
        assert any(used.search(source) for _, source, _ in cells(chapter)[1:]), f"{parameter.name} changes nothing"


@pytest.mark.parametrize("chapter", ALL, ids=lambda chapter: chapter.name)
def test_equations_are_aligned_and_labelled_for_good(chapter):
    text = prose(chapter)
    for body, label in re.findall(r"\$\$(.+?)\$\$[ \t]*(?:\(([^)\n]*)\))?", text, re.DOTALL):
        if label:
            assert label.startswith("eq-"), f"label {label!r}: expected eq-NAME"
            assert re.fullmatch(r"\s*\\begin\{aligned\}.*\\end\{aligned\}\s*", body, re.DOTALL), label
            # LaTeX reads a bracket there as an option of the environment, and drops it
            assert not re.match(r"\s*\\begin\{aligned\}\s*\[", body), label
    # a bare environment gets a random anchor at every build
    outside = re.sub(r"\$\$.+?\$\$", "", text, flags=re.DOTALL)
    assert not re.search(r"\\begin\{(align|equation|gather)", outside)


def test_labels_are_unique():
    labels = [label for chapter in ALL for label in re.findall(r"\$\$[ \t]*\((eq-[^)\n]*)\)", chapter.text)]
    labels += [label for chapter in ALL for label in re.findall(r"^\(([^)\s]+)\)=$", chapter.text, re.MULTILINE)]
    assert len(labels) == len(set(labels))


def test_no_two_pages_share_a_title():
    titles = [re.search(r"^# (.+)$", chapter.text, re.MULTILINE)[1] for chapter in ALL]
    assert len(titles) == len(set(titles))


def test_every_citation_is_in_the_bibliography():
    known = pybtex.database.parse_file(ROOT / "book" / "references.bib").entries
    assert known
    for chapter in ALL:
        for keys in re.findall(r"\{cite:[a-z]+\}`([^`]*)`", chapter.text):
            missing = {key.strip() for key in keys.split(",")} - set(known)
            assert not missing, f"{chapter.name} cites {missing}"


class _Html(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_pictures_have_a_text_and_links_lead_somewhere(path):
    text = re.sub(r"^(```+).*?^\1", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`\n]*`", "", text)
    for alt, _ in re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", text):
        assert alt.strip()
    targets = re.findall(r"(?<!\\)\]\(([^)\s]+)\)", text)
    parser = _Html()
    parser.feed(text)
    for tag, attributes in parser.found:
        if tag == "img":
            assert (attributes.get("alt") or "").strip(), f"an image without alt text in {path.name}"
        targets += [value for name, value in attributes.items() if name in ("href", "src", "srcset") and value]
    for target in targets:
        if not re.match(r"[a-z]+:|#", target):
            assert (path.parent / target.split("#")[0]).exists(), f"{path.name} links to {target}, which does not exist"


@pytest.mark.parametrize("chapter", ALL, ids=lambda chapter: chapter.name)
def test_figure_directives_have_a_text(chapter):
    for directive, options in re.findall(r"^[`:]{3,}\{(figure|image)\}.*\n((?::.*\n)*)", chapter.text, re.MULTILINE):
        assert re.search(r"^:alt:\s*\S", options, re.MULTILINE), f"a {directive} without :alt:"


@pytest.mark.parametrize("chapter", FULL, ids=lambda chapter: chapter.name)
def test_full_chapters_have_the_shape_of_a_chapter(chapter):
    assert 150 <= written(chapter.text) <= 350
    assert "```{exercise" in chapter.text or ":::{dropdown}" in chapter.text or "dropdown" in chapter.text
    assert "{cite:" in chapter.text
    assert re.search(r"^## .*[Cc]ode", chapter.text, re.MULTILINE), "ends with links to its code"


def commands(text: str) -> set[str]:
    """The `make X` and `nld X` that a document shows."""
    shown = "\n".join(
        re.findall(r"```(?:bash|sh|console)\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
    )
    return set(re.findall(r"(?:^|[\s/])(make [a-z]+|nld [a-z][a-z-]*(?: [a-z][a-z-]*)?)", shown, re.MULTILINE))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_that_are_shown_exist(path):
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    parser = make_parser()
    subcommands = next(action for action in parser._actions if action.dest == "command").choices
    for command in commands(path.read_text("utf-8")):
        program, name, *action = command.split()
        if program == "make":
            assert name in targets, f"{path.name} shows `{command}`; the Makefile has {sorted(targets)}"
            continue
        assert name in subcommands, f"{path.name} shows `{command}`; nld has {sorted(subcommands)}"
        inner = [a for a in subcommands[name]._actions if a.dest == "action" and a.choices]
        if inner and action:
            assert action[0] in inner[0].choices, f"{path.name} shows `{command}`"


def test_the_commands_in_the_readme_are_found_at_all():
    assert {"make book", "make test", "nld book build"} <= commands((ROOT / "README.md").read_text("utf-8"))
