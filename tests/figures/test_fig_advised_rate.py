"""The judge of the advised learning rate, part by part on made-up chains of runs, and the chains themselves."""

import math

import numpy as np
import pytest
import xarray as xr

from nld.experiment.studies import advised_rates
from nld.experiment.studies.advised_rates import Outcome, Setting
from nld.figures import fig_advised_rate
from nld.figures._data.advised_evidence import HELPS, SILENCE
from nld.figures._data.advised_prose import of_scale, sentences
from nld.figures._data.advised_runs import EFFECT, RUNS, SCALES, SETTINGS, chain
from nld.inference.verdict import PARTLY, REFUTED, REPRODUCED, UNDECIDED
from tests.figures.judged import labels, row

SEEDS = 8


def made(which="", seeds=SEEDS, gain=0.3, again=0.03, silent=1.0):
    """Judging seeds of which all holds but in one setting, or in none that is named."""
    loss = np.zeros((seeds, len(SETTINGS), len(RUNS)))
    ended = np.ones((seeds, len(SETTINGS)))
    for place, name in enumerate(SETTINGS):
        first, control, ends = (gain, again, silent) if name == which else (0.3, 0.03, 1.0)
        loss[:, place, 0], ended[:, place] = 2.0, ends
        loss[:, place, 1] = 2.0 - row(first, 0.01, seeds)
        loss[:, place, 2] = loss[:, place, 1] - 0.02
        loss[:, place, 3] = loss[:, place, 2] - row(control, 0.01 + 0.002 * place, seeds)
    dims = ("judging_seed", "setting")
    return xr.Dataset(
        {
            "judged_loss": ((*dims, "run"), loss),
            "judged_factor": ((*dims, "run"), np.ones_like(loss) * [1, 4, 8, 32]),
            "judged_turn": ((*dims, "watched"), np.ones_like(loss[..., :3]) * [0.2, 0.8, 1.2]),
            "judged_followed": (dims, 2 * ended),
            "judged_silent": (dims, ended),
        },
        coords={"judging_seed": range(seeds), "setting": list(SETTINGS), "run": list(RUNS), "watched": list(RUNS[:3])},
    )


def test_fig_advised_rate_reproduces_all_where_all_holds():
    verdicts = fig_advised_rate.judge(made())
    assert {(v.claim, v.scale): v.label for v in verdicts} == {
        (claim, scale): REPRODUCED for claim in (HELPS, SILENCE) for scale in SCALES
    }


@pytest.mark.parametrize("which", SETTINGS)
@pytest.mark.parametrize(
    ("claim", "part", "said"),
    [
        (HELPS, "{}", {"gain": EFFECT - 0.03}),
        (HELPS, "{}", {"gain": 0.0}),
        (SILENCE, "again, {}", {"again": EFFECT + 0.03}),
        (SILENCE, "silent", {"silent": 0.0}),
    ],
)
def test_fig_advised_rate_each_part_turns_in_its_setting_alone(which, claim, part, said):
    before, after = fig_advised_rate.judge(made()), fig_advised_rate.judge(made(which, **said))
    changed = {
        (old.claim, old.scale, a.part)
        for old, new in zip(before, after, strict=True)
        for a, b in zip(old.findings, new.findings, strict=True)
        if a.outcome != b.outcome
    }
    (scale,) = [scale for scale in SCALES if which in of_scale(scale)]
    assert changed == {(claim, scale, part.format(which))}


def test_fig_advised_rate_names_what_fails():
    digits = of_scale("digits")[0]

    def label(data, claim):
        return {v.scale: v.label for v in fig_advised_rate.judge(data) if v.claim == claim}["digits"]

    assert label(made(digits, gain=0.0), HELPS) == PARTLY
    assert label(made(digits, silent=0.0), SILENCE) == PARTLY
    assert set(labels(fig_advised_rate, made(seeds=2)).values()) <= {UNDECIDED, PARTLY}
    nothing = made()
    nothing["judged_loss"][:, :, 1] = nothing["judged_loss"][:, :, 0] + 0.01 * np.arange(SEEDS)[:, None]
    assert labels(fig_advised_rate, nothing)[HELPS] == REFUTED


def test_fig_advised_rate_sentences_follow_the_data():
    which = next(iter(SETTINGS))
    assert sentences(made())["helps"].startswith(f"In {len(SETTINGS)} of the {len(SETTINGS)}")
    assert sentences(made(which, gain=-0.1))["helps"].startswith(f"In {len(SETTINGS) - 1} of the")
    assert "at most 0.03" in sentences(made())["silence"]
    assert "not the optimum" in sentences(made(which, again=0.2))["silence"]


@pytest.mark.parametrize(
    ("advised", "factors", "followed", "silent"),
    [
        ([1.0], [1, 1, 1, 1], 0, 1.0),
        ([4.0, 1.0], [1, 4, 4, 16], 1, 1.0),
        ([4.0, 2.0, 1.0], [1, 4, 8, 32], 2, 1.0),
        ([4.0, 2.0, 2.0, 2.0], [1, 4, 16, 64], 3, 0.0),
    ],
)
def test_fig_advised_rate_a_chain_follows_reports_until_they_are_silent(
    monkeypatch, advised, factors, followed, silent
):
    rates = list(np.cumprod([1.0, *advised[:-1]]))

    def train(setting, seed, part, *, factor=1.0, watched=True):
        loss = 2 - math.log(factor)
        return Outcome(loss, 0.5, advised[rates.index(factor)]) if watched else Outcome(loss)

    monkeypatch.setattr(advised_rates, "train", train)
    loss, found, turn, count, ended = chain(Setting("digits", "SGD", 0.1), 0, "test")
    assert (found, count, ended, len(turn)) == (factors, followed, silent, 3)
    np.testing.assert_allclose(loss, [2 - math.log(factor) for factor in factors])


def test_fig_advised_rate_judges_on_what_selects_nothing():
    validation, test = (advised_rates.held_text(part) for part in ("validation", "test"))
    both = advised_rates.source_text.validation_text()
    assert np.array_equal(np.concatenate([validation, test]), both)
    assert abs(len(validation) - len(test)) <= 1


@pytest.mark.slow
def test_fig_advised_rate_digits_follow_the_advice():
    loss, factor, turn, followed, silent = chain(SETTINGS["digits, AdamW 1e-3"], 0, "validation")
    assert silent
    assert followed == 1
    assert loss[0] - loss[1] > EFFECT
    assert factor[1] * turn[0] == pytest.approx(math.pi / 2, rel=0.03)
