"""The gauge symmetry of a linear neural ODE, against solved equations, differences of losses and written-out layers."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from nld.experiment.studies import neural_ode
from nld.experiment.training.runge_kutta import runge_kutta
from nld.learning_rules.rules import gradient_descent, iterate
from nld.theory import gauge_laws


def mapped(field, x):
    """Where the equation takes one point, solved by another method than the study's."""
    solution = solve_ivp(
        lambda t, y: field(t)[:, :-1] @ y + field(t)[:, -1], (0, 1), x, "Radau", rtol=1e-10, atol=1e-12
    )
    return solution.y[:, -1]


@pytest.fixture
def chain():
    return neural_ode.ResidualChain(12, *neural_ode.task(3))


@pytest.mark.parametrize("seed", [0, 1])
def test_law_a_basis_at_every_depth_leaves_the_map(seed):
    field, matrix = neural_ode.smooth_field(seed), np.random.default_rng(seed).normal(size=(3, 3)) / 3

    def gauged(t):
        frame, rate = np.eye(3) + t * (1 - t) * matrix, (1 - 2 * t) * matrix
        return gauge_laws.transformed(field(t), frame, rate)

    x = np.array([1.0, -0.5, 0.3])
    assert np.abs(gauged(0.3) - field(0.3)).max() > 0.1
    np.testing.assert_allclose(mapped(gauged, x), mapped(field, x), atol=1e-7)
    transport = neural_ode.transport(field)
    np.testing.assert_allclose(transport[:, :-1] @ x + transport[:, -1], mapped(field, x), atol=1e-7)
    np.testing.assert_allclose(neural_ode.transport(gauged), transport, atol=1e-11)


@pytest.mark.parametrize("seed", [0, 1])
def test_law_another_clock_leaves_the_map(seed):
    """W -> tau' W(tau): the fields at tau(t), run through at the clock's rate."""
    field = neural_ode.smooth_field(seed)

    def clocked(t):
        return (0.5 + t) * field((t + t * t) / 2)

    assert np.abs(clocked(0.9) - field(0.9)).max() > 0.1
    np.testing.assert_allclose(neural_ode.transport(clocked), neural_ode.transport(field), atol=1e-11)
    wrong = neural_ode.transport(lambda t: field((t + t * t) / 2))
    assert np.abs(wrong - neural_ode.transport(field)).max() > 1e-3


def test_law_the_gradient_is_that_of_the_loss(chain):
    q = chain.start(neural_ode.smooth_field(1))
    direction = np.random.default_rng(0).normal(size=q.size)
    slope = (chain.loss(q + 1e-6 * direction) - chain.loss(q - 1e-6 * direction)) / 2e-6
    assert chain.gradient(q) @ direction == pytest.approx(chain.layers * slope, rel=1e-7)


def test_law_gauss_holds_between_layers(chain):
    q = chain.start(neural_ode.smooth_field(2))
    field, gradient, h = chain.fields(q), chain.fields(chain.gradient(q)), 1 / chain.layers
    matrices = np.eye(3) + h * field[:, :, :-1]
    for lower in range(chain.layers - 1):
        left = matrices[lower + 1].T @ gradient[lower + 1, :, :-1]
        right = gradient[lower, :, :-1] @ matrices[lower].T + h * np.outer(gradient[lower, :, -1], field[lower, :, -1])
        np.testing.assert_allclose(left, right, atol=1e-13)


def test_law_layers_conserve_their_charge_and_the_density_to_first_order():
    drifts = []
    for layers in (16, 32, 64):
        chain = neural_ode.ResidualChain(layers, *neural_ode.task(0))
        path = runge_kutta(lambda q, c=chain: -c.gradient(q), chain.start(neural_ode.smooth_field(0)), 1.0, 0.05)
        before, after = chain.fields(path[[0, -1]])
        charge = chain.charges(path[[0, -1]])
        assert np.abs(charge[1] - charge[0]).max() < 1e-5 * np.abs(charge[0]).max()
        moved = gauge_laws.charge_density(after) - gauge_laws.charge_density(before)
        left = moved - gauge_laws.density_drift(before, after)
        drifts.append([np.abs(moved).max(), np.abs(left).max()])
    np.testing.assert_allclose(np.log2(np.array(drifts[:-1]) / drifts[1:]), [[1, 2]] * 2, atol=0.15)


def test_law_charges_of_layers_are_kept_to_order_four_of_the_integrator():
    chain = neural_ode.ResidualChain(8, *neural_ode.task(0))
    start, drifts = chain.start(neural_ode.smooth_field(0)), []
    for step in (0.05, 0.025):
        charge = chain.charges(runge_kutta(lambda q: -chain.gradient(q), start, 1.0, step)[[0, -1]])
        drifts.append(np.abs(charge[1] - charge[0]).max())
    assert 14 < drifts[0] / drifts[1] < 18


def test_law_the_density_is_the_formula_between_two_layers():
    lower, upper = np.random.default_rng(0).normal(size=(2, 3, 4))
    middle, slope = (lower + upper) / 2, 2 * (upper - lower)[:, :3]
    weights, bias = middle[:, :3], middle[:, 3]
    expected = slope + slope.T + weights.T @ weights - weights @ weights.T - np.outer(bias, bias)
    np.testing.assert_allclose(gauge_laws.charge_density(np.stack([lower, upper]))[0], expected)


@pytest.mark.parametrize("decay", [0.3, 0.6])
def test_law_decay_ends_where_the_gauge_condition_holds(decay):
    chain = neural_ode.ResidualChain(10, *neural_ode.task(1))
    path = iterate(gradient_descent(0.1, decay), chain.gradient, chain.start(neural_ode.smooth_field(1)), 900)
    first, last = (np.abs(gauge_laws.gauge_condition(chain.fields(q))).max() for q in path.position[[0, -1]])
    assert first > 1
    assert last < 1e-4
    assert np.linalg.norm(path.position[-1]) > 0.1  # and not because nothing is left


def test_law_decay_moves_the_density_as_its_degrees_say():
    field, k, ds = neural_ode.smooth_field(4), 0.7, 1e-6
    values = field((np.arange(200) + 0.5) / 200)
    rate = (gauge_laws.charge_density((1 - k * ds) * values) - gauge_laws.charge_density(values)) / ds
    slope = 200 * np.diff(values[..., :3], axis=0)
    linear = slope + slope.mT
    quadratic = gauge_laws.charge_density(values) - linear
    np.testing.assert_allclose(rate, -k * linear - 2 * k * quadratic, atol=1e-4)
