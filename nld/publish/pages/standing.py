"""Where every claim stands, a line each: what holds, what holds corrected or in part, what fails, what is undecided."""

from itertools import groupby

from nld.claims.rulings import Ruling, ledger
from nld.inference.verdict import BELOW, CORRECTED, PARTLY, REFUTED, REPRODUCED, UNDECIDED, UNTESTED
from nld.publish.pages.ruling import Myst, badge, escape
from nld.publish.rendering import render

GROUPS = {
    "What holds": (REPRODUCED, BELOW),
    "What holds corrected, or in part": (CORRECTED, PARTLY),
    "What fails": (REFUTED,),
    "What is undecided": (UNDECIDED,),
}


def standing(profile: str) -> Myst:
    """Every claim that was measured, by its verdict at the largest scale at which it was; and how many were not."""
    by_claim = [list(rows) for _, rows in groupby(ledger(profile), key=lambda ruling: ruling.claim.name)]
    measured = [rows for each in by_claim if (rows := [r for r in each if r.verdict.label != UNTESTED])]
    blocks = []
    for title, labels in GROUPS.items():
        lines = [_line(rows) for rows in measured if rows[-1].verdict.label in labels]
        blocks += [f":::{{rubric}} {title}: {len(lines)}\n:heading-level: 3\n:::", _table(lines)]
    rest = len(by_claim) - len(measured)
    waiting = sum(any(r.verdict.label == UNTESTED for r in rows) for rows in by_claim)
    blocks.append(
        f"Of {len(by_claim)} claims {rest} could not be measured here at all, and {waiting} wait for the scale of "
        "their source; {doc}`claims` names them."
    )
    return Myst("\n\n".join(blocks))


def _table(lines: list[str]) -> str:
    return "\n".join(["| | claim | found |", "|---|---|---|", *lines]) if lines else "None."


def _line(rulings: list[Ruling]) -> str:
    """One claim: the figure that measures it, its statement, which leads to the ledger, and a badge a scale."""
    last = rulings[-1]
    picture = render(
        "thumbnail.html",
        address=f"claims.html#claim-{last.claim.name}",
        files=f"../figures/{last.figure}/",
        alt=f"Thumbnail of {last.figure}",
    )
    statement = f"{escape(last.claim.statement)} {{ref}}`Evidence <claim-{last.claim.name}>`"
    badges = " ".join(badge(ruling.verdict.label, f"{ruling.scale}: {ruling.verdict.label}") for ruling in rulings)
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in (picture, statement, badges)) + " |"
