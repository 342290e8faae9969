"""The e-test: its closed form, its error rate, its interval, against independent computations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from nld.inference import e_test


def by_integration(samples) -> float:
    """E_n as the ratio of the noncentral to the central density of t, the noncentrality integrated over its prior."""
    n = len(samples)
    t = np.sqrt(n) * samples.mean() / samples.std(ddof=1)
    density = lambda effect: stats.nct.pdf(t, n - 1, effect * np.sqrt(n)) * stats.norm.pdf(effect)  # noqa: E731
    value, _ = integrate.quad(density, -12, 12, points=[0, t / np.sqrt(n)], limit=400, epsabs=0, epsrel=1e-9)
    return value / stats.t.pdf(t, n - 1)


@pytest.mark.parametrize("n", [2, 3, 5, 8, 20])
@pytest.mark.parametrize("effect", [0.0, 0.4, -1.5])
def test_law_the_closed_form_is_the_likelihood_ratio_under_the_prior(n, effect):
    samples = np.random.default_rng([n, 7]).normal(effect, 1, n)
    assert math.exp(e_test.log_e_process(samples)[-1]) == pytest.approx(by_integration(samples), rel=1e-6)


@given(
    st.lists(st.floats(-5, 5), min_size=2, max_size=12).filter(lambda x: np.std(x) > 1e-3),
    st.floats(1e-3, 1e3),
)
def test_law_the_e_value_knows_no_scale_and_no_sign_and_the_process_is_that_of_its_prefixes(samples, scale):
    process = e_test.log_e_process(samples)
    np.testing.assert_allclose(e_test.log_e_process(np.array(samples) * -scale), process, rtol=1e-9, atol=1e-9)
    for n in range(1, len(samples) + 1):
        assert e_test.log_e_process(samples[:n])[-1] == pytest.approx(process[n - 1], rel=1e-9, abs=1e-9)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=20).filter(lambda x: np.std(x) > 1e-3), st.sampled_from([5, 20]))
def test_law_the_interval_holds_the_means_whose_e_value_is_below_the_threshold(samples, threshold):
    samples = np.array(samples)
    low, high = e_test.confidence_sequence(samples, threshold)
    if math.isinf(low):  # the largest value that n samples can reach is below the threshold
        assert (len(samples) - 1) / 2 * math.log(1 + len(samples)) <= math.log(threshold) + 1e-9
        return
    for end in (low, high):
        assert e_test.log_e_process(samples - end)[-1] == pytest.approx(math.log(threshold), abs=1e-6)
    assert e_test.log_e_process(samples - (low + high) / 2)[-1] < math.log(threshold)


@given(st.lists(st.floats(-1, 3), min_size=1, max_size=30), st.floats(1.5, 200))
def test_law_a_test_stops_at_the_first_prefix_whose_e_value_reaches_the_threshold(samples, threshold):
    reached = [e_test.log_e_process(samples[:n])[-1] >= math.log(threshold) for n in range(1, len(samples) + 1)]
    assert e_test.first_crossing(samples, threshold) == (reached.index(True) + 1 if any(reached) else None)


def test_the_interval_is_bounded_as_soon_as_anything_is_excluded():
    """Of four samples anything is excluded below a threshold of 5²/sqrt(5); 4²/sqrt(5) is not yet the end."""
    samples = [0.0, 1.0, 2.0, 4.0]
    low, high = e_test.confidence_sequence(samples, 20 / math.sqrt(5))
    assert math.isfinite(low)
    for end in (low, high):
        assert e_test.log_e_process(np.array(samples) - end)[-1] == pytest.approx(math.log(20 / math.sqrt(5)))
    assert e_test.confidence_sequence(samples, 26 / math.sqrt(5)) == (-math.inf, math.inf)


def test_samples_without_scatter_reach_the_limit_and_one_alone_says_nothing():
    assert e_test.log_e_process([3.0])[-1] == 0
    assert e_test.log_e_process(np.full(6, 2.0))[-1] == pytest.approx(2.5 * math.log(7))
    assert e_test.log_e_process(np.zeros(6))[-1] == pytest.approx(-math.log(7) / 2)
    near = 2.0 + 1e-7 * np.random.default_rng(0).normal(size=6)
    assert e_test.log_e_process(near)[-1] == pytest.approx(2.5 * math.log(7), rel=1e-6)


@pytest.mark.parametrize("bad", [[], [1.0, np.nan], [[1.0, 2.0]], [np.inf, 1.0]])
def test_what_is_no_row_of_finite_numbers_is_refused(bad):
    with pytest.raises(ValueError, match="one row of finite differences"):
        e_test.log_e_process(bad)


@pytest.mark.parametrize(("effect", "threshold"), [(1.0, 20.0), (2.0, 160.0), (0.5, 20.0)])
def test_samples_needed_are_where_the_mean_path_crosses(effect, threshold):
    n = e_test.samples_needed(effect, 1.0, threshold)
    values = [e_test.log_e_value(k * effect**2 / (k - 1), k) for k in (n - 1, n)] if n > 2 else [-1, 99]
    assert values[0] < math.log(threshold) <= values[1]
    assert e_test.samples_needed(0.0, 1.0, threshold) is None
    assert e_test.samples_needed(1e-6, 1.0, threshold, most=1000) is None


def stops(effect: float, threshold: float, runs: int, seed: int, most: int = 32) -> tuple[float, float]:
    """Shares of simulated sequences that stop in the effect's sign, and in the other."""
    draw = np.random.default_rng(seed)
    right = wrong = 0
    for samples in draw.normal(effect, 1, (runs, most)):
        stop = e_test.first_crossing(samples, threshold)
        if stop is not None:
            right += samples[:stop].mean() > 0
            wrong += samples[:stop].mean() <= 0
    return right / runs, wrong / runs


def test_law_errors_stay_below_alpha_although_every_seed_is_looked_at():
    right, wrong = stops(0.0, 20.0, 1500, 1)
    assert right + wrong < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1500)
    assert stops(1.0, 20.0, 300, 2)[0] > 0.95
    assert stops(1.0, 20.0, 300, 2)[1] == 0


@pytest.mark.slow
def test_law_error_rate_of_the_e_process_simulated():
    """Under heavy looking, 20,000 sequences: false decisions below 5 %, power as registered."""
    right, wrong = stops(0.0, 20.0, 20_000, 3)
    assert 0.005 < right + wrong < 0.05
    for effect, threshold, power in ((1.0, 20.0, 0.97), (1.4, 160.0, 0.97), (1.0, 500.0, 0.8)):
        assert stops(effect, threshold, 2000, 4)[0] > power
