"""The ledger: every claim once, whoever makes it, and a ruling for each."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import xarray as xr
from docutils.core import publish_parts
from myst_parser.parsers.docutils_ import Parser

from nld import figures, paper
from nld.claims import history, ledger_file
from nld.claims import rulings as claims
from nld.inference import registration as registry
from nld.inference.verdict import OPPOSITE, PASSES, REFUTED, REPRODUCED, UNTESTED, Finding, Verdict
from nld.publish.pages import reference

ROOT = Path(__file__).parents[2]

MINE = paper.Claim("mine", "Water is wet.", (), "fig-a", "book/a", source="author2020")


def registered(name, source_scale="toy"):
    part = registry.Part(name="wet")
    return registry.Registration(
        claim=name, type="identity", scale="toy", source_scale=source_scale, family="a", date="2026-01-01",
        explored=False, parts=(part,), data="a glass",
    )  # fmt: skip


@pytest.fixture
def invented(monkeypatch):
    """Figures that exist for a test only: name -> module; their claims are registered at the scale of a toy."""
    claims.known.cache_clear()
    modules, known = {}, dict(registry.registrations())
    monkeypatch.setattr(figures, "names", lambda: sorted(modules))
    monkeypatch.setattr(figures, "load", modules.__getitem__)
    monkeypatch.setattr(figures, "parameters", lambda name: ())
    shown = SimpleNamespace(data=xr.Dataset(), provenance={"device": "an abacus"})
    monkeypatch.setattr(figures, "show", lambda name, profile: shown)
    for module in (claims, registry):
        monkeypatch.setattr(module, "registrations", lambda: known)
    yield modules, known
    claims.known.cache_clear()


def wet(name="mine", label=REPRODUCED):
    outcome = {REPRODUCED: PASSES, REFUTED: OPPOSITE}[label]
    return Verdict(name, label, "2*3*4", (Finding("wet", outcome),), "toy")


def test_a_claim_beside_its_judge_enters_the_ledger_after_those_of_the_paper(invented):
    modules, known = invented
    known["mine"] = registered("mine")
    modules["fig-a"] = SimpleNamespace(CLAIMS=(MINE,), judge=lambda data: [wet()])
    *of_paper, ruled = claims.ledger()
    assert [each.claim for each in of_paper] == list(paper.CLAIMS)
    assert {each.verdict.label for each in of_paper} == {UNTESTED}
    assert (ruled.claim, ruled.verdict.label, ruled.figure) == (MINE, REPRODUCED, "fig-a")
    assert (ruled.scale, ruled.processor) == ("toy", "an abacus")
    board = claims.scoreboard(claims.ledger())
    assert (board[REPRODUCED], board[UNTESTED]) == (1, len(paper.CLAIMS))


def test_law_a_claim_whose_source_is_larger_is_also_not_yet_tested_there(invented):
    modules, known = invented
    known["mine"] = registered("mine", source_scale="paper")
    modules["fig-a"] = SimpleNamespace(CLAIMS=(MINE,), judge=lambda data: [wet()])
    rows = [each for each in claims.ledger() if each.claim is MINE]
    assert [(row.scale, row.verdict.label) for row in rows] == [("toy", REPRODUCED), ("paper", UNTESTED)]


def test_two_claims_of_one_name_are_refused(invented):
    modules, _ = invented
    modules["fig-a"] = modules["fig-b"] = SimpleNamespace(CLAIMS=(MINE,))
    with pytest.raises(ValueError, match=r"expected each claim once, got \['mine'\]"):
        claims.known()


def test_a_ruling_on_an_unknown_claim_or_one_that_is_not_registered_is_refused(invented):
    modules, _ = invented
    modules["fig-a"] = SimpleNamespace(judge=lambda data: [wet("nobody")])
    with pytest.raises(ValueError, match="got 'nobody'"):
        claims.ledger()
    modules["fig-a"] = SimpleNamespace(CLAIMS=(MINE,))
    claims.known.cache_clear()
    with pytest.raises(ValueError, match="expected a registration of mine"):
        claims.ledger()


def test_the_page_begins_with_a_scoreboard_and_folds_every_claim_with_its_findings(invented, monkeypatch):
    modules, known = invented
    known["stars"] = registered("stars")
    stars = paper.Claim("stars", "E at q* + e(f - f*) never grows.", (), "fig-a", "book/a", source="author2020")
    modules["fig-a"] = SimpleNamespace(CLAIMS=(stars,), judge=lambda data: [wet("stars")])
    monkeypatch.setattr(reference.linked_data, "digest", lambda name: "0" * 16)  # of what the file registers
    quiet = {"report_level": 5}  # of the roles and directives that only Sphinx knows
    text = reference.claims("quick").text
    assert text.startswith("| verdict |")
    assert "| all |" in text.split("\n\n")[0]
    fold = next(block for block in text.split("::::{dropdown}") if "never grows" in block)
    assert ":name: claim-stars" in fold
    assert "*a glass*" in fold
    assert "`toy: reproduced`" in fold
    assert "| wet |" in fold
    assert r"2\*3\*4" in fold
    body = publish_parts(fold.split("\n\n", 1)[1], parser=Parser(), writer_name="html5", settings_overrides=quiet)[
        "body"
    ]
    assert "2*3*4" in body  # a star is a letter and no emphasis


def test_every_claim_of_the_book_is_registered_and_every_registration_is_a_claim():
    known = set(claims.known())
    assert {name.partition("@")[0] for name in registry.registrations()} == known


def test_no_registration_changed_in_silence():
    changed = history.unlogged_registrations()
    assert not changed, f"say why: nld claims --log WHY ({', '.join(changed)})"


def test_law_the_log_tells_every_change_once(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "ROOTS", (tmp_path,))
    rows = [("mine", "toy", REPRODUCED), ("yours", "digits", REFUTED)]
    first = history.changes(rows, 'first "look"')
    assert {(c.claim, c.after) for c in first if c.what == "verdict"} == {("mine", REPRODUCED), ("yours", REFUTED)}
    assert {c.claim for c in first if c.what == "registration"} == set(registry.registrations())
    history.append(first)
    assert history.changes(rows, "again") == []
    assert history.unlogged_registrations() == []
    (change,) = history.changes([("mine", "toy", REFUTED), rows[1]], "it dried")
    assert (change.before, change.after, change.why) == (REPRODUCED, REFUTED, "it dried")
    history.append([change])
    assert history.history()[-1] == change


def test_law_a_saved_ledger_equals_itself_and_names_what_is_reversed(invented, tmp_path):
    modules, known = invented
    known["mine"] = registered("mine")
    modules["fig-a"] = SimpleNamespace(CLAIMS=(MINE,), judge=lambda data: [wet()])
    rulings = claims.ledger()
    ledger_file.write(rulings, tmp_path / "ledger.json")
    before = ledger_file.read(tmp_path / "ledger.json")
    assert ledger_file.differences(before, rulings) == ([], 0)
    modules["fig-a"].judge = lambda data: [wet(label=REFUTED)]
    (line,), count = ledger_file.differences(before, claims.ledger())
    assert count == 1
    assert line.startswith("reversed: mine (toy): reproduced -> not reproduced; wet: holds -> wet: fails")
    (tmp_path / "bad.json").write_text("[1]")
    with pytest.raises(ValueError, match="expected a ledger"):
        ledger_file.read(tmp_path / "bad.json")


def test_the_claims_of_other_works_name_a_reference_a_figure_and_a_chapter():
    keys = (ROOT / "book/references.bib").read_text("utf-8")
    for claim in claims.known().values():
        assert f"{{{claim.source}," in keys, claim.name
        assert (ROOT / f"{claim.chapter}.md").is_file(), claim.name
        assert not claim.figure or claim.figure in figures.names(), claim.name
        assert claim.equations or claim.source != paper.CLAIMS[0].source, claim.name
