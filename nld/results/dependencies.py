"""Which parts of `nld` a piece of code reaches, found by reading, never by running.

The cache key of a chapter covers the source of every module that it reaches, so that a
change in a module reruns only the chapters that depend on it.
"""

import ast
import hashlib
from collections.abc import Callable, Set
from functools import cache
from pathlib import Path

from nld.results.places import PACKAGE, ROOTS, SHIPPED


def reached_modules(source: str) -> frozenset[str]:
    """Names of the modules of `nld` that running ``source`` can load.

    Follows imports (also those inside functions), attributes of `nld` (``nld.figures.show``),
    figure names given as text ("fig-1" loads the module of that figure), and
    ``figures.names``, which stands for all figures.
    """
    # with each module comes the package around it; around nld there is none
    return _closure(_direct(source, ""), lambda name: (_imports(name) | {name.rpartition(".")[0]}) - {""})


def needed_modules(module: str, without: tuple[str, ...] = (), within: str = "nld") -> frozenset[str]:
    """The module and those that it names, directly or through others; not the packages around them.

    Importing a module loads the packages around it too, but what a computation does is in what it names.

    Args:
        without: modules and packages that are not followed.
        within: package outside which nothing but ``module`` itself is followed.
    """

    def followed(name: str) -> bool:
        inside = name == module or _is_in(name, within)
        return inside and not any(_is_in(name, each) for each in without)

    return _closure({module}, lambda name: set(filter(followed, _imports(name))))


def _closure(names: set[str], next_to: Callable[[str], Set[str]]) -> frozenset[str]:
    """The names, what is next to them, what is next to that, and so on."""
    reached, frontier = set(), set(names)
    while frontier:
        reached.add(name := frontier.pop())
        frontier |= next_to(name) - reached
    return frozenset(reached)


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def source_hashes(modules: frozenset[str]) -> dict[str, str]:
    """Hash of each module's source, of the data files beside a package (styles, templates), and of stored results.

    A module names the results that it reads by a text such as "results/paper/*.nc", from the root of the checkout; a
    wheel carries them in the package.
    """
    hashes = {}
    for name in sorted(modules):
        path = _path(name)
        assert path is not None
        hashes[name] = _hash(path)
        for pattern in sorted(_results(path)):
            root = next((root for root in ROOTS if any(root.glob(pattern))), SHIPPED)
            for result in sorted(file for file in root.glob(pattern) if file.is_file()):
                hashes[result.relative_to(root).as_posix()] = _hash(result)
        if path.name == "__init__.py":
            for data in sorted([*path.parent.iterdir(), *path.parent.glob("templates/*")]):
                if data.is_file() and data.suffix not in (".py", ".pyc", ".pyi", ".typed"):
                    hashes[f"{name}/{data.relative_to(path.parent).as_posix()}"] = _hash(data)
    return hashes


def _results(path: Path) -> set[str]:
    """The texts of a module that name stored results."""
    source = path.read_text("utf-8")
    if "results/" not in source:
        return set()
    texts = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return {text for text in texts if isinstance(text, str) and text.startswith("results/") and "\n" not in text}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _path(name: str) -> Path | None:
    base = PACKAGE.joinpath(*name.split(".")[1:])
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file() and name.split(".")[0] == "nld":
            return candidate
    return None


@cache
def _imports(name: str) -> frozenset[str]:
    path = _path(name)
    assert path is not None
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return frozenset(_direct(path.read_text("utf-8"), package))


@cache
def _public(module: str) -> dict[str, str]:
    """What the stub of a package that imports lazily says: public name to module."""
    path = _path(module)
    stub = None if path is None else path.with_suffix(".pyi")
    if stub is None or not stub.is_file():
        return {}
    nodes = [node for node in ast.parse(stub.read_text("utf-8")).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: f"{module}.{node.module}" for node in nodes if node.module for alias in node.names}


def _direct(source: str, package: str) -> set[str]:
    """Modules named by the source itself, one hop."""
    modules: set[str] = set()
    known = {"nld": "nld"}  # name in the source -> what of nld it stands for

    def add(dotted: str):
        parts = dotted.split(".")
        if dotted == "nld.figures.names":  # whoever lists the figures depends on each
            modules.update(f"nld.figures.{path.stem}" for path in (PACKAGE / "figures").glob("fig_*.py"))
        rest = []
        while parts and _path(".".join(parts)) is None:
            rest.insert(0, parts.pop())
        if parts:
            modules.add(module := ".".join(parts))
            if rest and (target := _public(module).get(rest[0])):  # a name that the package imports on first use
                add(f"{target}.{rest[0]}")

    nodes = list(ast.walk(ast.parse(source)))
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                add(alias.name)
                if alias.asname:
                    known[alias.asname] = alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], base]).strip(".")
            for alias in node.names:
                add(f"{base}.{alias.name}")
                known[alias.asname or alias.name] = f"{base}.{alias.name}"
    for node in nodes:
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            if first in known and all(part.isidentifier() for part in rest.split(".")):  # no call in between
                add(f"{known[first]}.{rest}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("fig-"):
            add("nld.figures." + node.value.replace("-", "_"))
    return modules
