"""The last chapter: every measured claim once, under the verdict of its largest scale; every chapter has its advice."""

import re
from pathlib import Path

import pytest
import yaml

from nld.claims.rulings import Ruling
from nld.inference.registration import registrations
from nld.inference.verdict import LABELS, REFUTED, REPRODUCED, UNTESTED, Verdict
from nld.paper import Claim
from nld.publish.pages import standing

BOOK = Path(__file__).parents[2] / "book"


def ruling(name, label, scale):
    registration = next(iter(registrations().values()))
    claim = Claim(name, f"What {name} says.", (), "fig-1", "book/symmetry-of-the-loss")
    figure = "" if label == UNTESTED else "fig-1"
    return Ruling(claim, Verdict(name, label, "", (), scale), registration, figure, "quick", scale)


@pytest.mark.parametrize("label", [label for label in LABELS if label != UNTESTED])
def test_every_verdict_has_its_group(monkeypatch, label):
    monkeypatch.setattr(standing, "ledger", lambda profile: [ruling("one", label, "toy")])
    text = standing.standing("quick").text
    assert text.count("{ref}`Evidence <claim-one>`") == 1
    (title,) = re.findall(r"rubric\} ([^\n]+): 1\n", text)
    assert label in standing.GROUPS[title]


def test_the_largest_measured_scale_decides_and_the_unmeasured_are_counted(monkeypatch):
    rows = [
        ruling("one", REPRODUCED, "toy"), ruling("one", REFUTED, "digits"), ruling("one", UNTESTED, "paper"),
        ruling("two", UNTESTED, "paper"),
    ]  # fmt: skip
    monkeypatch.setattr(standing, "ledger", lambda profile: rows)
    text = standing.standing("quick").text
    fails = text[text.index("What fails: 1") : text.index("What is undecided: 0")]
    assert "toy: reproduced" in fails
    assert "digits: not reproduced" in fails
    assert "claim-two" not in text
    assert "Of 2 claims 1 could not be measured here at all, and 2 wait" in text


def test_every_chapter_with_advice_has_a_line_of_it():
    listed = set(re.findall(r"^\d+\. .*\{doc\}`([\w-]+)`", (BOOK / "what-is-true.md").read_text("utf-8"), re.MULTILINE))
    toc = yaml.safe_load((BOOK.parent / "_toc.yml").read_text("utf-8"))
    chapters = {each["file"].removeprefix("book/") for part in toc["parts"] for each in part["chapters"]}
    advising = {
        name for name in chapters if re.search(r"practitioner('s conclusion| can | would | do | should |\b.{0,9}do )",
        (BOOK / f"{name}.md").read_text("utf-8"))
    }  # fmt: skip
    assert advising <= listed | {"what-is-true", "a-monitor-for-your-network"}
    assert len(listed) == 28
