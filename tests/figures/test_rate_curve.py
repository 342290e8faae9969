"""The mechanism on photographs is judged seed by seed: known curves, each part turned by what it is about."""

import numpy as np
import pytest
import xarray as xr

from nld.figures import fig_photographs
from nld.figures._data import rate_curve
from nld.inference import rule
from nld.inference.verdict import OPPOSITE, PASSES

SEEDS, RATES = 32, np.array([0.03, 0.3, 1.0, 3.0, 10.0])  # of held norms, which keep the rate of their start


def judged(constant=0.0, scatter=0.02, adapted=0.5) -> xr.Dataset:
    """Losses on a parabola over log rate, held ones ``constant`` above it; free rates are held ones to ``adapted``."""
    noise = np.random.default_rng(3).normal(size=(2, SEEDS, len(RATES), 2))
    rates = np.stack([RATES**adapted, RATES], -1) * np.exp(0.01 * noise[0])
    log_loss = 0.6 + 0.1 * np.log(rates) ** 2 - 0.05 * np.log(rates) + scatter * noise[1]
    log_loss[..., 1] += constant
    dims = ("judging_seed", "setting", "constrained_norm")
    return xr.Dataset({"judged_half_rate": (dims, rates), "judged_half_loss": (dims, np.exp(log_loss))})


def outcomes(data: xr.Dataset) -> dict[str, str]:
    (verdict,) = rule([rate_curve.evidence(data)])
    return {finding.part: finding.outcome for finding in verdict.findings}


def test_law_without_scatter_the_curve_explains_all_and_the_constant_is_its_own():
    data = judged(scatter=0)
    held = np.tile([0.0, 1.0], len(RATES))
    rate, loss = (data[f"judged_half_{name}"].values[0].ravel() for name in ("rate", "loss"))
    share, constant = rate_curve.explained(rate, loss, held)
    assert share == pytest.approx(1, abs=1e-12)
    assert constant == pytest.approx(0, abs=1e-12)
    _, constant = rate_curve.explained(rate, loss * np.exp(0.3 * held), held)
    assert constant == pytest.approx(0.3, abs=1e-12)


def test_law_the_share_is_that_of_a_polynomial_fit():
    data = judged(scatter=0.2)
    x, y = (np.log(data[f"judged_half_{name}"].values[5].ravel()) for name in ("rate", "loss"))
    residual = y - np.polyval(np.polyfit(x, y, 2), x)
    share, _ = rate_curve.explained(np.exp(x), np.exp(y), np.tile([0.0, 1.0], len(RATES)))
    assert share == pytest.approx(1 - residual.var() / y.var(), rel=1e-9)


@pytest.mark.parametrize(
    ("change", "part", "outcome"),
    [
        ({}, "held norms on the same curve", PASSES),
        ({}, "the rate explains", PASSES),
        ({}, "better than the rate at the start", PASSES),
        ({"constant": 0.3}, "held norms on the same curve", OPPOSITE),
        ({"scatter": 1.0}, "the rate explains", OPPOSITE),
    ],
)
def test_each_part_turns_with_what_it_is_about(change, part, outcome):
    assert outcomes(judged(**change))[part] == outcome


def test_rates_that_stay_what_they_were_explain_no_more_than_the_start():
    assert outcomes(judged(adapted=1.0))["better than the rate at the start"] != PASSES


def test_the_figure_states_the_claim_that_the_curve_rules_on():
    assert [claim.name for claim in fig_photographs.CLAIMS] == [rate_curve.CLAIM]
