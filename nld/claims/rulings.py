"""The claims ledger: for each claim, of the paper and of the works around it, the verdict of the measurements.

A figure rules on claims by defining ``judge(data) -> list[Verdict]``, by what `nld.inference` holds registered. A claim
is ruled on at the scale of its experiment; at the scale of its source, where that is larger, it is not yet tested: one
rule for all. Claims of other works stand beside their judge, as ``CLAIMS`` in the figure's module.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache

from nld import figures, paper
from nld.claims.further_seeds import Further, of_figure
from nld.errors import InvalidInput
from nld.inference.registration import SCALES, Registration, registered_for, registrations
from nld.inference.verdict import LABELS, UNTESTED, Verdict


@dataclass(frozen=True)
class Ruling:
    """A verdict, with the claim it rules on, its registration, and the figure that shows the measurement ("" if none).

    Args:
        scale: at which the verdict holds.
        processor: on which the judged runs were computed; "" where nothing was run.
        further: what further seeds say that were run in other copies; they change no verdict.
    """

    claim: paper.Claim
    verdict: Verdict
    registration: Registration
    figure: str
    profile: str
    scale: str
    processor: str = ""
    further: tuple[Further, ...] = ()


@cache
def known() -> dict[str, paper.Claim]:
    """Every claim by name: those of the paper first, then those of other works by their source.

    Raises:
        ValueError: two claims have one name.
    """
    others = [claim for name in figures.names() for claim in getattr(figures.load(name), "CLAIMS", ())]
    claims = [*paper.CLAIMS, *sorted(others, key=lambda claim: claim.source)]
    by_name = {claim.name: claim for claim in claims}
    if len(by_name) < len(claims):
        twice = sorted(name for name in by_name if sum(claim.name == name for claim in claims) > 1)
        raise InvalidInput(f"expected each claim once, got {twice} more than once; rename all but one")
    return by_name


def ledger(profile: str = "quick", **parameters) -> list[Ruling]:
    """One ruling or more for each claim, in the order of ``known()``; of one claim the smallest scale first.

    Args:
        parameters: of those figures that have them, such as ``seed``.

    Raises:
        ValueError: a figure rules on a claim that nobody has stated, or that is not registered.
    """
    claims = known()
    by_claim: dict[str, list[Ruling]] = {name: [] for name in claims}
    for name in figures.names():
        judge = getattr(figures.load(name), "judge", None)
        if judge is None:
            continue
        shown = figures.show(name, profile, **{k: v for k, v in parameters.items() if k in figures.parameters(name)})
        data = shown.data
        processor = data.attrs.get("judged_on") or shown.provenance["device"]
        for verdict in judge(data):
            if verdict.claim not in claims:
                raise InvalidInput(f"expected {name} to rule on a claim in {sorted(claims)}, got {verdict.claim!r}")
            registration = registered_for(verdict.claim, verdict.scale)
            row = Ruling(
                claims[verdict.claim], verdict, registration, name, profile, verdict.scale, processor,
                of_figure(registration, name),
            )  # fmt: skip
            by_claim[verdict.claim].append(row)
    return [ruling for name, rulings in by_claim.items() for ruling in _with_untested(claims[name], rulings, profile)]


def _with_untested(claim: paper.Claim, rulings: list[Ruling], profile: str) -> list[Ruling]:
    """The rulings on one claim by scale, and that of the source's scale where none is as large."""
    rulings = sorted(rulings, key=lambda ruling: SCALES.index(ruling.scale))
    # A claim that is registered at several scales alone is judged at each.
    registration = registrations().get(claim.name) or next((r.registration for r in reversed(rulings)), None)
    if registration is None:
        raise InvalidInput(f"expected a registration of {claim.name}; write it before the claim is looked at")
    source = registration.source_scale
    if rulings and SCALES.index(rulings[-1].scale) >= SCALES.index(source):
        return rulings
    scale = source if rulings else registration.scale
    words = (
        f"No figure measures it at the scale of its source ({source})." if rulings else "No figure measures it here."
    )
    verdict = Verdict(claim.name, UNTESTED, words, scale=scale)
    return [*rulings, Ruling(claim, verdict, registration, "", profile, scale)]


def scoreboard(rulings: list[Ruling]) -> dict[str, int]:
    """How many rulings have each label, in the order of ``LABELS``."""
    count = Counter(ruling.verdict.label for ruling in rulings)
    return {label: count[label] for label in LABELS}
