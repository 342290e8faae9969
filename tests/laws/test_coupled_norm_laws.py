"""The norm of a scale-invariant weight under decay inside an adaptive gradient, far from where networks are."""

import numpy as np
import pytest

from nld.learning_rules.rules import adam
from nld.theory.rotation import _coupled_squared_norm


@pytest.mark.parametrize(("size", "squared_gradient"), [(50.0, 3.0), (3.0, 50.0)])
@pytest.mark.parametrize("weight_decay", [1e-2, 1e-6, 1e-12, 1e-20])
def test_law_the_norm_under_coupled_decay_is_a_root_for_any_decay(weight_decay, size, squared_gradient):
    """R = |q|² solves 2 δ R (1 + β δ/(1 + β)) = η² C, δ = η k/σ, also where it is many powers of ten large."""
    eta, beta = 1e-2, 0.9
    norm = _coupled_squared_norm(adam(eta, beta, 0.99, weight_decay), squared_gradient, size)
    sigma = np.sqrt((squared_gradient / norm + weight_decay**2 * norm) / size)
    delta = eta * weight_decay / sigma
    assert 2 * delta * norm * (1 + beta * delta / (1 + beta)) == pytest.approx(eta**2 * size, rel=1e-8)
