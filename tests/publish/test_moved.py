"""A page says when figures of its build are further from the published ones than arithmetics are from each other."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from nld import figures
from nld.figures.verification import reference as references
from nld.publish.pages.sphinx import announce_changes, has_moved


def data(shift=0.0):
    return xr.Dataset({"loss": ("step", np.linspace(1, 2, 9) + shift)})


@pytest.mark.parametrize(("shift", "moved"), [(0.0, False), (1e-3, False), (0.1, True)])
def test_a_figure_has_moved_where_it_leaves_what_arithmetics_span(tmp_path, monkeypatch, shift, moved):
    monkeypatch.setattr(figures, "load", lambda name: SimpleNamespace(__name__=name))
    assert not has_moved(tmp_path, "fig-x", data(9.0))  # nothing was published
    kept = references.joined(references.joined(None, data(), "one"), data(1e-3), "other")
    references.write(kept, tmp_path / "results" / "reference" / "fig-x.nc")
    assert has_moved(tmp_path, "fig-x", data(shift)) == moved


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, None),
        ({"nld_moved": ["fig-a", "fig-b"]}, "<code>fig-a</code>, <code>fig-b</code> differ from what was published"),
        ({"nld_changed": {"seed": 7}, "nld_moved": ["fig-a"]}, "This page was rerun with <code>seed = 7</code>"),
    ],
)
def test_a_page_announces_it_at_its_top(metadata, words):
    context = {"body": "<p>text</p>"}
    announce_changes(SimpleNamespace(env=SimpleNamespace(metadata={"page": metadata})), "page", "", context, None)
    assert context["body"].endswith("<p>text</p>")
    assert (words is None) == (context["body"] == "<p>text</p>")
    assert words is None or words in context["body"]
