"""SGD on noisy samples: steps against autograd, and the laws of charges over whole runs."""

import numpy as np
import pytest
import torch

from nld.experiment.studies import noisy_linear_pair, noisy_relu, noisy_steps

TASK = noisy_linear_pair.PairTask()


def test_the_noise_of_a_run_does_not_depend_on_its_neighbours():
    alone = np.stack(list(noisy_steps.draws([7], 1200, (2,))))
    beside = np.stack(list(noisy_steps.draws([3, 7], 1200, (2,))))
    np.testing.assert_array_equal(alone[:, 0], beside[:, 1])
    assert len(alone) == 1200
    assert len(np.unique(alone)) == alone.size


@pytest.mark.parametrize(("decay", "tolerance"), [(0.0, 1e-12), (0.002, 1e-10)])
def test_law_the_charge_of_two_weights_is_a_product_of_factors(decay, tolerance):
    """And it falls at the rate of the noise at the minimum, to 15 %, or of the slopes that were met, to 1 %."""
    rate, noise, steps = 0.01, 0.5, 20_000
    runs = noisy_steps.valley(np.array([[1.6, 0.7]] * 16), rate, steps, noise=noise, decay=decay, seed=3)
    expected = runs.charge[0].copy()
    for slope in runs.slope:
        expected *= (1 - 2 * rate * decay) ** 2 - rate**2 * slope**2
    np.testing.assert_allclose(runs.charge[-1], expected, rtol=tolerance)
    measured = -np.log(runs.charge[-1] / runs.charge[0]).mean() / steps
    assert measured == pytest.approx(4 * rate**2 * noise**2 + 4 * rate * decay, rel=0.15)
    assert measured == pytest.approx(rate**2 * (runs.slope**2).mean() + 4 * rate * decay, rel=0.01)


def test_gradient_descent_moves_the_charge_by_a_first_order_in_the_rate():
    start, moved = np.array([[1.5, -0.5]]), []
    for rate in (0.02, 0.01, 0.005):
        runs = noisy_steps.valley(start, rate, round(40 / rate), noise=1.0, full=True)
        assert runs.position[-1].prod() == pytest.approx(1, abs=1e-9)
        moved.append(float((runs.charge[0] - runs.charge[-1])[0]))
    np.testing.assert_allclose([moved[0] / moved[1], moved[1] / moved[2]], 2, rtol=0.1)


def naive_pair(seed, number, rate, steps):
    """One start by autograd, one mini-batch at a time, and the change of its charge."""
    inner, outer = (torch.from_numpy(w).requires_grad_() for w in TASK.start(seed, number))
    charge = lambda: (outer.T @ outer - inner @ inner.T).detach()  # noqa: E731
    first = charge()
    for sample in noisy_steps.draws([seed], steps, (TASK.batch, 11)):
        x, noise = np.split(sample[0] * [*TASK.inputs, *TASK.outputs], [6], axis=1)
        x, noise = torch.from_numpy(x), torch.from_numpy(noise)
        y = x @ torch.from_numpy(TASK.target(seed)).T + noise
        loss = (x @ inner.T @ outer.T - y).square().sum() / 2 / TASK.batch
        for p, g in zip((inner, outer), torch.autograd.grad(loss, (inner, outer)), strict=True):
            p.data -= rate * g
    return inner.detach().numpy(), outer.detach().numpy(), (charge() - first).numpy()


