"""The table that opens the line of work: every work has its row or its sentence, and every row leads somewhere."""

import re
from pathlib import Path

import pybtex.database
import pytest

from nld import paper
from nld.claims import history
from nld.claims.rulings import known
from nld.inference import registration
from nld.inference.verdict import REFUTED, REPRODUCED, UNTESTED
from nld.publish.pages import line_of_work

BOOK = Path(__file__).parents[2] / "book"
TABLE = (BOOK / "the-line-of-work.md").read_text("utf-8")
NOTES = (BOOK / "bibliography.md").read_text("utf-8")
ENTRIES = pybtex.database.parse_file(BOOK / "references.bib").entries
CITED = re.compile(r"\{cite:t\}`([\w-]+)`")
ROWS = [line.strip("| ").split(" | ") for line in TABLE.splitlines() if line.startswith("| {cite:t}")]
# The works whose symmetry or law the book was asked to reproduce, by what they are known for.
WORKS = {
    "DyT": "zhu2025transformers",
    "parameter symmetry breaking": "ziyin2025parameter",
    "kernel theory": "perin2024ability",
    "Adam and normalization": "gould2024continuous",
    "input expansion": "zhang2024symmetry",
    "GENERIC": "beyen2024noether",
    "get rich quick": "kunin2024rich",
    "abide by the law": "marcotte2023abide",
    "keep the momentum": "marcotte2024keep",
    "transformative or conservative": "marcotte2025transformative",
    "noise equilibrium": "ziyin2024parameter",
    "gauge": "hashimoto2024unification",
    "rotational equilibrium": "kosson2024rotational",
    "AdamP": "heo2021adamp",
    "neural mechanics": "kunin2021neural",
    "mode connectivity": "lubana2023mechanistic",
    "flat minima": "zhao2023symmetries",
    "equation of motion": "miyagawa2022toward",
    "phase transitions": "ziyin2022exact",
    "weight balancing": "saul2023weight",
    "Noether embedding": "gao2023noether",
    "relaxed equivariance": "kaba2023symmetry",
    "implicit regularization": "barrett2021implicit",
    "momentum methods": "kovachki2021continuous",
    "Bregman Lagrangian": "wibisono2016variational",
    "exponential rates": "li2020exponential",
    "auto rate-tuning": "arora2019theoretical",
    "central flows": "cohen2025understanding",
    "scalar networks": "kreisler2023gradient",
    "random biases": "silverstein2026symmetry",
    "symmetry-compatible rules": "lau2026symmetry",
    "balanced adapters": "castin2026balanced",
    "dead directions": "shirodkar2026dead",
    "corrected decay": "defazio2025gradients",
    "hyperball": "wen2026fantastic",
    "learning-rate transfer under held norms": "ren2026rethinking",
    "decay and maximal updates": "kosson2025weight",
    "learnable multipliers": "velikanov2026learnable",
    "laws of modern networks": "tran2026conservation",
}
# In one honest sentence each: cited in passing, or newer and without a chapter.
IN_A_SENTENCE = {
    "CoMMIT": "li2025commit",
    "U(1)": "bouchard2022symmetry",
    "3D SIFT": "chauvin2022registering",
    "replicas": "albanese2022replica",
    "laws at the edge": "medeiros2026conservation",
    "survey": "zhao2025symmetry",
    "entropic forces": "ziyin2025neural",
    "norm budget": "ding2026weibull",
    "normalize and project": "lyle2024normalization",
    "magnitude and direction": "hagele2026improving",
}


@pytest.mark.parametrize("work", WORKS)
def test_every_work_has_its_row(work):
    assert any(WORKS[work] in CITED.findall(row[0]) for row in ROWS)


@pytest.mark.parametrize("work", IN_A_SENTENCE)
def test_every_other_work_has_its_sentence_which_says_what_was_read(work):
    (line,) = [line for line in NOTES.splitlines() if line.startswith(f"- {{cite:t}}`{IN_A_SENTENCE[work]}`")]
    assert re.search(r"\bread\b|\bfound\b", line)


def test_the_work_that_could_not_be_found_is_named():
    assert "Cyber-Physical" in NOTES


@pytest.mark.parametrize("row", ROWS, ids=lambda row: CITED.findall(row[0])[0])
def test_a_row_cites_works_that_exist_and_leads_to_chapters_that_cite_them(row):
    works, chapters = CITED.findall(row[0]), re.findall(r"\{doc\}`([\w-]+)`", row[-1])
    assert len(row) == 5
    assert all(row)
    assert works
    assert set(works) <= set(ENTRIES)
    assert chapters
    texts = [(BOOK / f"{name}.md").read_text("utf-8") for name in chapters]
    for work in works:
        assert any(re.search(rf"\{{cite:[a-z]+\}}`[^`]*\b{work}\b", text) for text in texts), work


def test_every_work_with_claims_has_a_row_or_is_a_source_of_one_detail():
    """Whoever claims something that is ruled on, and has no row, is cited in the chapter of the claim."""
    listed = {work for row in ROWS for work in CITED.findall(row[0])} | {paper.CLAIMS[0].source}
    for claim in known().values():
        if claim.source not in listed:
            assert f"`{claim.source}`" in (BOOK.parent / f"{claim.chapter}.md").read_text("utf-8"), claim.name


def test_the_verdicts_lead_to_claims_that_are_registered_and_name_the_largest_measured_scale(monkeypatch):
    text = line_of_work.verdicts().text
    led = re.findall(r"\{bdg-ref-(\w+)\}`([^`]*) <claim-([\w-]+)>`", text)
    others = {claim.name for claim in known().values() if claim.source != paper.CLAIMS[0].source}
    assert {name for _, _, name in led} == others
    assert others <= {name.partition("@")[0] for name in registration.registrations()}
    name = next(iter(sorted(others)))
    entries = [("toy", REPRODUCED), ("digits", UNTESTED), ("digits", REFUTED), ("paper", UNTESTED)]
    log = [history.Change(date="", claim=name, what="verdict", before="", after=a, why="", scale=s) for s, a in entries]
    monkeypatch.setattr(line_of_work, "history", lambda: log)
    assert f"{{bdg-ref-danger}}`digits: {REFUTED} <claim-{name}>`" in line_of_work.verdicts().text
