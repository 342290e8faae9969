"""fig-meta-adaptive: norms in a network, and verdicts that follow the numbers."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from nld import learning_rule as rules
from nld.experiment import by_rule
from nld.experiment.measure import squared_norms
from nld.figures import fig_meta_adaptive as figure
from nld.verdict import CORRECTED, REFUTED, REPRODUCED


def test_fig_meta_adaptive_charge_predicts_norms_from_the_first_step(monkeypatch):
    """Over a short run the charge's own build-up counts, and the average of squared updates is already far off."""
    monkeypatch.setattr(figure, "NORM_STEPS", 60)
    data = figure.norms(0, 0.01, 0.3, 0.4)
    assert figure.norm_ratios(data, "charge", 0.9) == pytest.approx(1, abs=0.06)
    assert figure.norm_ratios(data, "orthogonal", 0.0) == pytest.approx(1, abs=0.06)
    assert data["shared_ratio"].sel(norm_momentum=0.0).values == pytest.approx(1, abs=1e-8)
    assert np.all(figure.norm_ratios(data, "orthogonal", 0.9)[1:] > 1.5)  # the first layer has nine weights a filter


LOSSES = [[0.4, 0.2], [0.3, 0.25], [1, 1], [0.3, 0.1]]


def fabricated(still, moving, relaxed, losses):
    """Data whose measured norms are 1 and whose predictions are given, with losses (method, rate)."""
    closures = ["charge", "relaxed", "orthogonal"]
    predicted = np.ones((2, 3, 1, 3))
    predicted[0, 2], predicted[1, 2], predicted[1, 1] = 1 / still, 1 / moving, 1 / relaxed
    loss = np.broadcast_to(np.array(losses, float)[..., None], (4, 2, 3))
    return xr.Dataset(
        {
            "norm": (("norm_momentum", "norm_step", "layer"), np.ones((2, 1, 3))),
            "norm_predicted": (("norm_momentum", "closure", "norm_step", "layer"), predicted),
            "method_loss": (("method", "rate", "member"), loss),
        },
        coords={"norm_momentum": [0.0, 0.9], "closure": closures, "method": list(figure.METHODS)},
    )


@pytest.mark.parametrize(
    ("still", "moving", "relaxed", "label"),
    [(1.05, 1.1, 1, REPRODUCED), (1.05, 17, 1.1, CORRECTED), (1.05, 17, 2, REFUTED), (1.5, 1, 1, REFUTED)],
)
def test_fig_meta_adaptive_verdict_on_norms(still, moving, relaxed, label):
    data = fabricated(still, moving, relaxed, LOSSES)
    assert figure.judge(data)[0].label == label


@pytest.mark.parametrize(
    ("losses", "alike", "better"),
    [
        ([[0.4, 0.2], [0.3, 0.11], [1, 1], [0.3, 0.1]], REPRODUCED, REPRODUCED),
        ([[0.4, 0.2], [0.3, 0.18], [1, 1], [0.3, 0.1]], REFUTED, REPRODUCED),
        (LOSSES, REFUTED, REFUTED),
    ],
)
def test_fig_meta_adaptive_verdicts_on_two_adam(losses, alike, better):
    """Each at its best rate: most of the way to normalization, and below Adam."""
    found = {verdict.claim: verdict.label for verdict in figure.judge(fabricated(1, 1, 1, losses))}
    assert (found["two-adam-is-normalization"], found["two-adam-outperforms"]) == (alike, better)
    assert set(found) == {claim.name for claim in figure.CLAIMS}


@pytest.mark.slow
def test_fig_meta_adaptive_norms_and_losses_of_the_quick_profile():
    data = figure.compute("quick")
    assert figure.norm_ratios(data, "orthogonal", 0.0) == pytest.approx(1, abs=0.15)
    assert np.all(figure.norm_ratios(data, "orthogonal", 0.9) > 8)
    for closure in ("charge", "relaxed"):
        assert figure.norm_ratios(data, closure, 0.9) == pytest.approx(1, abs=0.15)
    assert data["shared_ratio"].values == pytest.approx(1, abs=0.02)
    plain, alone, equal, normalized = figure.best(data).values()
    assert normalized < plain < alone < equal
    assert [verdict.label for verdict in figure.judge(data)] == [CORRECTED, REFUTED, REFUTED]


@pytest.mark.slow
def test_unequal_denominators_win_where_steps_are_small_and_gradients_keep_their_direction():
    """On one batch the first layer shrinks; with shared denominators it grows by its squared updates, exactly."""
    rule = rules.adam(1e-3, 0.0, 0.999, 0.0, 1e-12, decoupled=True)
    changes = {}
    for name, trained in (("own", rule), ("shared", replace(rule, update=figure._shared_update))):
        record = by_rule.train(
            trained, (0,), steps=300, network="digits_cnn", width=0.5, epsilon=1e-12, train_size=512, batch_size=512
        )
        norms = squared_norms(record)[0, :, :4]
        changes[name] = norms[-1].sum() - norms[0].sum()
        moved = record["squared_update"].values[0, :, :4].sum()
        assert changes[name] == pytest.approx(moved, rel=1e-6) or name == "own"
    assert changes["own"] < 0 < changes["shared"]