def test_two_layers_step_as_autograd_says_and_their_charge_telescopes():
    run = noisy_linear_pair.train(TASK, [4, 5], 2, 0.03, [10, 30])
    for place, (seed, number) in enumerate([(4, 0), (4, 1), (5, 0), (5, 1)]):
        inner, outer, moved = naive_pair(seed, number, 0.03, 30)
        for measured, expected in zip((run.inner, run.outer, run.moved), (inner, outer, moved), strict=True):
            np.testing.assert_allclose(measured[-1, place], expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(0.03**2 * (run.noise_outer - run.noise_inner), run.moved, atol=1e-14)


def test_law_average_imbalance_is_the_change_of_the_charge():
    rate = 0.04
    run = noisy_linear_pair.train(TASK, [0], 1, rate, [round(3 / rate**2), round(12 / rate**2)])
    change = np.linalg.norm(run.moved, axis=(2, 3)) / rate**2
    both = np.linalg.norm(run.noise_outer + run.noise_inner, axis=(2, 3))
    np.testing.assert_allclose(run.imbalance, change / both, rtol=1e-11)
    assert run.imbalance[0, 0] > 2 * run.imbalance[1, 0]


def test_gradient_descent_ends_near_the_best_product_and_keeps_its_charge():
    run = noisy_linear_pair.train(TASK, [1], 2, 0.03, [6000], full=True)
    inner, outer = TASK.best(1)
    excess = lambda product: float((((product - TASK.target(1)) * TASK.inputs) ** 2).sum())  # noqa: E731
    for place in (0, 1):
        reached = excess(run.outer[0, place] @ run.inner[0, place])
        assert excess(outer @ inner) < reached < excess(outer @ inner) + 0.005
    assert np.abs(run.moved).max() < 0.3
    assert run.imbalance.min() > 0.5


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 8), (6, 3), (4, 4)])
def test_a_unit_between_many_inputs_and_few_outputs_rests_where_entries_are_equal(inputs, outputs):
    """tr(S) |inner|^2 = inputs n^2 |outer|^2 with S = n^2 + what one unit cannot reach: the exercise's closed form."""
    task = noisy_linear_pair.PairTask((1.0,) * inputs, (3.0,) * outputs, hidden=1)
    strength, *others = np.linalg.svd(task.target(0), compute_uv=False)
    ratio = (9 * outputs + sum(x**2 for x in others)) / (9 * inputs)  # |outer|^2 / |inner|^2
    squared = noisy_linear_pair.resting_values(task, 0)[0] ** 2
    assert squared == pytest.approx(strength * np.sqrt(ratio), rel=0.02)


def test_networks_step_as_autograd_says():
    networks = noisy_relu.start([2, 3])
    (after,) = noisy_relu.train(networks, 0.02, [3], [2, 3])
    for run, seed in enumerate((2, 3)):
        inner, outer = (torch.from_numpy(w[run]).requires_grad_() for w in (networks.inner, networks.outer))
        x, y = (torch.from_numpy(part[run]) for part in (networks.x, networks.y))
        for row in np.random.default_rng([seed, 5]).integers(noisy_relu.SAMPLES, size=3):
            loss = (outer @ (inner @ x[row]).relu() - y[row]).square().sum() / 2
            for p, g in zip((inner, outer), torch.autograd.grad(loss, (inner, outer)), strict=True):
                p.data -= 0.02 * g
        np.testing.assert_allclose(after.inner[run], inner.detach().numpy(), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(after.outer[run], outer.detach().numpy(), rtol=1e-12, atol=1e-14)


def test_squared_gradients_are_those_of_single_samples():
    networks = noisy_relu.start([4])
    inner, outer = (torch.from_numpy(w[0]).requires_grad_() for w in (networks.inner, networks.outer))
    sums = [0.0, 0.0]
    for x, y in zip(torch.from_numpy(networks.x[0]), torch.from_numpy(networks.y[0]), strict=True):
        loss = (outer @ (inner @ x).relu() - y).square().sum() / 2
        g_inner, g_outer = torch.autograd.grad(loss, (inner, outer))
        sums = [sums[0] + g_inner.square().sum(1), sums[1] + g_outer.square().sum(0)]
    for expected, squared in zip(sums, networks.squared_gradients(), strict=True):
        np.testing.assert_allclose(squared[0], expected.numpy() / noisy_relu.SAMPLES, rtol=1e-12)


def test_at_the_optimum_gradients_of_both_sides_are_equal_and_outputs_are_the_same():
    networks = noisy_relu.start([5, 6, 7])
    moved = networks.at_optimum()
    inner, outer = moved.squared_gradients()
    np.testing.assert_allclose(inner, outer, rtol=1e-12)
    np.testing.assert_allclose(moved.losses(), networks.losses(), rtol=1e-14)
    assert (networks.distances() > 0.2).all()
    assert (moved.distances() < 1e-12).all()


def test_law_the_squared_norm_grows_by_each_squared_step_and_decay_halts_it():
    rate, decay = 0.05, np.array([0.0, 0.002, 0.002])
    start = np.array([[1.0, 0, 0, 0], [1.0, 0, 0, 0], [0, 0, 0, 2.5]])
    squared, gradient = noisy_steps.normalized(start, rate, 12_000, noise=0.5, decay=decay, seeds=[1, 1, 2])
    law = squared[0].copy()
    for g in gradient:
        law = (1 - 2 * rate * decay) ** 2 * law + rate**2 * g
    np.testing.assert_allclose(squared[-1], law, rtol=1e-11)
    assert (np.diff(squared[:, 0]) >= 0).all()
    rest = rate * 0.5**2 * 3 / (4 * 0.002)
    np.testing.assert_allclose((squared[8000:, 1:] ** 2).mean(0), rest, rtol=0.15)
    assert squared[-1, 0] ** 2 > 3 * rest
