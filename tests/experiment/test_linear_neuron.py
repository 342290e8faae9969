"""A linear neuron that is trained: gradient and kernel against finite differences, rates against a plain loop."""

import numpy as np

from nld.experiment.studies.linear_neuron import LinearNeuron, descend, flow, imbalance, kernel_distance

RANDOM = np.random.default_rng(0)
NEURON = LinearNeuron(RANDOM.normal(size=(5, 3)), RANDOM.normal(size=5))
START = RANDOM.normal(size=(2, 4))


def outputs(q):
    return NEURON.x @ (q[0] * q[1:])


def test_gradient_and_kernel_are_those_of_finite_differences():
    step = 1e-6
    shifts = step * np.eye(4)
    jacobian = np.stack([(outputs(START[0] + d) - outputs(START[0] - d)) / (2 * step) for d in shifts], axis=1)
    np.testing.assert_allclose(NEURON.gradient(START)[0], jacobian.T @ (outputs(START[0]) - NEURON.y), rtol=1e-7)
    np.testing.assert_allclose(NEURON.kernel(START)[0], jacobian @ jacobian.T, rtol=1e-7, atol=1e-9)
    rates = np.diag([0.5, 2.0, 2.0, 2.0])  # a ratio of 4 around one
    np.testing.assert_allclose(NEURON.kernel(START, 4.0)[0], jacobian @ rates @ jacobian.T, rtol=1e-7, atol=1e-9)


def test_descent_gives_each_layer_its_rate():
    path = descend(NEURON, START, 0.01, 7, np.array([4.0, 1.0]))
    q = START[0].copy()
    for _ in range(7):
        back = NEURON.x.T @ (outputs(q) - NEURON.y)
        q = q - np.concatenate([[0.005 * q[1:] @ back], 0.02 * q[0] * back])
    np.testing.assert_allclose(path[-1, 0], q, rtol=1e-12)
    assert path.shape == (8, 2, 4)


def test_law_the_flow_keeps_the_imbalance_at_fourth_order():
    drifts = [np.abs(imbalance(flow(NEURON, START, 1.0, step)) - imbalance(START)).max() for step in (0.02, 0.01)]
    assert 12 < drifts[0] / drifts[1] < 40
    assert drifts[1] < 1e-5


def test_kernels_that_differ_by_a_factor_have_no_distance():
    kernel = NEURON.kernel(START)
    np.testing.assert_allclose(kernel_distance(kernel, 3 * kernel), 0, atol=1e-12)
    other = np.diag([1.0, 0, 0]), np.diag([0, 1.0, 0])
    assert kernel_distance(*other) == 1
