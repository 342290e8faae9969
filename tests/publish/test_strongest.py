"""The four sentences of the first page: their numbers are the figures' numbers, their words follow the outcome."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from nld import figures
from nld.inference.verdict import NEGLIGIBLE, PASSES, Finding, Verdict
from nld.publish.pages import strongest


@pytest.fixture
def shown(monkeypatch):
    """Make `figures.show` return the given data, whatever the figure."""

    def show(data):
        monkeypatch.setattr(strongest.figures, "show", lambda name, profile: SimpleNamespace(data=data))

    return show


@pytest.mark.parametrize(
    ("ratios", "words"),
    [((1.0, 3.0, 2.0), "2.0 to 3.0 times too large"), ((9.0, 0.5, 2.0), "0.5 to 2.0 times as large as")],
)
def test_the_closed_form_is_judged_on_the_runs_with_momentum(shown, ratios, words):
    predicted = xr.DataArray(np.reshape(ratios, (1, -1, 1, 1)), dims=("closure", "member", "point", "filter"))
    shown(xr.Dataset({
        "predicted": predicted.assign_coords(closure=["smooth"]),
        "squared_norm": (("member", "point", "filter"), np.ones((len(ratios), 1, 1))),
    }))  # fmt: skip
    assert words in strongest._closed_form("quick")


@pytest.mark.parametrize(("outcome", "words"), [(PASSES, " can forgive"), (NEGLIGIBLE, " need not forgive")])
def test_the_benefit_is_what_the_registered_test_says(monkeypatch, shown, outcome, words):
    findings = (Finding("agreement in loss", PASSES), Finding("lead at the large rate", outcome, effect=-12.4, n=32))
    verdicts = [Verdict("another", "undecided", ""), Verdict("finite-learning-rate", "undecided", "", findings)]
    monkeypatch.setattr(figures.load("fig-experiments"), "judge", lambda data: verdicts)
    shown(None)
    sentence = strongest._benefit("quick")
    assert words in sentence
    assert "by −12 points of accuracy, in the mean over 32 seeds" in sentence


def test_there_are_four_sentences_each_with_its_chapter(monkeypatch):
    parts = ("_closed_form", "_exact_law", "_benefit", "_instrument")
    for part in parts:
        monkeypatch.setattr(strongest, part, lambda profile, part=part: f"{part} at {profile}")
    assert strongest.strongest("quick").text == "\n".join(f"- {part} at quick" for part in parts)
