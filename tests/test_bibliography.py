"""Every entry of the bibliography can be found: who, what, when, and a DOI, an arXiv number or where it was printed."""

import re
from pathlib import Path

import pybtex.database
import pytest

from nld.publish.execution.chapters import read_chapters

ROOT = Path(__file__).parents[1]
ENTRIES = pybtex.database.parse_file(ROOT / "book" / "references.bib").entries
DOI = re.compile(r"10\.\d{4,9}/\S+")
ARXIV = re.compile(r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}")


@pytest.mark.parametrize("key", list(ENTRIES))
def test_an_entry_says_who_what_when_and_where(key):
    entry = ENTRIES[key]
    fields = entry.fields
    assert entry.persons["author"]
    assert fields["title"].strip()
    assert re.fullmatch(r"(18|19|20)\d\d", fields["year"])
    author = entry.persons["author"][0]
    last = re.sub(r"[^a-z]", "", "".join(author.prelast_names + author.last_names).lower())
    assert re.fullmatch(rf"{last}{fields['year']}[a-z0-9]+", key), "a key is the first author, the year and a word"
    assert "doi" in fields or "eprint" in fields or has_no_number(entry), f"{key}: a DOI or an arXiv number is missing"
    if "doi" in fields:
        assert DOI.fullmatch(fields["doi"]), "the number alone, not its address"
    if "eprint" in fields:
        assert ARXIV.fullmatch(fields["eprint"]), "the number alone, without a version"
        assert fields["archiveprefix"] == "arXiv"


def has_no_number(entry) -> bool:
    """What has no DOI is found by publisher, by volume of a series of proceedings, or by journal with volume and pages.

    A journal that reviews in public serves as well, and this book, whose own claims stand in the ledger beside others.
    """
    journal = entry.type == "article" and (
        {"journal", "volume", "pages"} <= entry.fields.keys()
        or entry.fields.get("url", "").startswith("https://openreview.net/forum?id=")
    )
    proceedings = entry.type == "inproceedings" and {"booktitle", "volume"} <= entry.fields.keys()
    own = entry.fields.get("url", "") == "https://nld-book.github.io/nld/"
    return (entry.type == "book" and "publisher" in entry.fields) or proceedings or journal or own


def test_no_work_stands_twice():
    for field in ("doi", "eprint", "title"):
        values = [entry.fields[field].lower() for entry in ENTRIES.values() if field in entry.fields]
        assert len(values) == len(set(values)), field


def test_every_entry_is_cited():
    cited = {
        key.strip()
        for c in read_chapters(ROOT)
        for keys in re.findall(r"\{cite:[a-z]+\}`([^`]*)`", c.text)
        for key in keys.split(",")
    }
    assert set(ENTRIES) <= cited
