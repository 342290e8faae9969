"""Laws of a learning rule's discrete update, over the table of all of them."""

import numpy as np
import pytest
import torch

from nld.errors import InvalidInput
from nld.learning_rules import adamp, lion, muon, potentials, rules, sgdp, turned
from tests.cases import MODELLED_RULES, POTENTIALS

TORCH = {
    "gradient descent": (rules.gradient_descent(0.1, 0.02), torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.02}),
    "heavy ball": (
        rules.heavy_ball(0.1, 0.9, 0.02),
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.02},
    ),
    "Nesterov": (
        rules.nesterov(0.1, 0.9, 0.02),
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.02, "nesterov": True},
    ),
    "RMSProp": (rules.rmsprop(0.05, 0.9, 0.02), torch.optim.RMSprop, {"lr": 0.05, "alpha": 0.9, "weight_decay": 0.02}),
    "Adam": (
        rules.adam(0.05, 0.8, 0.95, 0.02),
        torch.optim.Adam,
        {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.02},
    ),
    "AdamW": (
        rules.adam(0.05, 0.8, 0.95, 0.02, decoupled=True),
        torch.optim.AdamW,
        {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.02},
    ),
}


def gradient(q):
    x, y = q[..., 0], q[..., 1]
    return np.stack([np.cos(x) * y + x, np.sin(x) + 4 * y**3], -1)


@pytest.mark.parametrize("name", TORCH)
def test_law_the_update_is_the_one_that_networks_run(name):
    rule, optimizer_class, arguments = TORCH[name]
    q = torch.tensor([0.7, -0.4], dtype=torch.float64, requires_grad=True)
    optimizer = optimizer_class([q], **arguments)
    expected = []
    for _ in range(30):
        optimizer.zero_grad()
        (torch.sin(q[0]) * q[1] + q[0] ** 2 / 2 + q[1] ** 4).backward()
        optimizer.step()
        expected.append(q.detach().numpy().copy())
    actual = rules.iterate(rule, gradient, [0.7, -0.4], 30).position[1:]
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", MODELLED_RULES)
def test_law_batched_over_leading_axes(name):
    rule = MODELLED_RULES[name](0.05)
    start = np.random.default_rng(0).uniform(0.5, 1.5, size=(3, 2, 2))
    batched = rules.iterate(rule, gradient, start, 6).position
    for i, j in np.ndindex(3, 2):
        alone = rules.iterate(rule, gradient, start[i, j], 6).position
        np.testing.assert_allclose(batched[:, i, j], alone, rtol=1e-14)


@pytest.mark.parametrize("name", POTENTIALS)
def test_law_potential_maps_belong_together(name):
    h = POTENTIALS[name]
    rng = np.random.default_rng(1)
    q, v = rng.uniform(0.5, 1.5, (5, 2)), rng.normal(size=(5, 2))
    np.testing.assert_allclose(h.inverse(h.gradient(q)), q, rtol=1e-13)
    step = 1e-6
    slope = (h.value(q + step * v) - h.value(q - step * v)) / (2 * step)
    np.testing.assert_allclose(slope, (h.gradient(q) * v).sum(-1), rtol=1e-7, atol=1e-8)
    curvature = (h.gradient(q + step * v) - h.gradient(q - step * v)) / (2 * step)
    np.testing.assert_allclose(h.inverse_metric(q, curvature), v, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["entropy", "1.5-norm", "quadratic form"])
def test_law_mirror_and_natural_gradient_agree_to_first_order(name):
    def difference(learning_rate):
        q = np.array([0.7, 1.2])
        mirror, _ = rules.mirror(learning_rate, POTENTIALS[name]).step(q, (), gradient)
        natural, _ = rules.natural_gradient(learning_rate, POTENTIALS[name]).step(q, (), gradient)
        return np.abs(mirror - natural).max()

    if name == "quadratic form":  # a constant metric: the two are the same rule
        assert difference(0.1) < 1e-15
    else:
        assert difference(1e-3) / difference(5e-4) == pytest.approx(4, rel=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rules.gradient_descent(-0.1), "expected learning_rate to be a finite number > 0, got -0.1"),
        (lambda: rules.heavy_ball(0.1, 1.0), r"expected momentum to be a number in \[0, 1\), got 1.0"),
        (lambda: rules.heavy_ball(float("nan")), "expected learning_rate"),
        (lambda: rules.heavy_ball(0.1, 0.9, -1), "expected weight_decay"),
        (lambda: rules.adam(0.1, square_decay=1.5), "expected square_decay"),
        (lambda: potentials.p_norm(1), "expected p > 1, got 1"),
        (lambda: potentials.quadratic_form(np.array([[1.0, 2], [2, 1]])), "positive definite"),
        (
            lambda: rules.iterate(rules.heavy_ball(0.1), lambda q: np.ones((2, 2)), [1.0, 2.0], 1),
            "expected a gradient of",
        ),
    ],
)
def test_errors_say_what_was_expected_and_got(make, message):
    with pytest.raises(ValueError, match=message):
        make()


EVERY_KIND = [
    *(rule for rule, _, _ in TORCH.values()),
    lion(0.05, 0.8, 0.95, 0.02),
    muon(0.05, 0.9, 0.02),
    sgdp(0.05, 0.9, 0.02),
    adamp(0.05, 0.8, 0.95, 0.02),
    turned(rules.heavy_ball(0.1), 0.1),
    rules.k_adam(0.05, [0.8, 0.9], [0.9, 0.95]),
    rules.mirror(0.01, potentials.entropy),
    rules.natural_gradient(0.01, potentials.entropy),
    rules.natural_gradient(0.01, potentials.euclidean),
]


@pytest.mark.parametrize("rule", EVERY_KIND, ids=lambda rule: f"{rule.name} {rule.potential.name}")
def test_only_rules_that_superpose_and_do_not_look_ahead_are_taken_as_linear(rule):
    """The path of a sum of starts and gradients is the sum of the paths."""
    rng = np.random.default_rng(0)
    starts, gradients = 1 + rng.random((2, 3, 2)), rng.normal(size=(2, 4, 3, 2))

    def end(start, series):
        q, state = start, ()
        for g in series:
            q, state = rule.step(q, state, lambda _, g=g: g)
        return q

    parts = [end(start, series) for start, series in zip(starts, gradients, strict=True)]
    superposes = np.allclose(end(starts.sum(0), gradients.sum(0)), sum(parts), rtol=1e-9)
    if superposes and not rule.lookahead:
        rule.require_linear("this must not be raised")
    else:
        with pytest.raises(InvalidInput, match=f"heavy ball, got {rule.name}; do that"):
            rule.require_linear("do that")
