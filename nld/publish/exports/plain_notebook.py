"""A chapter as a plain notebook: nothing in it that only the book understands.

MyST's directives, roles, labels and glued numbers become ordinary Markdown, so that the file opens and runs in any
Jupyter, Colab or editor where `nld` is installed. Equations keep numbers (their order in the chapter), links to
other chapters lead to the published book, and numbers that cells compute stand in the text as the
last run printed them.
"""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from nld import __version__
from nld.errors import UsageError
from nld.publish.execution import chapter_cache
from nld.publish.execution.chapters import Chapter, read_chapters, read_notebook
from nld.publish.pages.citation import base_address
from nld.publish.pages.equation_numbers import PAPER
from nld.results import seals

GLUE = "from myst_nb import glue"
PRINTS_THE_BOOK = "nld.publish.pages.reference"
PRINTED = 'glue = lambda name, value, display=False: print(f"{name} = {value}")  # numbers that the text quotes'
INSTALL = """try:
    import nld
except ImportError:
    %pip install --quiet "nld @ git+https://github.com/nld-book/nld"
    import nld"""
FENCE = re.compile(r"^(?P<fence>:{3,}|`{3,})\{(?P<name>[a-z-]+)\}[ ]*(?P<title>.*)$")
EQUATION = re.compile(r"\$\$(?P<body>.+?)\$\$[ \t]*\((?P<label>eq-[^)\n]+)\)", re.DOTALL)
ROLE = re.compile(r"\{(?P<role>[a-z][a-z:-]*)\}`(?P<text>[^`]*)`")


@dataclass(frozen=True)
class Book:
    """What links and citations need to know of the book around a chapter.

    Args:
        address: of the published book, with a slash at its end.
        chapters: all pages.
        places: page of each label, figure and equation.
        references: authors and year, and the whole reference, by key.
        glued: numbers that the chapter's last run printed.
    """

    address: str
    chapters: tuple[Chapter, ...]
    places: dict[str, str]
    references: dict[str, tuple[str, str, str]]
    glued: dict[str, str] = field(default_factory=dict)

    def link(self, label: str, text: str, anchor: str = "") -> str:
        """Markdown link to a label of the published book."""
        return f"[{text}]({self.address}{self.places.get(label, 'book/index')}.html#{anchor or label})"


def plain_notebook(root: Path, chapter: Chapter):
    """The notebook, without outputs.

    Raises:
        UsageError: the page has no code, or prints parts of the book.
    """
    has_parameters = any("parameters" in tags for _, tags in chapter.cells)
    if not has_parameters or PRINTS_THE_BOOK in chapter_cache.Plan(chapter).modules:
        raise UsageError(f"{chapter.name} is a page of reference that only the book can print; choose a chapter")
    source = read_notebook(chapter.text)
    book = read_book(root, chapter)
    text = "\n\n".join(cell.source for cell in source.cells if cell.cell_type == "markdown")
    numbers = {match["label"]: number for number, match in enumerate(EQUATION.finditer(text), 1)}
    cited: dict[str, None] = {}
    notebook = nbformat.v4.new_notebook()
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    origin = f"From [{_title(chapter)}]({book.address}{chapter.document}.html), nld {__version__}, CC BY 4.0."
    cells = [nbformat.v4.new_code_cell(INSTALL)]
    for cell in source.cells:
        if cell.cell_type == "code":
            tags = {"tags": ["parameters"]} if "parameters" in cell.metadata.get("tags", ()) else {}
            cells.append(nbformat.v4.new_code_cell(cell.source.replace(GLUE, PRINTED), metadata=tags))
        else:
            cells.append(nbformat.v4.new_markdown_cell(_markdown(cell.source, book, numbers, cited)))
    listing = "\n".join(f"- {book.references[key][2]}" for key in cited)
    end = f"---\n\n{origin}" + (f"\n\n## References\n\n{listing}" if cited else "")
    notebook.cells = [*cells, nbformat.v4.new_markdown_cell(end)]
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    return notebook


def read_book(root: Path, chapter: Chapter) -> Book:
    """Labels, references and numbers that the text of ``chapter`` may use."""
    chapters, places = read_chapters(root), {}
    for page in chapters:
        labels = re.findall(r"^\(([a-z0-9-]+)\)=$", page.text, re.MULTILINE)
        labels += re.findall(r"figures\.show\(\s*\"(fig-[a-z0-9-]+)\"", page.text)
        labels += [match["label"] for match in EQUATION.finditer(page.text)]
        places |= dict.fromkeys(labels, page.document)
    return Book(base_address(root), tuple(chapters), places, _references(root), _glued(root, chapter))


def _glued(root: Path, chapter: Chapter) -> dict[str, str]:
    """Numbers that the chapter's current run has glued, as text."""
    path = chapter_cache.notebook_path(root / ".nld", chapter_cache.current(root / ".nld", chapter).get("key", "none"))
    if seals.flaw(path):  # none, or no longer what was written
        return {}
    numbers = {}
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", ()):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if name:
                value = next(text for mime, text in output["data"].items() if mime.endswith("text/plain"))
                numbers[name] = str(ast.literal_eval(value))
    return numbers


