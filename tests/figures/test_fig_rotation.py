"""fig-rotation: its verdicts follow its numbers, and the numbers follow from the runs."""

import numpy as np
import pytest

from nld.figures import fig_rotation
from nld.figures._data import rotation_runs
from nld.inference.verdict import CORRECTED, PARTLY, REFUTED, REPRODUCED, UNDECIDED
from tests.figures.judged import labels, row
from tests.figures.stored import whole_reference


@pytest.fixture
def data():
    stored = whole_reference("fig-rotation").isel(arithmetic=0, drop=True)
    rules, balanced = list(rotation_runs.JUDGED), list(rotation_runs.JUDGED[:2])
    accuracy = np.stack([row(0.94), row(0.92, 0.011), row(0.94, 0.012)], 1)
    ratios = np.stack([row(1.08), row(3.2, 0.1)], 1)
    return (
        stored.drop_dims("judging_seed")
        .assign(
            judged_accuracy=(("judging_seed", "judged_rule"), accuracy),
            judged_unbalance=(("judging_seed", "balanced_rule"), ratios),
        )
        .assign_coords(judged_rule=rules, balanced_rule=balanced)
    )


def label(data, claim):
    return labels(fig_rotation, data)[claim]


def test_fig_rotation_rules_on_every_claim_and_nothing_else(data):
    assert [verdict.claim for verdict in fig_rotation.judge(data)] == [claim.name for claim in fig_rotation.CLAIMS]


@pytest.mark.parametrize(
    ("claim", "variable", "place", "values", "before", "after"),
    [
        ("rotational-equilibrium", "norm", {"walk": 0}, 1.02, REPRODUCED, PARTLY),
        ("rotational-equilibrium", "angle", {"walk": 5}, 1.02, REPRODUCED, PARTLY),
        ("rotational-equilibrium-of-lion", "norm", {"walk": 8}, 1.1, CORRECTED, REFUTED),
        ("projection-slows-growth", "growth", {"grown": 0}, 1.1, REPRODUCED, REFUTED),
        ("balanced-rotation", "judged_unbalance", {"balanced_rule": 0}, row(1.5), REPRODUCED, PARTLY),
        ("balanced-rotation", "judged_unbalance", {"balanced_rule": 1}, row(1.5), REPRODUCED, PARTLY),
        ("rotation-replaces-decay", "judged_accuracy", {"judged_rule": 2}, row(0.9, 0.012), REPRODUCED, REFUTED),
        ("rotation-replaces-decay", "judged_accuracy", {"judged_rule": 2}, row(0.94, 0.2), REPRODUCED, UNDECIDED),
        ("rotation-replaces-decay", "judged_accuracy", {"judged_rule": 2}, row(0.97), REPRODUCED, REPRODUCED),
        ("balanced-rotation-generalizes", "judged_accuracy", {"judged_rule": 1}, row(0.96), REPRODUCED, REFUTED),
        ("balanced-rotation-generalizes", "judged_accuracy", {"judged_rule": 1}, row(0.94, 0.004), REPRODUCED, REFUTED),
        ("balanced-rotation-generalizes", "judged_accuracy", {"judged_rule": 1}, row(0.93, 0.2), REPRODUCED, UNDECIDED),
    ],
)  # fmt: skip
def test_fig_rotation_a_verdict_turns_with_its_number(data, claim, variable, place, values, before, after):
    assert label(data, claim) == before
    data[variable][place] = data[variable][place] * values if np.ndim(values) == 0 else values
    assert label(data, claim) == after


def test_fig_rotation_the_formula_without_the_charge_is_refuted(data):
    """AdamW's norm over the widely copied formula: sqrt((1 + beta)/(1 - beta)), 4.36 at beta = 0.9."""
    rows = data.isel(walk=np.flatnonzero(np.isfinite(data["norm_uncharged"].values)))
    beta = rows["momentum"].values
    np.testing.assert_allclose(rows["norm"] / rows["norm_uncharged"], np.sqrt((1 + beta) / (1 - beta)), rtol=0.01)
    assert 0.9 in beta


@pytest.mark.slow
def test_fig_rotation_computes_and_draws(data, monkeypatch):
    monkeypatch.setattr(rotation_runs, "STEPS", 40)
    short = fig_rotation.compute("quick")
    assert set(short.data_vars) == set(data.data_vars)
    np.testing.assert_allclose(short["norm"], data["norm"], rtol=1e-6)
    assert fig_rotation.draw(short).axes
    assert "nan" not in fig_rotation.caption(short) + fig_rotation.alt(short)
