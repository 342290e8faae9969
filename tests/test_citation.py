"""CITATION.cff is valid and becomes BibTeX and APA."""

import re
from pathlib import Path

import pytest

cffconvert = pytest.importorskip("cffconvert", reason="needs cffconvert; it is in the extra 'test'")
FILE = Path(__file__).parents[1] / "CITATION.cff"


def test_citation_is_valid_and_converts():
    citation = cffconvert.Citation(FILE.read_text("utf-8"))
    citation.validate()
    bibtex = citation.as_bibtex()
    assert bibtex.startswith("@")
    (title,) = re.findall(r"^title = \{(.*)\}", bibtex, re.MULTILINE)
    assert title.startswith("nld")
    assert title in citation.as_apalike()


def test_an_invalid_citation_would_be_noticed():
    broken = FILE.read_text("utf-8").replace("authors:", "writers:")
    with pytest.raises(Exception, match="authors"):
        cffconvert.Citation(broken).validate()


def test_citation_names_the_paper():
    assert "2105.02716" in FILE.read_text("utf-8")
