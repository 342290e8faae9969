"""How steps lengthen what they turn: projected and turned steps, and growth of norms without decay, as AdamP has it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nld.experiment.studies.random_walk import squared_norms
from nld.learning_rules import decoupled, rules
from nld.theory import discrete

heavy_ball, adam = rules.heavy_ball, rules.adam
lion, sgdp, adamp = decoupled.lion, decoupled.sgdp, decoupled.adamp


@given(st.integers(0, 100), st.floats(0, 0.99))
@settings(max_examples=20, deadline=None)
def test_law_a_projected_step_only_lengthens(seed, beta):
    """Without decay |q'|^2 = |q|^2 + |q' - q|^2 for SGDP and AdamP: Pythagoras, whatever the gradient."""
    random = np.random.default_rng(seed)
    for rule in (sgdp(0.3, beta), adamp(0.3, beta)):
        q, state = random.normal(size=(2, 7)), ()
        for _ in range(4):
            moved, state = rule.step(q, state, lambda _: random.normal(size=(2, 7)))
            np.testing.assert_allclose((moved**2).sum(-1), (q**2).sum(-1) + ((moved - q) ** 2).sum(-1), rtol=1e-12)
            q = moved


def test_law_rules_that_differ_in_a_projection_agree_without_it():
    random = np.random.default_rng(0)
    gradients = random.normal(size=(30, 5))
    pairs = (
        (sgdp(0.1, 0.9, 0.2, projected=False), heavy_ball(0.1, 0.9), 1 - 0.1 * 0.2 / 0.1),
        (adamp(0.1, 0.9, 0.99, 0.2, projected=False), adam(0.1, 0.9, 0.99, 0.2, decoupled=True), 1.0),
        (lion(0.1, 0.9, 0.9, 0.2), adam(0.1, 0.9, 0.9, 0.2, decoupled=True), None),
    )
    for rule, plain, shrink in pairs:
        q, state, other, other_state = np.ones(5), (), np.ones(5), ()
        for g in gradients:
            q, state = rule.step(q, state, lambda _, g=g: g)
            before = other
            other, other_state = plain.step(other, other_state, lambda _, g=g: g)
            if shrink is None:  # a sign is the average without its size, where both average alike
                expected = before * 0.98 - 0.1 * np.sign(other_state[1])
                np.testing.assert_allclose(q, expected, rtol=1e-12)
                other = q
            else:
                other = other + (shrink - 1) * before
                np.testing.assert_allclose(q, other, rtol=1e-12)


def test_law_turned_steps_turn_by_the_angle_and_keep_the_norm():
    rule = decoupled.turned(adam(0.1, 0.9, 0.99), 0.02)
    random = np.random.default_rng(1)
    q, state = random.normal(size=(3, 6)), ()
    for n in range(5):
        g = random.normal(size=(3, 6)) * np.array([1, 1, n > 9])[:, None]  # the last unit gets no gradient: it stays
        moved, state = rule.step(q, state, lambda _, g=g: g)
        np.testing.assert_allclose((moved**2).sum(-1), (q**2).sum(-1), rtol=1e-12)
        cosine = (q * moved).sum(-1) / (q**2).sum(-1)
        np.testing.assert_allclose(np.arccos(np.minimum(cosine, 1)), [0.02, 0.02, 0], atol=1e-9)
        q = moved


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_law_norms_grow_as_adamp_says(beta):
    """|q_{n+1}|^2 = |q_n|^2 + |p_n|^2 + 2 sum_k beta^{n-k} |p_k|^2 to 1e-12, and the growth is (1+beta)/(1-beta) |p|^2.

    On noisy Rayleigh quotients, which are scale invariant; the sum is the source's, in a naive form.
    """
    random = np.random.default_rng(0)
    matrix = random.normal(size=(20, 20))
    matrix = matrix @ matrix.T
    rule, q, state = heavy_ball(0.05, beta), random.normal(size=20), ()
    norms, steps = [q @ q], []
    for _ in range(800):
        noise = random.normal(size=20)
        g = 2 * (matrix @ q / (q @ q) - q * (q @ matrix @ q) / (q @ q) ** 2) + (noise - q * (q @ noise) / (q @ q))
        moved, state = rule.step(q, state, lambda _, g=g: g)
        steps.append((moved - q) @ (moved - q))
        q = moved
        norms.append(q @ q)
    tail = [sum(beta ** (n - k) * steps[k] for k in range(n)) for n in range(800)]
    expected = norms[0] + np.cumsum(np.array(steps) + 2 * np.array(tail))
    np.testing.assert_allclose(norms[1:], expected, rtol=1e-12)
    law = discrete.predict_squared_norm_from_steps(rule, np.array(steps), norms[0])
    np.testing.assert_allclose(law.value, norms, rtol=1e-12)
    ratio = (norms[-1] - norms[0]) / sum(steps)
    assert ratio == pytest.approx((1 + beta) / (1 - beta), rel=0.02)


@pytest.mark.parametrize(("beta", "white"), [(0.0, 0.02), (0.5, 0.08), (0.9, 2.0)])
def test_law_white_gradients_lengthen_with_the_fourth_root_of_time(beta, white):
    """Slope of |q|^4 2 eta^2 |g^|^2/(1 - beta)^2, of SGDP 2 eta^2 |g^|^2/(1 - beta^2), exponent of |q| 1/4."""
    steps = int(1500 / math.sqrt(1 - beta))  # the buffer fills first
    for rule, slope in (
        (heavy_ball(0.1, beta), 2 * 0.1**2 / (1 - beta) ** 2),
        (sgdp(0.1, beta), 2 * 0.1**2 / (1 - beta**2)),
    ):
        start = 2.0 if rule.projected else 0.4 / math.sqrt(1 - beta)  # small turns within a memory
        norm = squared_norms(rule, start=start, steps=steps, size=200, units=4).mean(1)
        n, late = np.arange(steps + 1), slice(steps // 3, None)
        assert np.polyfit(n[late], norm[late] ** 2, 1)[0] == pytest.approx(slope, rel=0.02)
        if not rule.projected:
            assert slope == pytest.approx(white)
            assert np.polyfit(np.log(n[late]), np.log(norm[late]) / 2, 1)[0] == pytest.approx(0.25, abs=0.01)
