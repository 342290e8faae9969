"""A verdict as a page prints it: its badge, its numbers, and a table of what each registered part came to."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from nld.inference.registration import registered_for
from nld.inference.report import certainty, effect, outcome
from nld.inference.verdict import BELOW, CORRECTED, PARTLY, REFUTED, REPRODUCED, UNDECIDED, UNTESTED, Verdict
from nld.publish.pages.equation_numbers import as_roles
from nld.publish.pages.plain_math import typeset

SHADES = {
    REPRODUCED: "success",
    BELOW: "success",
    CORRECTED: "warning",
    PARTLY: "warning",
    REFUTED: "danger",
    UNDECIDED: "info",
    UNTESTED: "secondary",
}


@dataclass(frozen=True)
class Myst:
    """MyST text as the output of a cell; ``more`` says the same to machines, by MIME type, in the notebook alone."""

    text: str
    more: dict = field(default_factory=dict)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/markdown": self.text, "text/plain": self.text, **self.more}


def badge(label: str, text: str = "") -> str:
    """A badge in the colour of a label; its text, the label itself if no other is given, says the same."""
    return f"{{bdg-{SHADES[label]}}}`{text or label}`"


def ruling(verdicts: Iterable[Verdict], claim: str) -> Myst:
    """What was found on one claim: badge, numbers and findings; that nothing was run, where nothing was."""
    about = [verdict for verdict in verdicts if verdict.claim == claim]
    if not about:
        return Myst(f"{badge(UNTESTED)} Nothing of this profile has been run.")
    parts = [f"{badge(v.label)} *{v.scale}* {escape(v.numbers)}\n\n{findings_table(v)}" for v in about]
    return Myst("\n\n".join(parts))


def findings_table(verdict: Verdict) -> str:
    """The findings of a verdict with what was tested, in MyST."""
    estimands = {part.name: part.estimand for part in registered_for(verdict.claim, verdict.scale).parts}
    rows = ["| part | what is tested | effect, 95 % | evidence | |", "|---|---|---|---|---|"]
    for finding in verdict.findings:
        cells = (finding.part, estimands.get(finding.part, ""), effect(finding), certainty(finding), outcome(finding))
        rows.append("| " + " | ".join(escape(cell).replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(rows)


def escape(text: str) -> str:
    """Text for MyST: formulas are formulas, the paper's equations are cited, and a star, as in q*, is a letter."""
    return as_roles(typeset(text)).replace("*", r"\*")
