"""fig-landscape: every step leaves outward, momentum furthest; gradient flow stays on its circle."""

import numpy as np
import pytest

from nld.figures import fig_landscape


def test_fig_landscape_steps_leave_the_circle_outward():
    data = fig_landscape.compute("quick")
    norms = data["squared_norm"]
    assert np.all(norms.diff("step") > -1e-12)
    start, descent, ball = 1.0, *norms.isel(step=-1).values
    assert start < 0.9 * descent < 0.5 * ball
    np.testing.assert_allclose((data["flow"] ** 2).sum("axis"), 1, rtol=1e-8)
    np.testing.assert_allclose(data["predicted_squared_norm"], norms, rtol=1e-12)
    assert np.all(data["loss"].isel(step=-1) < 0.01)


def test_fig_landscape_rules_have_the_same_step_in_the_long_run():
    descent, ball = fig_landscape.rules(0.3, 0.8).values()
    assert ball.momentum == 0.8
    assert ball.learning_rate / ball.friction == pytest.approx(descent.learning_rate)


def test_fig_landscape_gradient_is_that_of_the_loss():
    q = np.random.default_rng(0).normal(size=(20, 2))
    shift = 1e-6 * np.eye(2)
    measured = [(fig_landscape.loss(q + d) - fig_landscape.loss(q - d)) / 2e-6 for d in shift]
    np.testing.assert_allclose(fig_landscape.gradient(q), np.stack(measured, -1), atol=1e-7)
