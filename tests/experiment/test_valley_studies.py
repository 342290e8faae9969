"""Networks that slide along valleys: their gradients, Hessians and charges against differences and naive loops."""

import numpy as np
import pytest

from nld.experiment.studies import elementwise_network, oscillation, scalar_product
from nld.experiment.studies.elementwise_network import ElementwiseNetwork
from nld.experiment.studies.scalar_product import ScalarProduct
from nld.theory.edge_of_stability import central_variance, edge_drift

TARGET = np.random.default_rng(0).normal(size=(3, 5))


@pytest.mark.parametrize("name", elementwise_network.ACTIVATIONS)
def test_the_gradient_of_two_layers_is_that_of_the_loss(name):
    network, step = ElementwiseNetwork(name, 4, TARGET), 1e-6
    q = network.start(1, 3)
    v = np.random.default_rng(2).normal(size=q.shape)
    slope = (network.loss(q + step * v) - network.loss(q - step * v)) / (2 * step)
    np.testing.assert_allclose((network.gradient(q) * v).sum(-1), slope, rtol=1e-6)
    u, w = network.weights(q[0])
    naive = sum(
        (sum(u[i, k] * float(elementwise_network.ACTIVATIONS[name][0](w[k, j])) for k in range(4)) - TARGET[i, j]) ** 2
        for i in range(3) for j in range(5)
    )  # fmt: skip
    assert network.loss(q[0]) == pytest.approx(naive / 10)


def test_random_starts_have_the_stated_variances():
    network = ElementwiseNetwork("linear", 8, np.zeros((3, 5)))
    u, v = network.weights(network.start(0, 4000))
    assert u.var() == pytest.approx(1 / 8, rel=0.03)  # twice the sampling error of 4000 draws of 24 and 40 numbers
    assert v.var() == pytest.approx(1 / 5, rel=0.03)


def test_flow_and_steps_end_at_their_time():
    network = ElementwiseNetwork("tanh", 4, TARGET)
    start = network.start(0)[0]
    end = elementwise_network.flow(network, start, 2.0, 0.05)[-1]
    gaps = [np.abs(elementwise_network.descend(network, start, rate, 2.0)[-1] - end).max() for rate in (0.02, 0.01)]
    assert gaps[0] / gaps[1] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("name", elementwise_network.ACTIVATIONS)
def test_the_same_rate_is_ten_times_as_large_without_the_average_over_inputs(name):
    """With |.|^2/2 a rate of 0.4 takes linear, tanh and sigmoid units out of reach; with the mean all learn but one."""
    target = np.random.default_rng([0, 4]).normal(size=(5, 10))
    network = ElementwiseNetwork(name, 50, target)
    start = network.start(0)[0]
    with np.errstate(all="ignore"):
        summed, averaged = (
            network.loss(elementwise_network.descend(network, start, rate, 40 * rate)[-1]) for rate in (4.0, 0.4)
        )
    left = network.loss(start) / 2
    assert (not summed < left) == (name in ("linear", "tanh", "sigmoid"))
    assert (averaged < left / 100) == (name != "sigmoid")


@pytest.mark.parametrize("factors", [2, 3, 4])
def test_the_sharpness_of_a_product_of_scalars(factors):
    product = ScalarProduct(0.8)
    q = np.random.default_rng(factors).uniform(0.5, 1.5, (6, factors))
    q[:, -1] = 0.8 / q[:, :-1].prod(-1)
    assert np.abs(product.gradient(q)).max() < 1e-15
    # at a minimum the Hessian is the outer product of the gradient of the product
    squared = sum((0.8 / q[:, k]) ** 2 for k in range(factors))
    np.testing.assert_allclose(product.sharpness(q), squared, rtol=1e-6)


def test_diverged_products_stop_and_leave_the_others_alone():
    start = np.array([[30.0, 30.0], [1.0, 0.5]])
    path = scalar_product.descend(ScalarProduct(1.0), start, np.array([0.5, 0.2]), 50)
    alone = scalar_product.descend(ScalarProduct(1.0), start[1:], 0.2, 50)
    assert np.isfinite(path).all()
    assert np.abs(path[-1, 0]).max() > scalar_product.LOST
    np.testing.assert_array_equal(path[:, 1:], alone)


@pytest.fixture(scope="module")
def runs():
    return oscillation.oscillating_chain([0, 1], 1.6)


def test_balanced_layers_are_as_sharp_as_the_rate_assumes(runs):
    chain = runs.chain
    target = chain.target[0]
    size = np.linalg.norm(target)
    last = np.sqrt(size) * np.eye(1, 4)
    q = np.concatenate([(last.T @ target / size).ravel(), last.ravel()])
    assert np.abs(chain.product(q) - target).max() < 1e-14
    hessian = runs.hessian(np.stack([q, q]))[0]
    assert runs.rate[0, 0] * np.linalg.eigvalsh(hessian)[-1] == pytest.approx(2 * 1.6, rel=1e-6)
    assert runs.charge(q) == pytest.approx(0, abs=1e-12)


def test_what_is_measured_at_the_centre_of_the_oscillation(runs):
    found = oscillation.oscillate(runs, 41, 20).isel(run=1)
    path, noise = [runs.start[1]], np.random.default_rng([1, 2])
    jitter = oscillation.JITTER * noise.normal(size=(42, 1, 6))
    for n in range(42):
        w = path[-1]
        first, last = w[:24].reshape(4, 6), w[24:].reshape(1, 4)
        error = 2 * (last @ first - runs.chain.target[1] - jitter[n]) @ runs.chain.covariance
        gradient = np.concatenate([(last.T @ error).ravel(), (error @ first.T).ravel()])
        path.append(w - runs.rate[1] * gradient)
    w = path[21]
    assert found["charge"][1] == pytest.approx((w[24:] ** 2).sum() - (w[:24] ** 2).sum(), abs=1e-12)
    centre = (path[20] + 2 * path[21] + path[22]) / 4

    def largest(point):
        return np.linalg.eigvalsh(runs.hessian(np.stack([runs.start[0], point]))[1])[-1]

    assert found["sharpness"][1] == pytest.approx(largest(centre), rel=1e-9)
    direction = np.random.default_rng(3).normal(size=28)
    slope = (largest(centre + 1e-4 * direction) - largest(centre - 1e-4 * direction)) / 2e-4
    assert found["sharpness_gradient"][1].values @ direction == pytest.approx(slope, rel=1e-4)


def test_a_run_at_the_edge_drifts_as_the_valley_foretells():
    found = oscillation.oscillate(oscillation.oscillating_chain([3], 1.6), 4000, 20).isel(run=0)
    scaled = found["sharpness"] * found["rate"]
    assert scaled[0] < 1
    assert scaled.max() > 2
    late = found.isel(step=slice(100, None))
    assert np.abs(scaled.isel(step=slice(100, None)) - 2).max() < 0.1
    variance = central_variance(late["gradient"].values, late["sharpness_gradient"].values)
    foreseen = 20 * edge_drift(variance, late["direction_charge"].values)[:-1].sum()
    moved = float(late["charge"][-1] - late["charge"][0])
    assert moved < -0.3
    assert foreseen == pytest.approx(moved, rel=0.15)
