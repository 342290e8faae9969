"""The judges of the forecasts, part by part, on made-up seeds; what is compared; and the words that depend on them."""

import numpy as np
import pytest
import xarray as xr

from nld.figures import fig_forecast
from nld.figures._data import forecast_runs
from nld.figures._data.forecast_evidence import BOUNDS
from nld.inference.verdict import OPEN, OPPOSITE, PASSES, REFUTED, REPRODUCED
from tests.figures.judged import labels, outcomes, row

SEEDS = 8
COVER, DRIFT = "forecast-intervals-cover", "drift-beats-a-constant-source"


def made(error=0.02, constant=0.05, inside=0.9):
    """Judging seeds with these means in every setting, and courses of no meaning."""
    dims = ("judging_seed", "rule", "schedule", "quantity")
    spread = row(0, 0.002, SEEDS)[:, None, None, None]
    numbers = {"error": error, "constant_error": constant, "inside": inside}
    course = ("judging_seed", "rule", "schedule")
    return xr.Dataset(
        {name: (dims, np.full((SEEDS, 3, 2, 3), value) + spread * (2 if name == "constant_error" else 1))
         for name, value in numbers.items()}
        | {name: ((*course, "step" if name == "measured" else "later"), np.ones((SEEDS, 3, 2, 4)))
           for name in ("measured", "forecast", "forecast_low", "forecast_high", "constant")},
        {"judging_seed": range(SEEDS), "rule": list(BOUNDS), "schedule": ["cosine", "WSD"],
         "quantity": list(forecast_runs.QUANTITIES), "step": [0, 300, 900, 1499], "later": [300, 900, 1499, 1499]},
    )  # fmt: skip


def changed(name, value, **where):
    data = made()
    data[name].loc[where] += value
    return data


def test_fig_forecast_all_claims_are_reproduced_where_all_is_well():
    assert set(labels(fig_forecast, made()).values()) == {REPRODUCED}


@pytest.mark.parametrize("quantity", ["norm", "angle"])
@pytest.mark.parametrize(("rule", "bound"), BOUNDS.items())
def test_fig_forecast_judges_each_error_by_its_bound(rule, bound, quantity):
    claim = f"first-fifth-foretells-{rule.lower()}"
    for offset, outcome in ((-0.01, PASSES), (0.01, OPPOSITE), (0.0, OPEN)):
        data = changed("error", bound / 100 + offset - 0.02, rule=rule, quantity=quantity)
        found = outcomes(fig_forecast, data, claim)
        assert found.pop(f"{quantity}s") == outcome
        assert set(found.values()) == {PASSES}


@pytest.mark.parametrize("quantity", forecast_runs.QUANTITIES)
@pytest.mark.parametrize("share", [0.7, 0.99])
def test_fig_forecast_coverage_may_be_too_small_and_too_large(quantity, share):
    found = outcomes(fig_forecast, changed("inside", share - 0.9, quantity=quantity), COVER)
    assert found.pop(f"{quantity}s") != PASSES
    assert set(found.values()) == {PASSES}


@pytest.mark.parametrize(("rule", "part"), [("AdamW", "AdamW"), ("SGD", "SGD"), ("Muon", "Muon, no worse")])
def test_fig_forecast_compares_with_a_constant_source(rule, part):
    worse = changed("constant_error", -0.05, rule=rule)
    found = outcomes(fig_forecast, worse, DRIFT)
    assert found.pop(part) == OPPOSITE
    assert set(found.values()) == {PASSES}
    assert labels(fig_forecast, made(constant=0.0))[DRIFT] == REFUTED


def test_fig_forecast_sentences_turn_with_the_data():
    well, badly = made(), made(error=0.2, constant=0.1, inside=0.5)
    assert "(5 % were asked for)" in fig_forecast.sentences(well)["adamw"]
    assert "missing the 5 % that were asked for by 15.0 points" in fig_forecast.sentences(badly)["adamw"]
    assert "is better under both" in fig_forecast.sentences(well)["drift"]
    assert "is worse under both" in fig_forecast.sentences(badly)["drift"]
    split = fig_forecast.sentences(changed("constant_error", -0.05, rule="SGD"))
    assert "is better under AdamW and is worse under SGD" in split["drift"]
    assert "not worse" in split["muon-drift"]
    assert "more than a point" in fig_forecast.sentences(badly)["muon-drift"]
    assert "shown for all three" in fig_forecast.sentences(well)["coverage"]
    assert "do not show" in fig_forecast.sentences(badly)["coverage"]
    some = changed("inside", -0.4, quantity="gradient")
    assert "shown for norms and angles alone" in fig_forecast.sentences(some)["coverage"]
    few = made().isel(judging_seed=slice(3))
    assert "less than the seeds can show" in fig_forecast.sentences(few)["muon"]


def test_fig_forecast_errors_are_those_of_a_run_of_which_the_rest_is_known(monkeypatch):
    """Forecasts in the place of ``nld.forecast`` that are the run itself, its norms times 1.1, and intervals of 5 %."""
    steps = 100
    rng = np.random.default_rng(0)
    dims = ("step", "block", "unit")
    values = rng.uniform(1, 2, (steps, 2, 2))
    values[:, 1, 1] = np.nan  # a block of one unit
    record = xr.Dataset(
        dict.fromkeys(("squared_norm", "angular_step", "squared_gradient"), (dims, values)),
        {"step": range(steps), "kind": ("block", ["scale", "scale"]),
         "parameters": ("block", [forecast_runs.DRAWN, "other"])},
    )  # fmt: skip

    def forecast(first, rates, total, drift):
        factor = 1.1 if drift else 1.2
        assert first.sizes["step"] == total // 5 == steps // 5
        ahead = {
            "squared_norm": record.squared_norm * factor**2,
            "angular_step": record.angular_step,
            "gradient_norm": np.sqrt(record.squared_gradient),
        }
        low = {f"{name}_low": value / 1.05 for name, value in ahead.items()}
        high = {f"{name}_high": value * 1.05 for name, value in ahead.items()}
        return xr.Dataset(ahead | low | high).isel(step=slice(steps // 5, None))

    monkeypatch.setattr(forecast_runs, "forecast", forecast)
    data = forecast_runs.compared(record, "AdamW", "cosine")
    np.testing.assert_allclose(data["error"], [0.1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(data["constant_error"], [0.2, 0, 0], atol=1e-6)
    np.testing.assert_allclose(data["inside"], [0, 1, 1])
