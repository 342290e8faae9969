"""fig-effective-rates: the rate is eta/((1 - beta) r^2), half-way the one before any milestone."""

import numpy as np
import xarray as xr

from nld.figures._data import effective_rates


def gathered():
    """Two runs of eight steps whose rate falls tenfold at the half; three filters, norms 1, 2 and 40 times."""
    rates = np.repeat([[0.3], [0.5]], 8, axis=1) * np.where(np.arange(8) < 4, 1, 0.1)
    growth = np.array([1.0, 2.0, 3.0])  # at the evaluations
    squared = growth[None, :, None] * np.array([1.0, 2.0, 40.0]) * np.array([1.0, 5.0])[:, None, None]
    return xr.Dataset(
        {
            "squared_norm": (("run", "evaluation_step", "filter"), squared),
            "learning_rate_at_step": (("run", "step"), rates),
            "test_loss": (("run", "evaluation_step"), [[2.3, 1.0, 0.5], [2.3, 0.8, 0.4]]),
            "test_accuracy": (("run", "evaluation_step"), [[0.1, 0.6, 0.9], [0.1, 0.7, 0.8]]),
        },
        coords={
            "evaluation_step": [0, 4, 8],
            "momentum": ("run", [0.0, 0.9]),
            "learning_rate": ("run", [0.3, 0.5]),
            "constrained": ("run", [False, True]),
        },
        attrs={"seed": 7, "weight_decay": 0.01},
    )


def test_fig_effective_rates_of_runs_that_are_known():
    found = effective_rates.table(gathered(), "B")
    # medians over the filters: the middle one, 2 times the growth
    half = [0.3 / (1 * 4), 0.5 / (0.1 * 20)]
    np.testing.assert_allclose(found["half_rate"], half)
    np.testing.assert_allclose(found["effective_rate"][:, 0], [0.3 / 2, 5 / 10])
    np.testing.assert_allclose(found["effective_rate"][:, 1], np.array(half) / 10)  # the schedule has lowered it
    np.testing.assert_allclose(found["squared_norm"][1], [10, 20, 30])
    np.testing.assert_allclose(found["half_loss"], [1.0, 0.8])
    np.testing.assert_allclose(found["accuracy"], [0.9, 0.8])
    assert found["seed"].values.tolist() == [7, 7]


def test_fig_effective_rates_mean_over_seeds_by_mode_and_value():
    one = effective_rates.table(gathered(), "B")
    other = one.assign(half_rate=3 * one["half_rate"])
    held = one.assign_coords(constrained=1 - one["constrained"])
    values, rates = effective_rates.means(xr.concat([one, other, held, held], "run"), "B")
    assert values.tolist() == [0.0, 0.9]
    first, second = one["half_rate"].values
    np.testing.assert_allclose(rates, [[2 * first, second], [first, 2 * second]])
