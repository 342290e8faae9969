"""The claims ledger: for each claim, of the paper and of the works around it, the verdict of the measurements.

A figure rules on claims by defining ``judge(data) -> list[Verdict]``; a claim on which no
figure rules in a profile is not yet tested at that scale. Claims of other works stand beside
their judge, as ``CLAIMS`` in the figure's module.
"""

from dataclasses import dataclass
from functools import cache

from nld import figures, paper
from nld.verdict import UNTESTED, Verdict


@dataclass(frozen=True)
class Ruling:
    """A verdict, with the claim it rules on and the figure that shows the measurement ("" if none)."""

    claim: paper.Claim
    verdict: Verdict
    figure: str
    profile: str


@cache
def known() -> dict[str, paper.Claim]:
    """Every claim by name: those of the paper first, then those of other works by their source.

    Raises:
        ValueError: two claims have one name.
    """
    others = [claim for name in figures.names() for claim in getattr(figures.load(name), "CLAIMS", ())]
    claims = [*paper.CLAIMS, *sorted(others, key=lambda claim: claim.source)]
    found = {claim.name: claim for claim in claims}
    if len(found) < len(claims):
        twice = sorted(name for name in found if sum(claim.name == name for claim in claims) > 1)
        raise ValueError(f"expected each claim once, got {twice} more than once; rename all but one")
    return found


def ledger(profile: str = "quick") -> list[Ruling]:
    """One ruling or more for each claim, in the order of ``known()``.

    Raises:
        ValueError: a figure rules on a claim that nobody has stated.
    """
    claims = known()
    found: dict[str, list[Ruling]] = {name: [] for name in claims}
    for name in figures.names():
        judge = getattr(figures.load(name), "judge", None)
        if judge is None:
            continue
        for verdict in judge(figures.show(name, profile).data):
            if verdict.claim not in claims:
                raise ValueError(f"expected {name} to rule on a claim in {sorted(claims)}, got {verdict.claim!r}")
            found[verdict.claim].append(Ruling(claims[verdict.claim], verdict, name, profile))
    for name, rulings in found.items():
        if not rulings:
            verdict = Verdict(name, UNTESTED, f"No figure measures it in the {profile} profile.")
            rulings.append(Ruling(claims[name], verdict, "", profile))
    return [ruling for rulings in found.values() for ruling in rulings]
