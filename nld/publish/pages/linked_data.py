"""The ledger for machines: JSON-LD in the words of schema.org, one ClaimReview a ruling."""

import json
from collections.abc import Iterator, Sequence

from nld.claims.rulings import Ruling
from nld.inference.registration import digest
from nld.inference.verdict import LABELS, Finding
from nld.publish.pages.plain_math import plain, typeset

MIME = "application/ld+json"
CONTEXT = {"@vocab": "https://schema.org/"}
QUANTITIES = {"effect": "effect", "low": "95 % interval from", "high": "95 % interval to", "e_value": "e-value",
              "threshold": "e-value that decides", "p_value": "adjusted p-value", "n": "seeds"}  # fmt: skip


def linked_data(rulings: Sequence[Ruling]) -> dict:
    """Every ruling with its claim, label, findings, registration, figure and processor; texts without markup."""
    return {"@context": CONTEXT, "@graph": [_review(ruling) for ruling in rulings]}


def _review(ruling: Ruling) -> dict:
    claim, verdict = ruling.claim, ruling.verdict
    review = {
        "@type": "ClaimReview",
        "@id": f"#{claim.name}@{ruling.scale}",
        "claimReviewed": plain(typeset(claim.statement)),
        "itemReviewed": {"@type": "Claim", "@id": f"#claim-{claim.name}", "appearance": claim.source},
        "reviewRating": {"@type": "Rating", "alternateName": verdict.label, "ratingExplanation": ", ".join(LABELS)},
        "reviewBody": plain(typeset(verdict.numbers)),
        "additionalType": ruling.registration.type,
        "version": digest(ruling.registration.claim),
        "about": ruling.scale,
        "mainEntityOfPage": f"{claim.chapter}.html",
    }
    if ruling.figure:
        review["isBasedOn"] = f"figures/{ruling.figure}/data.nc"
        review["measurementTechnique"] = ruling.processor
        review["variableMeasured"] = [_finding(finding) for finding in verdict.findings]
    return review


def _finding(finding: Finding) -> dict:
    """A registered part as a PropertyValue; of its quantities those that it has."""
    listed = []
    for name, words in QUANTITIES.items():
        value = getattr(finding, name)
        if value is not None and finding.effect is not None:
            unit = {"unitText": finding.unit} if finding.unit and name in ("effect", "low", "high") else {}
            listed.append({"@type": "PropertyValue", "name": words, "value": value} | unit)
    return {"@type": "PropertyValue", "name": finding.part, "value": finding.outcome, "valueReference": listed}


def found_in(notebook: bytes) -> Iterator[dict]:
    """What the outputs of an executed notebook say for machines."""
    for cell in json.loads(notebook)["cells"]:
        for output in cell.get("outputs", ()):
            if MIME in output.get("data", {}):
                yield output["data"][MIME]
