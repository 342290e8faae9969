"""The claims ledger: for each claim of the paper, the verdict that the measurements give.

A figure rules on claims by defining ``judge(data) -> list[Verdict]``; a claim on which no
figure rules in a profile is not yet tested at that scale.
"""

from dataclasses import dataclass

from nld import figures, paper
from nld.verdict import UNTESTED, Verdict


@dataclass(frozen=True)
class Ruling:
    """A verdict, with the claim it rules on and the figure that shows the measurement ("" if none)."""

    claim: paper.Claim
    verdict: Verdict
    figure: str
    profile: str


def ledger(profile: str = "quick") -> list[Ruling]:
    """One ruling or more for each claim, in the order of ``paper.CLAIMS``.

    Raises:
        ValueError: a figure rules on a claim that ``paper.CLAIMS`` does not know.
    """
    found: dict[str, list[Ruling]] = {claim.name: [] for claim in paper.CLAIMS}
    claims = {claim.name: claim for claim in paper.CLAIMS}
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
