"""fig-schedules: what the acceptance of the two papers asks, and that each verdict can turn."""

import numpy as np
import pytest
import xarray as xr

from nld.figures import fig_schedules
from nld.figures._data import schedule_runs, schedules_evidence
from nld.inference.verdict import CORRECTED, PARTLY, REFUTED, REPRODUCED
from tests.figures.judged import row


@pytest.fixture(scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule_runs, "STEPS", 60)
        patch.setattr(schedule_runs, "TUNING_STEPS", 1500)
        patch.setattr(fig_schedules, "SEEDS", 2)
        return fig_schedules.compute("quick")


def labels(data):
    return {verdict.claim: verdict.label for verdict in fig_schedules.judge(data)}


def test_fig_schedules_rules_on_its_claims(small):
    found = labels(small)
    assert list(found) == [claim.name for claim in fig_schedules.CLAIMS]
    assert found["scale-invariant-step-tunes-itself"] == REPRODUCED
    assert found["decay-is-a-growing-rate"] == REPRODUCED
    assert found["step-decay-is-tapered-growth"] == CORRECTED


@pytest.mark.parametrize(
    ("claim", "change"),
    [
        ("scale-invariant-step-tunes-itself", lambda d: d.update({"effective_rate": 3 * d["effective_rate"]})),
        ("scale-invariant-step-tunes-itself", lambda d: d.update({"form_diverged": 0 * d["form_diverged"]})),
        ("decay-is-a-growing-rate", lambda d: d.update({"difference": d["difference"] + 1e-9})),
        ("step-decay-is-tapered-growth", lambda d: d.update({"step_difference": d["step_difference"] + 1e-9})),
    ],
)
def test_fig_schedules_verdicts_can_turn(small, claim, change):
    assert labels(small)[claim] in (REPRODUCED, CORRECTED)
    data = small.copy(deep=True)
    change(data)
    assert labels(data)[claim] != REPRODUCED
    assert labels(data)[claim] in (REFUTED, PARTLY)


@pytest.mark.parametrize(("slope", "label"), [(-0.25, REPRODUCED), (-0.24, REPRODUCED), (-0.5, REFUTED), (0, REFUTED)])
def test_fig_schedules_the_slope_of_noisy_runs_decides(small, slope, label):
    slopes = row(slope, 0.003, n=3)
    known = small.isel(seed=[0, 0, 0]).assign_coords(seed=[1, 2, 3])
    known["noisy_gradient"] = (("seed", "tuning_step"), small["tuning_step"].values ** slopes[:, None])
    np.testing.assert_allclose(schedules_evidence.noise_slopes(known), slopes, atol=1e-10)
    assert labels(known)["stationary-with-noise"] == label


@pytest.mark.parametrize(
    ("calm", "restless", "label"),
    [
        (1e-20, 0.9, REPRODUCED),
        (0.0, 0.9, REPRODUCED),
        (1e-2, 0.9, PARTLY),
        (1e-20, 1e-3, PARTLY),
        (1e-2, 1e-3, REFUTED),
    ],
)
def test_fig_schedules_both_halves_of_restlessness_are_judged(small, calm, restless, label):
    scatter = np.exp(row(0, 0.1, n=8))
    known = small.drop_dims("judging_seed").assign(
        restless=(("decay", "judging_seed"), np.array([calm * scatter, restless * scatter]))
    )
    assert labels(known)["normalization-with-decay-is-restless"] == label


@pytest.mark.parametrize(
    ("share", "exponent", "label"), [(0.9, -0.6, REPRODUCED), (0.9, -0.4, REPRODUCED), (1.1, -0.6, REFUTED)]
)
def test_fig_schedules_the_theorem_asks_for_its_bound_and_no_slope(small, share, exponent, label):
    decay = (small["tuning_step"] / small["tuning_step"][-1]) ** exponent
    known = small.assign(
        smallest_gradient=share * small["smallest_gradient_bound"] * decay * xr.ones_like(small["seed"])
    )
    assert schedules_evidence.smallest_slope(known) == pytest.approx(exponent, abs=1e-12)
    assert labels(known)["stationary-at-any-rate"] == label


@pytest.mark.slow
def test_fig_schedules_acceptance():
    data = fig_schedules.compute("quick")
    assert float(data["identity"].max()) < 1e-11
    assert float(data["effective_rate"].sel(noise=0).max()) < 1  # self-limited below the stability of the form
    middle = (data["rate"] >= 1e-2) & (data["rate"] <= 1e2 * (1 + 1e-9))
    assert bool((schedules_evidence.share_of_bound(data)[:, middle.values] <= 1).all())
    assert set(data["rate"].values[data["form_diverged"].values == 1]) >= {data["rate"].values[6]}  # eta = 10
    # noise: four decades of learning rates, one effective rate, 1/sqrt(2 T) for unit noise
    flat = data["effective_rate"].sel(noise=1).isel(rate=slice(1, 8))
    np.testing.assert_allclose(flat, (2 * data.attrs["tuning_steps"]) ** -0.5, rtol=0.05)
    # the law takes the mean of the first step's noise; up to here what that step adds is small
    calm = {"rate": slice(0, 8)}
    np.testing.assert_allclose(data["effective_rate"].sel(noise=1).isel(calm), data["noisy_law"].isel(calm), rtol=0.05)
    found = fig_schedules.differences(data)
    assert max(found["exponential"], found["empty buffer"]) < 1e-10
    assert found["naive"] > 1e-3
    assert float(data["rough_difference"]) > 1e-8
