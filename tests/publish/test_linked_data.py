"""The ledger as JSON-LD: one review a ruling, numbers as in the ledger, texts without markup."""

import json

import pytest

from nld.claims.rulings import Ruling
from nld.inference.registration import registrations
from nld.inference.verdict import PASSES, REPRODUCED, UNTESTED, Finding, Verdict
from nld.paper import Claim
from nld.publish.pages import linked_data

CLAIM = Claim("norm-closed-form", r"The norm is $\eta q^2$.", (17,), "fig-closures", "book/where-the-closed-form-ends")
FINDING = Finding("mini-batches", PASSES, 1.5, 1.25, None, 8, "log", e_value=40.0, threshold=20.0)


def ruling(label, figure, findings=()):
    verdict = Verdict(CLAIM.name, label, "It is so.", findings, "digits", {"mini-batches": (1.0, 2.0)})
    return Ruling(CLAIM, verdict, registrations()[CLAIM.name], figure, "quick", "digits", "CPU X" if figure else "")


def test_a_ruling_is_a_review_with_its_findings():
    document = linked_data.linked_data([ruling(REPRODUCED, "fig-closures", (FINDING, Finding("bound", PASSES)))])
    (review,) = json.loads(json.dumps(document))["@graph"]
    assert (review["@type"], review["reviewRating"]["alternateName"]) == ("ClaimReview", REPRODUCED)
    assert "$" not in review["claimReviewed"]
    assert review["isBasedOn"] == "figures/fig-closures/data.nc"
    measured, checked = review["variableMeasured"]
    assert {each["name"]: each["value"] for each in measured["valueReference"]} == {
        "effect": 1.5, "95 % interval from": 1.25, "e-value": 40.0, "e-value that decides": 20.0, "seeds": 8,
    }  # fmt: skip
    assert checked == {"@type": "PropertyValue", "name": "bound", "value": PASSES, "valueReference": []}


def test_what_was_not_run_names_no_data():
    (review,) = linked_data.linked_data([ruling(UNTESTED, "")])["@graph"]
    assert "isBasedOn" not in review
    assert "variableMeasured" not in review


@pytest.mark.parametrize("data", [{"text/plain": "x"}, {linked_data.MIME: {"@graph": []}}])
def test_it_is_found_again_in_a_notebook(data):
    notebook = {"cells": [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": [{"data": data}, {"text": "y"}]}]}
    found = list(linked_data.found_in(json.dumps(notebook).encode()))
    assert found == [value for mime, value in data.items() if mime == linked_data.MIME]
