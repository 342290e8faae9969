"""The executed copies of the chapters: which are current, what went into each, why one must run again."""

import ast
import hashlib
import json
import platform
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from nld.publish.execution.chapters import Chapter
from nld.results import arithmetic, seals, store
from nld.results.dependencies import reached_modules, source_hashes
from nld.results.provenance import packages


@dataclass(frozen=True, eq=False)
class Plan:
    """A chapter and, in ``changed``, the parameters it is to run with that differ from its defaults."""

    chapter: Chapter
    changed: dict = field(default_factory=dict)

    @property
    def parameters(self) -> dict:
        """Every parameter's value, by name."""
        defaults = {name: parameter.default for name, parameter in self.chapter.parameters.items()}
        return {**defaults, **self.changed}

    @cached_property
    def modules(self) -> frozenset[str]:
        """The modules of `nld` that the chapter reaches, as reading its cells tells."""
        return frozenset().union(*(_reached(source) for source, _ in self.chapter.cells))

    @cached_property
    def ingredients(self) -> dict[str, str]:
        """Everything the outputs depend on, by a name that a person understands."""
        parts = {f"cell {n}": _hash(source) for n, (source, _) in enumerate(self.chapter.cells, 1)}
        parts |= {f"parameter {name}": repr(value) for name, value in self.parameters.items()}
        for module in sorted(self.modules):
            parts |= {f"module {name}": digest for name, digest in _source_hashes(module).items()}
        constraints = self.chapter.root / "constraints.txt"
        parts["constraints.txt"] = _hash(constraints.read_text("utf-8")) if constraints.exists() else "absent"
        parts |= {f"package {name}": version for name, version in packages().items()}
        parts |= {f"arithmetic {name}": str(value) for name, value in arithmetic.identity().items()}
        for source, _ in self.chapter.cells:
            parts |= _named_files(self.chapter.path.parent, source)
        parts["python"] = ".".join(platform.python_version_tuple()[:2])
        return parts

    @cached_property
    def key(self) -> str:
        """Name of the outputs in the store: equal keys, equal ingredients."""
        return store.content_key({"chapter": self.chapter.document, **self.ingredients})


def notebook_path(root: Path, key: str) -> Path:
    """Where the executed notebook of this key is kept."""
    return root / "executed" / f"{key}.ipynb"


def current_path(root: Path, name: str) -> Path:
    """Where it is kept what the pages show for the chapter of this name."""
    return root / "current" / f"{name}.json"


def current(root: Path, chapter: Chapter) -> dict:
    """What the pages show for this chapter now: key, changed parameters, ingredients; empty if nothing."""
    path = current_path(root, chapter.name)
    try:
        return {} if seals.flaw(path) else json.loads(path.read_text("utf-8"))
    except OSError:
        return {}


def make_current(root: Path, plan: Plan) -> None:
    """Let the pages show this plan's executed copy."""
    record = {"key": plan.key, "changed": plan.changed, "ingredients": plan.ingredients}
    before = current(root, plan.chapter)
    if record != {name: before.get(name) for name in record}:
        store.write_sealed(current_path(root, plan.chapter.name), record)


def figures_of(root: Path, key: str) -> list[Path]:
    """Folders of the figures that a whole executed copy shows."""
    notebook = json.loads(notebook_path(root, key).read_text("utf-8"))
    return [root / figure for figure in notebook["metadata"].get("nld", {}).get("figures", [])]


def is_whole(root: Path, key: str) -> bool:
    """Whether an executed copy exists as it was written, and so does every figure that it shows."""
    try:
        if seals.flaw(notebook_path(root, key)):
            return False
        return all(folder.is_dir() and not seals.flaw(folder) for folder in figures_of(root, key))
    except OSError:  # it cannot be read
        return False


def heal(root: Path, plan: Plan) -> None:
    """Name and set aside what is damaged of the chapter: its executed copy, a figure of it, or what is current.

    Raises:
        OSError: something is damaged and cannot be moved away.
    """
    store.heal(current_path(root, plan.chapter.name), root)
    if store.heal(notebook_path(root, plan.key), root):
        for folder in figures_of(root, plan.key):
            store.heal(folder, root)


def why(root: Path, plan: Plan) -> list[str]:
    """Why the chapter has to run, in words; empty when its executed copy is there."""
    if is_whole(root, plan.key):
        return []
    before, now = current(root, plan.chapter).get("ingredients", {}), plan.ingredients
    if not before:
        return ["it has never run"]
    return differences(before, now) or ["its executed copy or a figure of it is gone"]


def differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """What changed, came and went between two tables of ingredients, in words."""
    changed = [f"{name} changed" for name in now if name in before and before[name] != now[name]]
    changed += [f"{name} is new" for name in now if name not in before]
    return changed + [f"{name} is gone" for name in before if name not in now]


def _reached(source: str) -> frozenset[str]:
    """Modules of `nld` that a cell reaches; none for a cell that Python cannot read, which will fail before it runs."""
    try:
        return reached_modules(_python(source))
    except SyntaxError:
        return frozenset()


def _named_files(folder: Path, source: str) -> dict[str, str]:
    """Hash of each file, or of all modules of a folder, that a cell names by its place beside the book: "../tests"."""
    try:
        nodes = list(ast.walk(ast.parse(_python(source))))
    except SyntaxError:
        return {}
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    hashes_of_places = {}
    for text in sorted(text for text in texts if text.startswith("../") and "\n" not in text):
        place = folder / text
        files = [place] if place.is_file() else sorted(place.rglob("*.py"))
        hashes = {str(file.relative_to(place.parent)): _hash(file.read_text("utf-8", "replace")) for file in files}
        hashes_of_places[f"files of {text}"] = store.content_key(hashes)
    return hashes_of_places


def _python(source: str) -> str:
    """A cell without IPython's own lines."""
    return "\n".join(line for line in source.splitlines() if not line.lstrip().startswith(("%", "!")))


@cache
def _source_hashes(module: str) -> dict[str, str]:
    # Read once: chapters share most of what they reach.
    return source_hashes(frozenset([module]))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
