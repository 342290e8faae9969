"""The ledger: every claim once, whoever makes it, and a ruling for each."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils.core import publish_parts
from myst_parser.parsers.docutils_ import Parser

from nld import claims, figures, paper
from nld.inference.verdict import REPRODUCED, UNTESTED, Verdict
from nld.publish import reference

ROOT = Path(__file__).parents[2]

MINE = paper.Claim("mine", "Water is wet.", (), "fig-a", "book/a", source="author2020")


@pytest.fixture
def invented(monkeypatch):
    """Figures that exist for a test only: name -> module."""
    claims.known.cache_clear()
    modules = {}
    monkeypatch.setattr(figures, "names", lambda: sorted(modules))
    monkeypatch.setattr(figures, "load", modules.__getitem__)
    monkeypatch.setattr(figures, "show", lambda name, profile: SimpleNamespace(data=name))
    yield modules
    claims.known.cache_clear()


def test_a_claim_beside_its_judge_enters_the_ledger_after_those_of_the_paper(invented):
    invented["fig-a"] = SimpleNamespace(CLAIMS=(MINE,), judge=lambda data: [Verdict("mine", REPRODUCED, data)])
    *of_paper, ruling = claims.ledger()
    assert [each.claim for each in of_paper] == list(paper.CLAIMS)
    assert {each.verdict.label for each in of_paper} == {UNTESTED}
    assert (ruling.claim, ruling.verdict.label, ruling.figure) == (MINE, REPRODUCED, "fig-a")


def test_two_claims_of_one_name_are_refused(invented):
    invented["fig-a"] = invented["fig-b"] = SimpleNamespace(CLAIMS=(MINE,))
    with pytest.raises(ValueError, match=r"expected each claim once, got \['mine'\]"):
        claims.known()


def test_a_ruling_on_an_unknown_claim_is_refused(invented):
    invented["fig-a"] = SimpleNamespace(judge=lambda data: [Verdict("nobody", REPRODUCED, "")])
    with pytest.raises(ValueError, match="got 'nobody'"):
        claims.ledger()


def test_a_star_in_a_claim_is_printed_and_not_emphasis(invented):
    stars = paper.Claim("stars", "E at q* + e(f - f*) never grows.", (), "fig-a", "book/a", source="author2020")
    invented["fig-a"] = SimpleNamespace(CLAIMS=(stars,), judge=lambda data: [Verdict("stars", REPRODUCED, "2*3*4")])
    quiet = {"report_level": 5}  # of the roles that only Sphinx knows
    page = publish_parts(
        reference.claims("quick").text, parser=Parser(), writer_name="html5", settings_overrides=quiet
    )["body"]
    assert f"<strong>{stars.statement}</strong>" in page
    assert "<p>2*3*4" in page


def test_the_claims_of_other_works_name_a_reference_a_figure_and_a_chapter():
    keys = (ROOT / "book/references.bib").read_text("utf-8")
    for claim in claims.known().values():
        assert f"{{{claim.source}," in keys, claim.name
        assert (ROOT / f"{claim.chapter}.md").is_file(), claim.name
        assert not claim.figure or claim.figure in figures.names(), claim.name
        assert claim.equations or claim.source != paper.CLAIMS[0].source, claim.name
