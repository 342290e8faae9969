"""Systems whose data, outputs or physics have a symmetry, against naive second computations."""

import itertools

import numpy as np
import pytest

from nld.experiment.studies import (
    constant_inputs,
    cued_digits,
    driven_probe,
    orbit_regression,
    ring_symmetry,
    time_embedding,
)
from nld.learning_rules.rules import adam, gradient_descent, heavy_ball, iterate
from nld.theory import orbit_kernels


@pytest.mark.parametrize(("points", "separation"), [(4, 0.5), (8, 1.0), (9, 0.3), (12, 2.0)])
def test_law_the_error_at_a_left_out_point_is_the_ratio_of_eigenvalues(points, separation):
    kernel = orbit_regression.gaussian_kernel(orbit_regression.two_rings(points, separation))
    errors = orbit_regression.left_out_errors(kernel)
    np.testing.assert_allclose(errors, orbit_kernels.left_out_error(kernel[0]), atol=1e-8)
    values = np.linalg.eigvalsh(kernel)
    label = (-1.0) ** np.arange(2 * points)
    expected = 1 / (label @ kernel @ label / (2 * points)) / (1 / values).mean()
    assert errors[0] == pytest.approx(expected, rel=1e-6)


def test_the_error_on_eight_points_is_the_known_one():
    """With the ridge and without it; and with exp(-|x - y|^2/(2 L^2)), the usual form of the same kernel."""
    x = orbit_regression.two_rings(8, 1.0)
    row = orbit_regression.gaussian_kernel(x)[0]
    assert orbit_kernels.left_out_error(row) == pytest.approx(0.539969512851, abs=1e-12)
    row[0] -= orbit_regression.RIDGE
    assert orbit_kernels.left_out_error(row) == pytest.approx(0.539969512802, abs=1e-12)
    usual = np.exp(-((x - x[0]) ** 2).sum(1) / (2 * 1.4**2))
    assert orbit_kernels.left_out_error(usual) == pytest.approx(0.00708, abs=5e-6)


def naive_loss(events, q):
    """The loss of an embedding in loops over types and times."""
    types, d = len(events.happened), time_embedding.DIMENSION
    real, imaginary = q.reshape(2, types, d)
    total = 0.0
    for kind in range(types):
        u = real[kind] + 1j * imaginary[kind]
        u = u / np.sqrt((np.abs(u) ** 2).sum())
        for column in range(time_embedding.LENGTH):
            clock = np.exp(1j * time_embedding.FREQUENCIES * (column + events.later)) / np.sqrt(d)
            score = (u * clock.conj()).sum().real
            if events.happened[kind, column]:
                total += (score - time_embedding.TARGET) ** 2 / time_embedding.OCCURRENCES
            else:
                total += score**2 / (time_embedding.LENGTH - time_embedding.OCCURRENCES)
    return total


def test_law_the_gradient_of_an_embedding_is_that_of_its_loss_and_moved_data_drive_its_charge():
    events, _, q = time_embedding.lagged_pairs(1, pairs=1, others=2)
    later = time_embedding.TimeEmbedding(events.happened, 37.0)
    assert naive_loss(later, time_embedding.rotated(q, 37.0)) == pytest.approx(naive_loss(events, q), rel=1e-10)
    direction = np.random.default_rng(0).normal(size=q.size)
    slope = (naive_loss(events, q + 1e-5 * direction) - naive_loss(events, q - 1e-5 * direction)) / 2e-5
    assert events.gradient(q) @ direction == pytest.approx(slope, rel=1e-6)
    s = 1e-6
    along = (time_embedding.rotated(q, s) - time_embedding.rotated(q, -s)) / (2 * s)
    moved = [naive_loss(time_embedding.TimeEmbedding(events.happened, shift), q) for shift in (s, -s)]
    assert events.gradient(q) @ along == pytest.approx(-(moved[0] - moved[1]) / (2 * s), rel=1e-4)


@pytest.mark.parametrize(
    ("rule", "carried"), [(gradient_descent(10.0), True), (heavy_ball(2.0, 0.9), True), (adam(0.1), False)],
    ids=["gradient descent", "heavy ball", "Adam"],
)  # fmt: skip
def test_law_isometric_rules_carry_a_run_over_to_moved_data(rule, carried):
    events, _, start = time_embedding.lagged_pairs(0, pairs=2, others=2)
    later = time_embedding.TimeEmbedding(events.happened, 11.0)
    end = iterate(rule, events.gradient, start, 20).position[-1]
    other = iterate(rule, later.gradient, time_embedding.rotated(start, 11.0), 20).position[-1]
    apart = np.linalg.norm(time_embedding.rotated(end, 11.0) - other) / np.linalg.norm(end - start)
    assert apart < 1e-11 if carried else apart > 1e-2


