"""Linear networks in closed form, against minima that are searched, factors that are drawn, and flows that are run."""

import numpy as np
import pytest

from nld.errors import InvalidInput
from nld.experiment.studies.linear_chain import LinearChain
from nld.learning_rules.rules import gradient_descent
from nld.theory import linear_networks as law
from nld.theory.continuum import gradient_flow


def lowest(decay, depth, strength, curvature):
    """Where a s^2 - 2 a m s + (D + 1) gamma s^(2/(D+1)) is least, on a fine grid."""
    s = np.linspace(0, strength, 400_001)
    values = curvature * s * (s - 2 * strength) + (depth + 1) * decay * s ** (2 / (depth + 1))
    return s[values.argmin()]


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize(("strength", "curvature"), [(1.0, 1.0), (1.4, 0.6)])
def test_law_the_lowest_minimum_jumps_at_the_critical_decay(depth, strength, curvature):
    size = {"hidden_layers": depth, "strength": strength, "curvature": curvature}
    critical, jump = law.critical_decay(**size), law.jump(depth, strength)
    assert lowest(critical * (1 + 1e-6), depth, strength, curvature) == 0
    assert lowest(critical * (1 - 1e-6), depth, strength, curvature) == pytest.approx(jump, abs=1e-5 * strength)
    if depth > 1:
        assert law.upper_minimum(critical, **size) == pytest.approx(jump, rel=1e-9)
        assert law.balanced_loss(jump, critical, **size) == pytest.approx(law.balanced_loss(0.0, critical, **size))


@pytest.mark.parametrize(("depth", "ratio"), [(1, 1.0), (2, 1.191), (3, 1.414), (5, 1.890)])
def test_law_the_spinodal_over_the_critical_decay(depth, ratio):
    size = {"hidden_layers": depth, "strength": 0.8, "curvature": 1.3}
    spinodal = law.spinodal_decay(**size)
    assert spinodal / law.critical_decay(**size) == pytest.approx(ratio, abs=6e-4)
    s = np.linspace(0, 0.8, 100_001)
    slopes = 1.3 * (0.8 - s) * s ** ((depth - 1) / (depth + 1))
    assert spinodal == pytest.approx(slopes.max(), rel=1e-8)
    assert law.upper_minimum(1.0001 * spinodal, **size) == 0 < law.upper_minimum(0.99 * spinodal, **size)


def test_law_the_spinodal_of_two_hidden_layers_in_the_moments_of_the_data():
    c, a = 0.7, 1.6  # 3/4 c (c/4a)^(1/3) with c = |E[xy]| = a m
    found = law.spinodal_decay(hidden_layers=2, strength=c / a, curvature=a)
    assert found == pytest.approx(0.75 * c * (c / (4 * a)) ** (1 / 3), rel=1e-14)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("decay", [0.0, 0.05, 0.2])
def test_law_the_upper_minimum_is_one(depth, decay):
    size = {"hidden_layers": depth, "strength": 1.2, "curvature": 0.9}
    at = law.upper_minimum(decay, **size)
    around = law.balanced_loss(at + np.array([-1e-4, 0, 1e-4]), decay, **size)
    assert around[1] < min(around[0], around[2])
    if depth == 1:
        assert at == pytest.approx(max(1.2 - decay / 0.9, 0), rel=1e-13)
        assert law.thresholded([1.2], decay / 0.9)[0] == pytest.approx(at)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_law_no_layers_with_the_same_product_have_a_smaller_penalty(depth):
    random = np.random.default_rng(depth)
    chain = LinearChain((3, *[4] * depth, 2), np.zeros((2, 3)))
    for seed in range(20):
        q = chain.start(seed, random.uniform(0.5, 2))
        values = np.linalg.svd(chain.product(q), compute_uv=False)
        assert (q**2).sum() > (depth + 1) * (values ** (2 / (depth + 1))).sum()
    balanced = LinearChain(chain.widths, random.normal(size=(2, 3))).balanced_start(0.7)
    values = np.linalg.svd(chain.product(balanced), compute_uv=False)
    # the inner layers of this start carry the other directions of their width, too
    penalty = sum((np.linalg.svd(w, compute_uv=False)[:2] ** 2).sum() for w in chain.layers(balanced))
    assert penalty == pytest.approx((depth + 1) * (values ** (2 / (depth + 1))).sum())


def test_law_half_of_a_mode_is_there_when_it_was_foreseen():
    found = [law.half_rise_time(m, 1e-3) for m in (3, 2, 1.2, 0.7)]
    np.testing.assert_allclose(found, [2.486, 3.627, 5.832, 9.613], atol=1e-3)
    for m, time in zip((3, 2, 1.2, 0.7), found, strict=True):
        assert law.rising(m, 1e-3, time) == pytest.approx(m / 2, rel=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_law_modes_of_balanced_layers_rise_as_foreseen_along_the_flow(depth):
    random, modes = np.random.default_rng(0), np.array([2.0, 0.8])
    left, right = (np.linalg.qr(random.normal(size=(3, 2)))[0] for _ in range(2))
    chain = LinearChain((3,) * (depth + 2), left * modes @ right.T, 0.5)
    times = np.array([0, *(law.half_rise_time(m, 0.2, depth) for m in modes)])
    path = gradient_flow(gradient_descent(1.0), chain.gradient, chain.balanced_start(0.2), times).position
    values = np.linalg.svd(chain.product(path), compute_uv=False)
    assert values[1, 0] == pytest.approx(1.0, rel=1e-8)
    assert values[2, 1] == pytest.approx(0.4, rel=1e-8)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_law_charges_of_linear_layers_decay_four_times_as_fast_as_the_penalty_says(decay):
    chain = LinearChain((3, 4, 4, 2), np.random.default_rng(1).normal(size=(2, 3)))
    start, time = chain.start(2, 1.0), np.linspace(0, 3, 7)
    path = gradient_flow(gradient_descent(1.0, 2 * decay), chain.gradient, start, time).position
    for charge in chain.charges(path):
        expected = charge[0] * np.exp(-4 * decay * time)[:, None, None]
        np.testing.assert_allclose(charge, expected, atol=1e-9)


def test_a_network_without_hidden_layers_has_no_transition():
    with pytest.raises(InvalidInput, match="at least one hidden layer, got 0"):
        law.critical_decay(hidden_layers=0, strength=1.0)