def _references(root: Path) -> dict[str, tuple[str, str, str]]:
    """Authors, year and a line of plain text of every entry of the bibliography."""
    import pybtex.database

    references = {}
    for key, entry in pybtex.database.parse_file(root / "book" / "references.bib").entries.items():
        names = [_tidy(" ".join(person.prelast_names + person.last_names)) for person in entry.persons["author"]]
        short = names[0] + (f" and {names[1]}" if len(names) == 2 else " et al." if len(names) > 2 else "")
        fields = entry.fields
        where = [fields[name] for name in ("journal", "booktitle", "publisher", "howpublished") if name in fields][:1]
        place = f"https://doi.org/{fields['doi']}" if "doi" in fields else ""
        place = place or (f"https://arxiv.org/abs/{fields['eprint']}" if "eprint" in fields else fields.get("url", ""))
        year = fields["year"]
        parts = [f"{', '.join(names)} ({year})", _tidy(fields["title"]), *(f"*{_tidy(name)}*" for name in where), place]
        references[key] = (short, year, ". ".join(filter(None, parts)))
    return references


def _tidy(text: str) -> str:
    return re.sub(r"[{}]", "", text).replace("--", "–").replace("\\", "")


def _title(chapter: Chapter) -> str:
    return next(line[2:] for line in chapter.text.splitlines() if line.startswith("# "))


def _markdown(text: str, book: Book, numbers: dict[str, int], cited: dict[str, None]) -> str:
    """MyST text as plain Markdown."""
    text = "\n".join(_blocks(text.splitlines()))
    text = re.sub(r"^\([a-z0-9-]+\)=\n", "", text, flags=re.MULTILINE)
    text = EQUATION.sub(lambda match: f"$${match['body'].rstrip()} \\tag{{{numbers[match['label']]}}}$$", text)
    return ROLE.sub(lambda match: _role(match["role"], match["text"], book, numbers, cited), text)


def _blocks(lines: list[str]) -> list[str]:
    """The lines with their directives as plain Markdown; code blocks keep their fence."""
    out, queue = [], list(lines)
    while queue:
        line = queue.pop(0)
        match = FENCE.match(line)
        if match is None:
            out.append(line)
            continue
        inside = []
        while queue and queue[0].rstrip() != match["fence"]:
            inside.append(queue.pop(0))
        queue = queue[1:]
        while inside and re.match(r"^:[a-z-]+:", inside[0]):  # options of the directive
            inside.pop(0)
        out += _directive(match["name"], match["title"].strip(), _blocks(inside))
    return out


def _directive(name: str, title: str, inside: list[str]) -> list[str]:
    """One directive as plain Markdown; an unknown one leaves what is inside."""
    if name == "dropdown":
        return ["<details>", f"<summary>{title}</summary>", "", *inside, "", "</details>"]
    if name in ("admonition", "note", "tip", "warning"):
        return [f"> **{title or name.title()}**", ">", *(f"> {line}".rstrip() for line in inside)]
    if name == "grid-item-card":
        return [f"**{title}.**", *inside]
    return ["$$", *inside, "$$"] if name == "math" else inside


def _role(role: str, text: str, book: Book, numbers: dict[str, int], cited: dict[str, None]) -> str:
    """One role as plain Markdown; an unknown one leaves its text."""
    named = re.fullmatch(r"(?P<text>.*?)\s*<(?P<target>[^>]+)>", text, re.DOTALL)
    target, shown = (named["target"], named["text"]) if named else (text.strip(), "")
    if role.startswith("glue"):
        return book.glued.get(target.split(":")[0], f"`{target}` (printed above)")
    if role == "eq":
        paper = PAPER.fullmatch(target)  # of Tanaka and Kunin, in whichever chapter it stands
        if paper:
            return book.link(target, f"T&K ({paper[1]})", f"equation-{target}")
        return f"({numbers[target]})" if target in numbers else book.link(target, target, f"equation-{target}")
    if role in ("numref", "ref"):
        return book.link(target, shown or (f"Figure {target}" if role == "numref" else target))
    if role == "doc":
        page = next((page for page in book.chapters if page.name == Path(target).name), None)
        return f"[{shown or _title(page)}]({book.address}{page.document}.html)" if page else shown or target
    if role.startswith("cite"):
        keys = [key.strip() for key in target.split(",")]
        cited |= dict.fromkeys(keys)
        if role == "cite:t":
            return ", ".join(f"{book.references[key][0]} ({book.references[key][1]})" for key in keys)
        return "(" + "; ".join(f"{book.references[key][0]}, {book.references[key][1]}" for key in keys) + ")"
    if role == "math":
        return f"${text}$"
    return shown or target
