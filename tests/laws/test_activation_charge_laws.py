"""Charges of element-wise activations: where they come from, that flows keep them, and what steps add."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad

from nld.learning_rules import rules
from nld.theory import activation_charges, discrete
from nld.theory.activation_charges import ACTIVATIONS, X

SMOOTH = ("linear", "tanh", "sigmoid")
KINKED = 1e-5  # where a step of 0.02 crosses a kink the integrator is of second order
INVERTIBLE = (*SMOOTH, "leaky ReLU")
SHAPES = ((3, 4), (4, 5))  # U: outputs, units; V: units, inputs
IDENTITY = np.eye(5)
TARGET = np.random.default_rng(7).normal(size=(3, 5))


def split(q):
    return q[:12].reshape(SHAPES[0]), q[12:].reshape(SHAPES[1])


def sigma(name, v):
    return {
        "linear": v, "ReLU": v * (v > 0), "leaky ReLU": np.maximum(v, 0.1 * v), "tanh": np.tanh(v),
        "sigmoid": 0.5 + 0.5 * np.tanh(v / 2),
    }[name]  # fmt: skip


def slope(name, v):
    if name == "sigmoid":
        return sigma(name, v) * (1 - sigma(name, v))
    return {
        "linear": v * 0 + 1, "ReLU": v > 0, "leaky ReLU": np.where(v > 0, 1, 0.1), "tanh": 1 - np.tanh(v) ** 2,
    }[name]  # fmt: skip


def gradient(name, q, x=IDENTITY):
    """Of |U sigma(V x) - TARGET|^2/10."""
    u, v = split(q)
    active = sigma(name, v @ x)
    error = (u @ active - TARGET) / 5
    return np.concatenate([(error @ active.T).ravel(), ((u.T @ error * slope(name, v @ x)) @ x.T).ravel()])


def start(seed=0):
    return 0.6 * np.random.default_rng(seed).normal(size=32)


def charges(name, q):
    return activation_charges.unit_charges(ACTIVATIONS[name], *split(q))


def flowed(name, x=IDENTITY, end=10.0, step=0.02):
    """By Runge and Kutta's method; solvers that choose their step stall at kinks."""
    q = start()
    for _ in range(round(end / step)):
        k1 = -gradient(name, q, x)
        k2 = -gradient(name, q + step / 2 * k1, x)
        k3 = -gradient(name, q + step / 2 * k2, x)
        k4 = -gradient(name, q + step * k3, x)
        q = q + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return q


@pytest.mark.parametrize("name", SMOOTH)
def test_law_the_integral_is_of_the_activation_over_its_slope(name):
    activation = ACTIVATIONS[name]
    assert sp.simplify((activation.ratio - activation.sigma / activation.sigma.diff(X)).rewrite(sp.exp)) == 0
    grown = activation.arrays["integral"](np.array(1.3)) - activation.arrays["integral"](np.array(-0.7))
    assert grown == pytest.approx(quad(lambda v: sigma(name, v) / slope(name, v), -0.7, 1.3)[0], rel=1e-12)
    curved = sp.lambdify(X, 1 - activation.sigma * activation.sigma.diff(X, 2) / activation.sigma.diff(X) ** 2)
    assert activation.arrays["curvature"](np.array(0.4)) == pytest.approx(curved(0.4), rel=1e-12)


@pytest.mark.parametrize("name", INVERTIBLE)
def test_law_inverse_and_supremum(name):
    arrays, v = ACTIVATIONS[name].arrays, np.linspace(-2, 2, 9)
    np.testing.assert_allclose(arrays["sigma"](v), sigma(name, v), atol=1e-15)
    np.testing.assert_allclose(arrays["inverse"](sigma(name, v)), v, atol=1e-14)
    assert ACTIVATIONS[name].supremum == (1.0 if name in ("tanh", "sigmoid") else np.inf)


@pytest.mark.parametrize("name", INVERTIBLE)
def test_law_rescaled_activations_give_the_same_outputs(name):
    symmetry = activation_charges.activation_rescale(ACTIVATIONS[name])
    u, v = split(start())
    for s in (-0.05, 0.3, 2.0):
        moved_u, moved_v = symmetry.transform((u, v), s)
        np.testing.assert_allclose(moved_u @ sigma(name, moved_v), u @ sigma(name, v), atol=1e-13)
    step = 1e-6
    ahead, behind = (symmetry.transform((u, v), s) for s in (step, -step))
    for part, after, before in zip(symmetry.generator((u, v)), ahead, behind, strict=True):
        np.testing.assert_allclose(part, (after - before) / (2 * step), atol=1e-8)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_law_no_gradient_has_a_part_along_the_generator(name):
    u, v = split(start(3))
    g_u, g_v = split(gradient(name, start(3)))
    a_v = -ACTIVATIONS[name].arrays["ratio"](v)
    inner = (g_u * u).sum(0) + (g_v * a_v).sum(1)
    assert np.abs(inner).max() < 1e-15
    assert np.abs((g_u * u).sum(0)).max() > 1e-2


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_law_gradient_flow_keeps_the_charge_of_every_unit(name):
    moved = np.abs(charges(name, flowed(name)) - charges(name, start()))
    assert moved.max() < (1e-8 if name in SMOOTH else KINKED)
    assert np.abs(flowed(name) - start()).max() > 0.1


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_law_other_inputs_leave_only_homogeneous_charges(name):
    random = np.random.default_rng(5)
    orthogonal, _ = np.linalg.qr(random.normal(size=(5, 5)))
    skewed = orthogonal * np.linspace(0.6, 1.4, 5) @ np.linalg.qr(random.normal(size=(5, 5)))[0]
    drift = np.abs(charges(name, flowed(name, skewed)) - charges(name, start())).max()
    if ACTIVATIONS[name].integral == X**2 / 2:
        assert drift < KINKED
    else:
        assert drift > 1e-3
        u, v = split(start())
        turned = activation_charges.unit_charges(ACTIVATIONS[name], u, v @ orthogonal)
        u, v = split(flowed(name, orthogonal))
        after = activation_charges.unit_charges(ACTIVATIONS[name], u, v @ orthogonal)
        assert np.abs(after - turned).max() < 1e-8  # orthogonal inputs keep it, of V x


