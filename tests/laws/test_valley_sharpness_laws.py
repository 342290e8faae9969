"""The charge decides which minimum of a valley a flow ends in, and how sharp it is there."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from nld.errors import InvalidInput
from nld.theory import valley_sharpness
from nld.theory.activation_charges import ACTIVATIONS, unit_charges

SIGMA = {"linear": lambda v: v, "tanh": np.tanh, "sigmoid": lambda v: 1 / (1 + np.exp(-v))}


@pytest.mark.parametrize("charge", [-2.0, -0.3, 0.0, 1.0, 4.0])
def test_law_the_linear_valley_is_a_hyperbola(charge):
    found = valley_sharpness.predict_sharpness(ACTIVATIONS["linear"], charge, 0.7)
    assert found == pytest.approx(np.sqrt(4 * charge**2 + 4 * 0.7**2), rel=1e-12)


@pytest.mark.parametrize("name", [*SIGMA, "leaky ReLU"])
@pytest.mark.parametrize("charge", [-1.0, 0.2, 1.5])
def test_law_the_minimum_has_the_charge_and_the_target(name, charge):
    u, v = valley_sharpness.predict_minimum(ACTIVATIONS[name], charge, 0.6)
    assert u * float(ACTIVATIONS[name].arrays["sigma"](np.array(v))) == pytest.approx(0.6, rel=1e-12)
    assert unit_charges(ACTIVATIONS[name], np.array([[u]]), np.array([[v]]))[0] == pytest.approx(charge, abs=1e-10)


@pytest.mark.parametrize("name", SIGMA)
def test_law_gradient_flow_ends_as_sharp_as_its_start_foretells(name):
    target, sigma, step = 0.6, SIGMA[name], 1e-4

    def loss(q):
        return (target - q[0] * sigma(q[1])) ** 2 / 2

    def gradient(q):
        return np.array([(loss(q + step * e) - loss(q - step * e)) / (2 * step) for e in np.eye(2)])

    start = np.array([1.4, 0.3])
    end = solve_ivp(lambda _, q: -gradient(q), (0, 100), start, rtol=1e-9, atol=1e-11).y[:, -1]
    hessian = np.array([(gradient(end + step * e) - gradient(end - step * e)) / (2 * step) for e in np.eye(2)])
    charge = unit_charges(ACTIVATIONS[name], start[:1, None], start[1:, None])[0]
    found = valley_sharpness.predict_sharpness(ACTIVATIONS[name], charge, target)
    assert found == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-4)


def test_law_refuses_what_has_no_such_minimum():
    with pytest.raises(InvalidInput, match="expected a target > 0"):
        valley_sharpness.predict_minimum(ACTIVATIONS["tanh"], 0.0, -1.0)
    with pytest.raises(InvalidInput, match="ReLU"):
        valley_sharpness.predict_minimum(ACTIVATIONS["ReLU"], 0.0, 1.0)
    with pytest.raises(InvalidInput, match="nearer to 0"):
        valley_sharpness.predict_minimum(ACTIVATIONS["linear"], 1e40, 1.0)
