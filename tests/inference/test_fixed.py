"""Tests at a fixed number of seeds: agreement, no worse, Holm; each against a computation by another way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nld.inference import fixed

rows = st.lists(st.floats(-3, 3), min_size=2, max_size=15).filter(lambda x: np.std(x) > 1e-3)


@given(rows, st.floats(0.05, 4))
def test_law_agreement_is_two_one_sided_t_tests(samples, margin):
    low = stats.ttest_1samp(samples, -margin, alternative="greater").pvalue
    high = stats.ttest_1samp(samples, margin, alternative="less").pvalue
    assert fixed.agreement(samples, margin) == pytest.approx(max(low, high), rel=1e-9, abs=1e-300)
    assert fixed.non_inferiority(samples, margin) == pytest.approx(low, rel=1e-9, abs=1e-300)


@given(rows, st.floats(0.05, 4))
def test_law_agreement_at_5_percent_is_an_interval_of_90_percent_inside_the_margin(samples, margin):
    low, high = fixed.interval(samples, 0.9)
    assert (fixed.agreement(samples, margin) < 0.05) == (-margin < low and high < margin)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.integers(0, 3))
def test_law_holm_rejects_what_its_step_down_rejects(p_values, missing):
    size = len(p_values) + missing
    rejected = fixed.holm(p_values, size) < 0.05
    order, expected = np.argsort(p_values), np.zeros(len(p_values), bool)
    for place, index in enumerate(order):
        if p_values[index] * (size - place) >= 0.05:
            break
        expected[index] = True
    np.testing.assert_array_equal(rejected, expected)


def test_holm_refuses_more_tests_than_were_registered():
    with pytest.raises(ValueError, match="at most 1 tests in the family, got 2"):
        fixed.holm([0.1, 0.2], 1)


def test_without_scatter_the_mean_decides_and_one_sample_nothing():
    assert fixed.agreement(np.full(4, 0.5), 1.0) == 0
    assert fixed.agreement(np.full(4, 1.5), 1.0) == 1
    assert fixed.agreement([0.0], 1.0) == 1
    with pytest.raises(ValueError, match="positive margin"):
        fixed.agreement([0.0, 1.0], 0.0)
