"""What became of the claims of each work in the line: verdicts as they were logged last, each leading to its claim."""

from itertools import groupby

from nld import paper
from nld.claims.history import history
from nld.claims.rulings import known
from nld.inference.registration import SCALES
from nld.inference.verdict import UNTESTED
from nld.publish.pages.ruling import SHADES, Myst


def verdicts() -> Myst:
    """A row for each work but the paper: a badge for each claim, with its verdict at the largest scale measured.

    From the log, so that the page needs no figure; ``nld.publish.pages.reference.claims`` computes them.
    """
    logged = {(entry.claim, entry.scale): entry.after for entry in history() if entry.what == "verdict"}
    others = [claim for claim in known().values() if claim.source != paper.CLAIMS[0].source]
    rows = ["| work | its claims, as last ruled on |", "|---|---|"]
    for source, claims in groupby(others, key=lambda claim: claim.source):
        badges = " ".join(_badge(claim.name, logged) for claim in claims)
        rows.append(f"| {{cite:t}}`{source}` | {badges} |")
    return Myst("\n".join(rows))


def _badge(claim: str, logged: dict[tuple[str, str], str]) -> str:
    labels = [(scale, logged[claim, scale]) for scale in SCALES if (claim, scale) in logged]
    measured = [each for each in labels if each[1] != UNTESTED] or labels or [("", UNTESTED)]
    scale, label = measured[-1]
    return f"{{bdg-ref-{SHADES[label]}}}`{scale}: {label} <claim-{claim}>`"
