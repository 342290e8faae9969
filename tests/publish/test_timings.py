"""Tables of benchmarks on pages: what the file says, under the headings that the page gives."""

import pytest

from nld.errors import Missing
from nld.publish.pages import timings

TEXT = """# 2026-11-30, nld 0.1.0 abc
# CPU of some kind, 2 cores, Python 3.11.7, torch 2.13.0
case,floor,every step
"a network, batch 8",1.02,1.06
another,1.0,1.1
"""


@pytest.fixture
def bench(tmp_path, monkeypatch):
    (tmp_path / "results" / "bench").mkdir(parents=True)
    (tmp_path / "results" / "bench" / "some.csv").write_text(TEXT, "utf-8")
    monkeypatch.setattr(timings, "ROOTS", (tmp_path,))


def test_a_table_has_the_columns_that_are_asked_for(bench):
    shown = timings.table("some", ("case", "every step"))
    assert shown.columns == ("case", "every step")
    assert shown.rows == (("a network, batch 8", "1.06"), ("another", "1.1"))


def test_where_it_was_measured(bench):
    assert timings.where("some") == "2026-11-30 on CPU of some kind, 2 cores"


def test_what_was_not_run_is_said(bench):
    with pytest.raises(Missing, match="python -m benchmarks other"):
        timings.table("other", ("case",))
