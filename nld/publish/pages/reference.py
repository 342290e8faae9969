"""The reference pages of the book, printed from `nld.paper.notation`, `nld.paper`, the ledger and documentation."""

import ast
import inspect
from itertools import groupby
from pathlib import Path
from types import ModuleType

from nld import paper
from nld.claims.history import history
from nld.claims.rulings import Ruling, ledger
from nld.inference.registration import SCALES
from nld.inference.verdict import LABELS
from nld.paper.notation import SYMBOLS
from nld.publish.pages import linked_data
from nld.publish.pages.ruling import Myst, badge, escape, findings_table
from nld.results.places import PACKAGE

REPOSITORY = "https://github.com/nld-book/nld/blob/main"
BADGES = {paper.PROVED: "success", paper.CHECKED: "info"}


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
            f"**{equation.number}. {equation.title}** {{bdg-{BADGES[equation.badge]}}}`{equation.badge}`",
            f"$$\\begin{{aligned}} {equation.latex} \\end{{aligned}}$$",
            " · ".join(links + [equation.remark] * bool(equation.remark)),
        ]
    return Myst("\n\n".join(parts))


def claims(profile: str) -> Myst:
    """The ledger: a scoreboard, then every claim under its source, with its findings folded away."""
    rulings = ledger(profile)
    blocks = [_scoreboard(rulings)]
    for title, of_paper in {"The paper": True, "The line of work": False}.items():
        rows = [ruling for ruling in rulings if (ruling.claim.source == paper.CLAIMS[0].source) == of_paper]
        blocks.append(_heading(title, 2))
        for source, of_source in groupby(rows, key=lambda ruling: ruling.claim.source):
            blocks += [_heading(f"{{cite:t}}`{source}`", 3)] * (not of_paper)
            blocks += [_claim(list(of_claim)) for _, of_claim in groupby(of_source, key=lambda r: r.claim.name)]
    text = "\n\n".join([*blocks, _heading("What changed", 2), _changes()])
    return Myst(text, {linked_data.MIME: linked_data.linked_data(rulings)})


def _scoreboard(rulings: list[Ruling]) -> str:
    """Counts of verdicts by scale."""
    scales = [scale for scale in SCALES if any(ruling.scale == scale for ruling in rulings)]
    rows = []
    for label in LABELS:
        counts = [sum(r.verdict.label == label and r.scale == scale for r in rulings) for scale in scales]
        if sum(counts):
            rows.append(f"| {badge(label)} | " + " | ".join(str(c or "") for c in [*counts, sum(counts)]) + " |")
    total = [sum(r.scale == scale for r in rulings) for scale in scales]
    rows.append("| all | " + " | ".join(str(count) for count in [*total, len(rulings)]) + " |")
    head = "| verdict | " + " | ".join([*scales, "all"]) + " |\n|---|" + "---:|" * (len(scales) + 1)
    return "\n".join([head, *rows])


def _heading(text: str, level: int) -> str:
    return f":::{{rubric}} {text}\n:heading-level: {level}\n:::"


def _claim(rulings: list[Ruling]) -> str:
    """One claim as a fold: its statement, data and a badge a scale for a title; numbers, findings and links inside."""
    claim = rulings[0].claim
    badges = " ".join(badge(ruling.verdict.label, f"{ruling.scale}: {ruling.verdict.label}") for ruling in rulings)
    seen = [ruling for ruling in rulings if ruling.figure]
    data = "; ".join(ruling.registration.data for ruling in seen)
    inside = [part for ruling in rulings for part in _inside(ruling)]
    inside.append(f"See {{doc}}`/{claim.chapter}`.")
    return (
        f"::::{{dropdown}} {escape(claim.statement)} *{data or 'not run'}* {badges}\n:name: claim-{claim.name}\n"
        ":class-container: nld-claim\n\n" + "\n\n".join(inside) + "\n::::"
    )


def _inside(ruling: Ruling) -> list[str]:
    """What one ruling rests on: numbers, findings, and one line with type, selection, figure and processor."""
    claim, registration = ruling.claim, ruling.registration
    if not ruling.figure:
        return [escape(ruling.verdict.numbers)]
    words = [registration.type + (", registered after exploration" if registration.explored else ", registered before")]
    words += [f"selected: {escape(registration.selection)}"] * bool(registration.selection)
    words.append(f"{{numref}}`{ruling.figure}` on {ruling.processor}")
    cited = ", ".join(f"{{eq}}`eq-paper-{number}`" for number in claim.equations)
    words += [f"rests on {cited}"] * bool(cited)
    return [
        f"*{ruling.scale}.* {escape(ruling.verdict.numbers)}",
        findings_table(ruling.verdict),
        *(f"- {escape(str(further))}" for further in ruling.further),
        "; ".join(words) + ".",
    ]


def _changes() -> str:
    """Changes of verdicts, the newest first, in a fold."""
    rows = [
        f"| {c.date} | {c.claim} ({c.scale}) | {c.before or 'new'} | {c.after} | {escape(c.why)} |"
        for c in reversed(history())
        if c.what == "verdict" and c.before
    ]
    table = "\n".join(["| when | claim | before | after | why |", "|---|---|---|---|---|", *rows])
    return f"::::{{dropdown}} {len(rows)} verdicts changed\n:class-container: nld-claim\n\n{table}\n::::"


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