@pytest.mark.parametrize("name", [name for name in SMOOTH if ACTIVATIONS[name].integral != X**2 / 2])
def test_law_orthogonal_inputs_of_unequal_lengths_weigh_each_input(name):
    """C = sum U^2/2 - sum_j Phi(<V, x_j>)/|x_j|^2, and without the weights nothing is kept."""
    orthogonal, _ = np.linalg.qr(np.random.default_rng(6).normal(size=(5, 5)))
    lengths = np.linspace(0.7, 1.3, 5)
    integral, drifts = ACTIVATIONS[name].arrays["integral"], []
    for weights in (1 / lengths**2, np.ones(5)):
        ends = []
        for q in (start(), flowed(name, orthogonal * lengths)):
            u, v = split(q)
            ends.append((u**2).sum(0) / 2 - (integral(v @ (orthogonal * lengths)) * weights).sum(1))
        drifts.append(np.abs(ends[1] - ends[0]).max())
    assert drifts[0] < 1e-8
    assert drifts[1] > 1e-3


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_law_of_one_step_is_exact_for_quadratic_charges_and_of_third_order_for_others(name):
    q, errors = start(1), []
    g = gradient(name, q)
    for rate in (0.2, 0.1, 0.05):
        law = activation_charges.predict_charge_change(ACTIVATIONS[name], split(q)[1], *split(g), rate)
        moved = charges(name, q - rate * g) - charges(name, q)
        errors.append(np.abs(moved - law).max())
        assert np.abs(moved).max() > 1e-5
    if ACTIVATIONS[name].integral == X**2 / 2:
        assert max(errors) < 1e-14
    else:
        orders = np.log2(np.array(errors[:-1]) / errors[1:])
        assert np.abs(orders - 3).max() < 0.2


@pytest.mark.parametrize("name", SMOOTH)
def test_law_the_exact_law_of_heavy_ball_holds_for_a_generator_that_is_not_linear(name):
    rule, symmetry = rules.heavy_ball(0.1, 0.9), activation_charges.activation_rescale(ACTIVATIONS[name])
    buffer, before, q = np.zeros(32), start(), start()
    for _ in range(30):
        change = discrete.charge_change(rule, symmetry, split(buffer), split(before), split(q))
        charge = discrete.noether_charge(symmetry, split(buffer), split(before))
        buffer = 0.9 * buffer + gradient(name, q)
        assert discrete.noether_charge(symmetry, split(buffer), split(q)) == pytest.approx(charge + change, abs=1e-13)
        before, q = q, q - 0.1 * buffer
    assert abs(discrete.noether_charge(symmetry, split(buffer), split(before))) > 1e-4


CLOSED = {  # E[Phi] and Var[Phi] of a normal variable with variance s
    "linear": lambda s: (s / 2, s**2 / 2),
    "tanh": lambda s: ((np.exp(2 * s) - 1) / 4, ((1 + np.exp(8 * s)) / 2 - np.exp(4 * s)) / 16),
    "sigmoid": lambda s: (np.exp(s / 2), s + np.exp(2 * s) - np.exp(s) + 2 * s * np.exp(s / 2)),
}


@pytest.mark.parametrize("name", CLOSED)
def test_law_moments_of_random_starts(name):
    inputs, units, outputs = 10, 50, 5
    mean, deviation = activation_charges.starting_moments(ACTIVATIONS[name], inputs, units, outputs)
    expected, variance = CLOSED[name](1 / inputs)
    assert mean == pytest.approx(outputs / 2 - inputs * units * expected, rel=1e-10)
    assert deviation**2 == pytest.approx(outputs / (2 * units) + inputs * units * variance, rel=1e-10)


def test_law_moments_of_linear_starts_are_those_of_the_paper():
    for outputs, units, inputs in ((100, 100, 100), (100, 200, 80), (200, 100, 50)):
        mean, deviation = activation_charges.starting_moments(ACTIVATIONS["linear"], inputs, units, outputs)
        assert 2 * mean == pytest.approx(outputs - units)
        assert 2 * deviation == pytest.approx(np.sqrt(2 * outputs / units + 2 * units / inputs))