def test_an_embedding_finds_lags_and_tells_related_events():
    events, lags, start = time_embedding.lagged_pairs(2, pairs=4, others=8)
    vectors = events.vectors(iterate(adam(0.1), events.gradient, start, 150).position[-1])
    related = time_embedding.distances(vectors[0:8:2], vectors[1:8:2], np.arange(60))
    unrelated = time_embedding.distances(vectors[8::2], vectors[9::2], np.arange(60))
    assert (related.argmin(-1) == lags).all()
    assert unrelated.min() - related.min(-1).max() > 0.5


@pytest.mark.parametrize(
    ("rule", "factor"), [(gradient_descent(0.02), np.sqrt(1 + 20 * 0.09)), (adam(1e-3, epsilon=0), 1 + 20 * 0.3)],
    ids=["gradient descent", "Adam"],
)  # fmt: skip
def test_law_constant_inputs_are_one_bias_with_another_rate(rule, factor):
    many = np.array([-0.3] * 20 + [1.0])
    expanded, alike = constant_inputs.on_digits(many), constant_inputs.on_digits([factor])
    path, other = (
        iterate(rule, each.gradient, constant_inputs.start(each, many, 1), 60).position for each in (expanded, alike)
    )
    assert np.abs(expanded.bias(path) - expanded.bias(path)[0]).max() > 1e-2
    np.testing.assert_allclose(expanded.bias(path), alike.bias(other), atol=1e-12)
    np.testing.assert_allclose(expanded.layers(path)[0], alike.layers(other)[0], atol=1e-12)
    weights = expanded.layers(path)[1]
    charge = weights[..., :-1] + 0.3 * weights[..., -1:]
    assert (np.abs(charge - charge[0]).max() < 1e-13) == (rule.name == "gradient descent")


def test_the_hexagon_has_twelve_symmetries_and_inputs_the_named_number():
    every = {tuple(g) for g in ring_symmetry.GROUP}
    neighbours = [
        p
        for p in itertools.permutations(range(6))
        if all((p[(i + 1) % 6] - p[i]) % 6 in (1, 5) for i in range(6))
    ]  # fmt: skip
    assert every == set(neighbours)
    for number, x in ring_symmetry.INPUTS.items():
        assert sum(np.array_equal(x[list(g)], x) for g in neighbours) == number


@pytest.mark.parametrize("number", list(ring_symmetry.INPUTS))
def test_law_outputs_keep_symmetries_or_break_them_fairly(number):
    x, maps = ring_symmetry.INPUTS[number], ring_symmetry.MAPS
    assert ring_symmetry.equivariant(maps["equivariant"], x) == 12
    assert ring_symmetry.equivariant(maps["by representative"], x, up_to_symmetries=True) == 12
    if number in (1, 2, 6):
        assert ring_symmetry.equivariant(maps["by position"], x, up_to_symmetries=True) < 12


def test_equal_corners_cannot_be_coloured_by_an_equivariant_map():
    equal = np.ones(ring_symmetry.SIZE)
    assert np.ptp(ring_symmetry.message_passing(equal)) < 1e-12
    assert ring_symmetry.one_coloured(ring_symmetry.message_passing, equal) >= 0.5
    assert ring_symmetry.one_coloured(ring_symmetry.by_representative, equal) < 0.01


def test_law_entropy_is_made_in_proportion_to_the_speed():
    speeds = np.array([0.03, 0.015])
    gains = [driven_probe.driven(speed) for speed in speeds]
    entropy = np.array([gain for gain, _ in gains])
    assert (entropy > 0).all()
    assert np.log2(entropy[0] / entropy[1]) == pytest.approx(1, abs=0.05)
    assert max(abs(error) for _, error in gains) < 1e-8


def test_cued_networks_learn_and_seeds_do_not_know_each_other():
    together = cued_digits.runs(np.array([3, 4]), steps=20)
    single = cued_digits.runs(np.array([4]), steps=20)
    for name, values in together.items():
        assert values.shape == (2,)
        np.testing.assert_allclose(values[1], single[name][0], atol=0.02)
    assert (together["plain_no_cue"] > 0.3).all()
