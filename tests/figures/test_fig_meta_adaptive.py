"""fig-meta-adaptive: norms in a network, and verdicts that follow the numbers."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from nld.experiment.studies import train_with_rule
from nld.experiment.studies.measure import squared_norms
from nld.figures import fig_meta_adaptive as figure
from nld.figures._data import adam_stages, filter_norms_under_adam
from nld.figures._data.filter_norms_under_adam import norm_ratios
from nld.inference.verdict import CORRECTED, PARTLY, REFUTED, REPRODUCED
from nld.learning_rules import rules
from tests.figures.judged import labels, row


def test_fig_meta_adaptive_charge_predicts_norms_from_the_first_step(monkeypatch):
    """Over a short run the charge's own build-up counts, and the average of squared updates is already far off."""
    monkeypatch.setattr(filter_norms_under_adam, "NORM_STEPS", 60)
    data = filter_norms_under_adam.norms(0, 0.01, 0.3, 0.4)
    assert norm_ratios(data, "charge", 0.9) == pytest.approx(1, abs=0.06)
    assert norm_ratios(data, "orthogonal", 0.0) == pytest.approx(1, abs=0.06)
    assert data["shared_ratio"].sel(norm_momentum=0.0).values == pytest.approx(1, abs=1e-8)
    assert np.all(norm_ratios(data, "orthogonal", 0.9)[1:] > 1.5)  # the first layer has nine weights a filter


def fabricated(still=1.05, moving=17.0, relaxed=1.1, adam=0.2, twice=0.3, normalized=0.1):
    """Judging seeds with these norms over their predictions, and with these losses."""
    ratio = np.ones((32, 2, 3, 3))
    for place, value in (((0, 2), still), ((1, 2), moving), ((1, 1), relaxed)):
        ratio[:, place[0], place[1]] = np.exp(row(np.log(value)))[:, None]
    losses = np.exp(np.stack([row(np.log(x), 0.01 * (i + 1)) for i, x in enumerate((adam, twice, normalized))], 1))
    return xr.Dataset(
        {
            "judged_norm_ratio": (("judging_seed", "norm_momentum", "closure", "layer"), ratio),
            "judged_loss": (("judging_seed", "judged_method"), losses),
            "method_loss": (("method", "rate", "member"), np.ones((4, 2, 3))),
        },
        coords={
            "norm_momentum": [0.0, 0.9], "closure": ["charge", "relaxed", "orthogonal"],
            "method": list(adam_stages.METHODS), "judged_method": list(adam_stages.SELECTED), "rate": [1.0, 2.0],
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("still", "moving", "relaxed", "label"),
    [
        (1.05, 1.1, 1, REPRODUCED), (1.05, 17, 1.1, CORRECTED), (1.05, 17, 2, PARTLY), (1.5, 17, 2, REFUTED),
        (1.5, 1, 2, PARTLY), (1.5, 17, 1, CORRECTED),
    ],
)  # fmt: skip
def test_fig_meta_adaptive_verdict_on_norms(still, moving, relaxed, label):
    assert labels(figure, fabricated(still, moving, relaxed))["meta-adaptive-norm"] == label


@pytest.mark.parametrize(
    ("losses", "alike", "better"),
    [
        ({"twice": 0.11}, REPRODUCED, REPRODUCED),
        ({"twice": 0.18}, PARTLY, REPRODUCED),
        ({"twice": 0.3}, PARTLY, REFUTED),
        ({"twice": 0.2}, PARTLY, REFUTED),  # no effect, shown to be negligible
        ({"twice": 0.3, "normalized": 0.3}, REFUTED, REFUTED),
    ],
)
def test_fig_meta_adaptive_verdicts_on_two_adam(losses, alike, better):
    """At the selected rates: more than half of the way to normalization, and below Adam."""
    found = labels(figure, fabricated(**losses))
    assert (found["two-adam-is-normalization"], found["two-adam-outperforms"]) == (alike, better)
    assert set(found) == {claim.name for claim in figure.CLAIMS}


@pytest.mark.slow
def test_fig_meta_adaptive_norms_and_losses_of_the_quick_profile():
    data = figure.compute("quick")
    assert norm_ratios(data, "orthogonal", 0.0) == pytest.approx(1, abs=0.15)
    assert np.all(norm_ratios(data, "orthogonal", 0.9) > 8)
    for closure in ("charge", "relaxed"):
        assert norm_ratios(data, closure, 0.9) == pytest.approx(1, abs=0.15)
    assert data["shared_ratio"].values == pytest.approx(1, abs=0.02)
    plain, alone, equal, normalized = adam_stages.best(data).values()
    assert normalized < plain < alone < equal


@pytest.mark.slow
def test_unequal_denominators_win_where_steps_are_small_and_gradients_keep_their_direction():
    """On one batch the first layer shrinks; with shared denominators it grows by its squared updates, exactly."""
    rule = rules.adam(1e-3, 0.0, 0.999, 0.0, 1e-12, decoupled=True)
    changes = {}
    for name, trained in (("own", rule), ("shared", replace(rule, update=filter_norms_under_adam.shared_update))):
        record = train_with_rule.train_with_rule(
            trained, (0,), steps=300, network="digits_cnn", width=0.5, epsilon=1e-12, train_size=512, batch_size=512
        )
        norms = squared_norms(record)[0, :, :4]
        changes[name] = norms[-1].sum() - norms[0].sum()
        moved = record["squared_update"].values[0, :, :4].sum()
        assert changes[name] == pytest.approx(moved, rel=1e-6) or name == "own"
    assert changes["own"] < 0 < changes["shared"]
