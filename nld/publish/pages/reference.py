"""The reference pages of the book, printed from `nld.paper.notation`, `nld.paper`, the ledger and documentation."""

import ast
import inspect
from pathlib import Path
from types import ModuleType

from nld import paper
from nld.paper.notation import SYMBOLS
from nld.publish.pages import claims_page
from nld.publish.pages.ruling import Myst, escape
from nld.results.places import PACKAGE

REPOSITORY = "https://github.com/nld-book/nld/blob/main"
BADGES = {paper.PROVED: "success", paper.CHECKED: "info"}


def badge(label: str) -> str:
    """The coloured badge of an equation; the text says the same as the colour."""
    return f"{{bdg-{BADGES[label]}}}`{label}`"


def notation() -> Myst:
    """Table of symbols."""
    rows = [
        f"| ${_in_table(symbol.latex)}$ | {symbol.meaning} | {symbol.unit or '1'} | `{symbol.code}` |"
        for symbol in SYMBOLS
    ]
    return Myst("\n".join(["| symbol | meaning | unit | name in code |", "|---|---|---|---|", *rows]))


def equations(tests: Path) -> Myst:
    """Every equation with its badge, its test, its code and where it is derived."""
    places = _tests(tests)
    parts = []
    for equation in paper.EQUATIONS:
        module = "/".join(equation.code.split(".")[:-1]) + ".py"
        links = [
            f"{{eq}}`{equation.label}` in {{doc}}`/{equation.chapter}`",
            f"code [`{equation.code}`]({REPOSITORY}/{module})",
            f"test [`{equation.test}`]({REPOSITORY}/{places[equation.test]})",
        ]
        parts += [
            f"**{equation.number}. {equation.title}** {badge(equation.badge)}",
            f"$$\\begin{{aligned}} {equation.latex} \\end{{aligned}}$$",
            " · ".join(links + [equation.remark] * bool(equation.remark)),
        ]
    return Myst("\n\n".join(parts))


def claims(profile: str) -> Myst:
    """The ledger: a scoreboard, then claims, verdicts and findings under the work that claims them."""
    return Myst(claims_page.page(profile))


def names(module: ModuleType) -> Myst:
    """List of the public names of a module: the first line of the documentation of each, and a link to its source.

    Public is what ``__all__`` names, or else every function and class that the module itself defines.
    """
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    rows = []
    for name in sorted(getattr(module, "__all__", own), key=str.lower):
        value = getattr(module, name)
        if not name.startswith("_") and (
            inspect.ismodule(value) or inspect.isclass(value) or inspect.isfunction(value)
        ):
            line = escape((inspect.getdoc(value) or "").partition("\n")[0]).replace("``", "`")
            rows.append(f"- [`{name}`]({REPOSITORY}/{_source(value)}): {line}")
    return Myst("\n".join(rows))


def _source(value) -> str:
    """Path of the file that defines a module, class or function, from the root of the repository."""
    return Path(inspect.getfile(value)).relative_to(PACKAGE.parent).as_posix()


def _in_table(latex: str) -> str:
    # A table cell ends at a bar, also inside a formula.
    return latex.replace(r"\|", r"\Vert ").replace("|", r"\vert ")


def _tests(folder: Path) -> dict[str, str]:
    """File of each test, by name."""
    return {
        node.name: f"{folder.name}/{path.relative_to(folder).as_posix()}"
        for path in sorted(folder.rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
