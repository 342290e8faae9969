"""The chapters of the book: what `_toc.yml` lists, and the cells and parameters of each."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml
from sphinx_external_toc.parsing import MalformedError, parse_toc_data

from nld.errors import UsageError, did_you_mean
from nld.publish.execution.parameters import Parameter, read_parameters

# What an entry of `_toc.yml` may hold (sphinx-external-toc).
KEYS = {"format", "root", "defaults", "file", "url", "glob", "title", "caption", "numbered", "maxdepth", "hidden"}
KEYS |= {"titlesonly", "reversed", "options", "entries", "subtrees", "parts", "chapters", "sections"}


@dataclass(frozen=True)
class Chapter:
    """One page of the book: a MyST text notebook, or plain MyST text when it has no code cell.

    Args:
        document: path below the root without the suffix, as in `_toc.yml` ("book/notation").
        number: position in the table of contents, the front page being 0.
        root: folder that holds `_toc.yml`.
    """

    document: str
    number: int
    root: Path

    @property
    def name(self) -> str:
        """What the command line calls it, such as "notation"."""
        return Path(self.document).name

    @property
    def label(self) -> str:
        """Number and name, such as "18 notation"."""
        return f"{self.number:02d} {self.name}"

    @property
    def path(self) -> Path:
        """Its file."""
        return self.root / f"{self.document}.md"

    @cached_property
    def text(self) -> str:
        """What its file holds.

        Raises:
            UsageError: the file is not valid UTF-8.
        """
        try:
            return self.path.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.path} is not valid UTF-8: {error}") from None

    @cached_property
    def cells(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Source and tags of each code cell, in order.

        Raises:
            UsageError: the header is not valid YAML.
        """
        try:
            notebook = read_notebook(self.text)
        except yaml.YAMLError as error:
            raise UsageError(f"{self.path}: its header is not valid YAML: {' '.join(str(error).split())}") from None
        return tuple(
            (cell.source, tuple(cell.metadata.get("tags", ()))) for cell in notebook.cells if cell.cell_type == "code"
        )

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters that the cell tagged `parameters` declares, by name."""
        source = "\n".join(source for source, tags in self.cells if "parameters" in tags)
        return read_parameters(source, self.path.name)


def read_notebook(text: str):
    """A MyST text notebook as a notebook node, the way jupytext reads it."""
    import jupytext

    return jupytext.reads(text, fmt="md:myst")


def read_chapters(root: Path) -> list[Chapter]:
    """Every chapter of `_toc.yml`, in reading order.

    Raises:
        UsageError: `_toc.yml` is missing, is not YAML, has no `root` or a key that means nothing, or is otherwise
            not what Sphinx reads, or names a file that does not exist or a chapter twice.
    """
    path = root / "_toc.yml"
    try:
        toc = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"expected {path}, found none; run this in the root of the book") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not valid UTF-8: {error}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(toc, dict) or not isinstance(toc.get("root"), str):
        raise UsageError(f"{path}: expected a mapping with 'root: <front page>', got {str(toc)[:60]!r}")
    documents = [toc["root"]]

    def walk(entry, where):
        if not isinstance(entry, dict):
            raise UsageError(f"{path}: expected a mapping in {where}, got {entry!r}; write '- file: book/name'")
        for key in entry.keys() - KEYS:
            raise UsageError(f"{path}: unknown key {key!r} in {where}{did_you_mean(str(key), KEYS)}")
        if "file" in entry:
            if not entry["file"] or not isinstance(entry["file"], str):
                raise UsageError(f"{path}: expected the name of a file in {where}, got {entry['file']!r}")
            documents.append(entry["file"])
        for key in ("parts", "chapters", "sections"):
            children = entry.get(key) or []
            if not isinstance(children, list):
                raise UsageError(f"{path}: expected a list under {key!r}, got {children!r}")
            for number, child in enumerate(children, 1):
                walk(child, f"{key}[{number}]")

    walk({key: value for key, value in toc.items() if key != "file"}, "the top")
    chapters = [Chapter(str(document).removesuffix(".md"), i, root) for i, document in enumerate(documents)]
    names = set()
    for chapter in chapters:
        if not chapter.path.is_file():
            raise UsageError(f"{path} names {chapter.document!r}, but {chapter.path} does not exist")
        if chapter.name in names:  # results and pages of the one would replace those of the other
            raise UsageError(f"{path} names {chapter.name!r} twice; each chapter needs a name of its own")
        names.add(chapter.name)
    try:
        parse_toc_data(toc)  # what Sphinx will say, before anything runs
    except MalformedError as error:
        raise UsageError(f"{path}: {error}") from None
    return chapters


def find_chapter(chapters: list[Chapter], name: str) -> Chapter:
    """The chapter with this name, path or number ("01").

    Raises:
        UsageError: there is none; the message suggests the nearest.
    """
    wanted = name.removesuffix(".md").strip("/")
    for chapter in chapters:
        if wanted in (chapter.name, chapter.document) or (wanted.isdecimal() and int(wanted) == chapter.number):
            return chapter
    hint = did_you_mean(wanted.split("/")[-1], [chapter.name for chapter in chapters], cutoff=0.4) or "."
    listing = ", ".join(chapter.label for chapter in chapters)
    raise UsageError(f"unknown chapter {name!r}{hint}\nThe chapters are: {listing}")
