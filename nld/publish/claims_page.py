"""The page of claims: a scoreboard, then every claim under its source, with its findings folded away."""

from itertools import groupby

from nld import paper
from nld.claim_history import history
from nld.claims import Ruling, ledger
from nld.inference.registration import SCALES
from nld.inference.verdict import LABELS
from nld.publish.ruling import badge, escape, findings_table

PARTS = {"The paper": True, "The line of work": False}


def page(profile: str) -> str:
    """The whole ledger as MyST text."""
    rulings = ledger(profile)
    blocks = [_scoreboard(rulings)]
    anchors: set[str] = set()
    for title, of_paper in PARTS.items():
        rows = [ruling for ruling in rulings if (ruling.claim.source == paper.CLAIMS[0].source) == of_paper]
        blocks.append(_heading(title, 2))
        for source, of_source in groupby(rows, key=lambda ruling: ruling.claim.source):
            blocks += [_heading(f"{{cite:t}}`{source}`", 3)] * (not of_paper)
            blocks += [_claim(ruling, anchors) for ruling in of_source]
    return "\n\n".join([*blocks, _heading("What changed", 2), _changes()])


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


def _claim(ruling: Ruling, anchors: set[str]) -> str:
    """One claim as a fold: its statement, badge and data for a title; numbers, findings and links inside."""
    name, registration = ruling.claim.name, ruling.registration
    anchor = f":name: claim-{name}\n" * (name not in anchors)
    anchors.add(name)
    data = f"{ruling.scale}: {registration.data}" if ruling.figure else ruling.scale
    title = f"{badge(ruling.verdict.label)} {escape(ruling.claim.statement)} *{data}*"
    inside = [escape(ruling.verdict.numbers)]
    if ruling.verdict.findings:
        inside.append(findings_table(ruling.verdict))
    inside.append(_origin(ruling))
    return f"::::{{dropdown}} {title}\n{anchor}:class-container: nld-claim\n\n" + "\n\n".join(inside) + "\n::::"


def _origin(ruling: Ruling) -> str:
    """Type, selection, figure, processor and chapter in one line."""
    claim, registration = ruling.claim, ruling.registration
    words = [registration.type + (", registered after exploration" if registration.explored else ", registered before")]
    words += [f"selected: {escape(registration.selection)}"] * bool(registration.selection and ruling.figure)
    words += [f"{{numref}}`{ruling.figure}` on {ruling.processor}"] * bool(ruling.figure)
    numbers = ", ".join(str(number) for number in claim.equations)
    words += [f"rests on the paper's Eq {numbers}"] * bool(numbers)
    return "; ".join([*words, f"see {{doc}}`/{claim.chapter}`"]) + "."


def _changes() -> str:
    """Changes of verdicts, the newest first."""
    rows = [
        f"| {c.date} | {c.claim} ({c.scale}) | {c.before or 'new'} | {c.after} | {escape(c.why)} |"
        for c in reversed(history())
        if c.what == "verdict" and c.before
    ]
    return "\n".join(["| when | claim | before | after | why |", "|---|---|---|---|---|", *rows])
