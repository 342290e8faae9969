"""A comparison on series whose errors and horizons are known."""

import numpy as np
import pytest

from nld.compare import compare
from nld.series import Measurement, Prediction

TIME = 0.1 * np.arange(11)


def pair(predicted, measured, every=1, time=TIME):
    return compare(
        Prediction("squared_norm", time, np.asarray(predicted, float), unit="w^2"),
        Measurement("squared_norm", time[::every], np.asarray(measured, float)[::every], unit="w^2"),
    )


def test_law_a_prediction_of_itself_is_exact_and_lasts():
    value = np.random.default_rng(0).normal(size=(11, 3))
    comparison = pair(value, value)
    assert not comparison.residual.any()
    assert not comparison.relative_error.any()
    np.testing.assert_allclose(comparison.horizon(0.0), [1.0] * 3)


def test_law_horizon_of_an_exponential_that_drifts_off():
    """Predicted e^{at}, measured e^{bt}: the error |e^{(a-b)t} - 1| passes 10 % at t = log(1.1)/(a - b)."""
    time = np.linspace(0, 2, 2001)
    rates = np.array([0.2, 0.4])
    measured = np.exp(time[:, None]) * np.ones(2)
    comparison = pair(measured * np.exp(time[:, None] * rates), measured, time=time)
    np.testing.assert_allclose(comparison.horizon(0.1), np.log(1.1) / rates, atol=1e-3)
    np.testing.assert_allclose(comparison.relative_error[-1], np.expm1(2 * rates), rtol=1e-12)


def test_law_sparse_measurements_meet_their_own_times():
    value = np.arange(11.0) + 1
    comparison = pair(value, value, every=5)
    np.testing.assert_array_equal(comparison.predicted, [1, 6, 11])
    np.testing.assert_allclose(comparison.time, [0, 0.5, 1])


def test_law_the_error_of_a_change_sees_what_the_relative_error_hides():
    measured = 100 + np.linspace(0, 1, 11)
    comparison = pair(np.full(11, 100.0), measured)
    assert comparison.relative_error.max() < 0.01
    assert comparison.error_of_change[-1] == pytest.approx(1)


def test_law_a_change_is_the_largest_of_the_measurement_since_its_own_start():
    """Two units that go away by 2 and by 4 and come back; the prediction starts elsewhere."""
    measured = np.outer(1 - np.abs(np.linspace(-1, 1, 11)), [2.0, 4.0]) + 7
    np.testing.assert_allclose(pair(measured - 3, measured).error_of_change, 11 * [[3 / 2, 3 / 4]])


def test_law_divergence_ends_the_horizon_for_good():
    predicted = np.ones((11, 2))
    predicted[4, 0], predicted[0, 1] = np.nan, np.inf
    horizon = pair(predicted, np.ones((11, 2))).horizon(0.5)
    assert horizon[0] == pytest.approx(0.3)
    assert np.isnan(horizon[1])


@pytest.mark.parametrize(
    ("prediction", "measurement", "message"),
    [
        (("a", TIME, TIME), ("b", TIME, TIME), "expected the same quantity, got 'a' predicted and 'b' measured"),
        (("a", TIME, TIME), ("a", TIME + 0.05, TIME), "expected every measured time to be a predicted one"),
        (("a", TIME, TIME), ("a", TIME, np.ones((11, 2))), "expected the same units"),
    ],
)
def test_errors_of_comparison(prediction, measurement, message):
    with pytest.raises(ValueError, match=message):
        compare(Prediction(*prediction), Measurement(*measurement))


def test_series_need_one_row_a_time():
    with pytest.raises(ValueError, match="expected squared_norm to have one row per time"):
        Prediction("squared_norm", TIME, np.ones(3))
