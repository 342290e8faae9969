"""Rotational equilibrium: every rule's norm and angle against walks of random gradients, and AdamP's growth of norms.

The numbers beside the slow tests are those at which the sources' formulas are known to hold or to fail.
"""

import math

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from nld.experiment.studies.random_walk import squared_norms, walk
from nld.learning_rules import decoupled, rules, spectral
from nld.theory import discrete, equilibrium
from nld.theory.rotation import rotational_equilibrium
from nld.theory.spectral_laws import polar_correlation

SIZE = 1000
heavy_ball, adam = rules.heavy_ball, rules.adam
lion, sgdp, adamp = decoupled.lion, decoupled.sgdp, decoupled.adamp


def adamw(rate, beta, decay, memory=0.99):
    return adam(rate, beta, memory, decay, 0, decoupled=True)


# Rule, squared gradient: fast to settle.
QUICK = {
    "gradient descent": (rules.gradient_descent(0.1, 0.05), 2.0),
    "heavy ball": (heavy_ball(0.1, 0.9, 0.01), 1.0),
    "AdamW": (adamw(0.01, 0.9, 0.5), 1.0),
    "Adam": (adam(0.02, 0.9, 0.99, 0.01, 0), 16.0),
    "Lion": (lion(0.01, 0.9, 0.95, 0.4), 1.0),
    "Lion, one average": (lion(0.01, 0.8, 0.8, 0.4), 1.0),
    "SGDP": (sgdp(0.1, 0.9, 0.05), 1.0),
    "AdamP": (adamp(0.01, 0.8, 0.99, 3.0, 0), 1.0),
}


def settled(rule, squared_gradient, steps, settle, **options):
    start = 1.1 * math.sqrt(equilibrium.squared_norm(rule, squared_gradient, options.get("size", SIZE)))
    return walk(rule, start=start, steps=steps, settle=settle, squared_gradient=squared_gradient, **options)


@pytest.mark.parametrize("name", QUICK)
def test_law_all_orders_hold_where_steps_are_large(name):
    """Decay within a memory of up to 13 %, turns within it of up to 0.3 rad; the averaged square fluctuates by 1 %."""
    rule, squared_gradient = QUICK[name]
    found = settled(rule, squared_gradient, 1400, 700, units=3, size=400)
    law = rotational_equilibrium(rule, squared_gradient, 400)
    assert math.sqrt(found.squared_norm) == pytest.approx(math.sqrt(law.squared_norm), rel=0.012)
    assert found.angular_step == pytest.approx(law.angular_step, rel=0.012)


def polar(matrix):
    u, _, v = np.linalg.svd(matrix, full_matrices=False)
    return u @ v


@pytest.mark.parametrize("lookahead", [False, True])
def test_law_muon_settles_where_correlated_polar_factors_say(lookahead):
    """Heads of four rows of a square matrix, each with a scale of its own; n = 24 is 1 % short of a large matrix."""
    rows, width, heads = 4, 24, 6
    rule = spectral.muon(0.01, 0.9, 1.0, orthogonalized=polar, lookahead=lookahead)
    law = rotational_equilibrium(rule, size=rows)
    random = np.random.default_rng(0)
    q = random.normal(size=(3, heads, rows, width)) * math.sqrt(law.squared_norm / rows / width)
    state, norms, angles = (), [], []
    for step in range(900):
        square = (q * q).sum((-1, -2), keepdims=True)
        noise = random.normal(size=q.shape)
        noise = (noise - q * (q * noise).sum((-1, -2), keepdims=True) / square) / np.sqrt(square)
        whole = noise.reshape(3, heads * rows, width)
        moved, state = rule.step(q.reshape(whole.shape), state, lambda _, whole=whole: whole)
        moved = moved.reshape(q.shape)
        if step >= 300:
            cosine = (q * moved).sum((-1, -2)) / np.sqrt(square[..., 0, 0] * (moved * moved).sum((-1, -2)))
            norms.append(square)
            angles.append(np.arccos(cosine) ** 2)
        q = moved
    assert np.mean(norms) == pytest.approx(law.squared_norm, rel=0.03)
    assert np.sqrt(np.mean(angles)) == pytest.approx(law.angular_step, rel=0.02)
    # Forgetting the charge, or taking correlations of polar factors for those of momenta, misses by far more.
    assert law.memory > 8
    assert law.memory < 0.9 * 2 / (1 - 0.9 * (1 - 0.01))


@pytest.mark.parametrize("r", [0.3, 0.9])
def test_law_polar_factors_of_correlated_matrices(r):
    random = np.random.default_rng(0)
    first, other = random.normal(size=(2, 200, 24, 24))
    measured = (polar(first) * polar(r * first + math.sqrt(1 - r * r) * other)).sum((-1, -2)).mean() / 24
    short = float(polar_correlation(np.array(r))) - measured
    assert -0.002 < short < 0.5 / 24  # 0.002: four standard errors of 200 pairs
    assert float(polar_correlation(np.array(1 - 1e-9))) == pytest.approx(1, abs=2e-3)
    assert float(polar_correlation(np.array(1e-6))) == pytest.approx(1e-6 * (8 / (3 * math.pi)) ** 2, rel=1e-6)


LIMITS = {
    "heavy ball": lambda k: heavy_ball(0.1, 0.9, k),
    "AdamW": lambda k: adamw(0.1, 0.9, k),
    "Adam": lambda k: adam(0.1, 0.9, 0.99, k, 0),
    "SGDP": lambda k: sgdp(0.1, 0.9, k),
    "AdamP": lambda k: adamp(0.1, 0.9, 0.99, k, 0),
}


@given(st.sampled_from(sorted(LIMITS)), st.floats(1e-9, 1e-7), st.floats(0.1, 10), st.integers(10, 10_000))
@settings(max_examples=60, deadline=None)
def test_law_small_decay_gives_the_closed_forms(name, decay, squared_gradient, size):
    rule = LIMITS[name](decay)
    law = rotational_equilibrium(rule, squared_gradient, size)
    assert law.squared_norm == pytest.approx(equilibrium.squared_norm(rule, squared_gradient, size), rel=1e-3)
    assert law.angular_step == pytest.approx(equilibrium.angular_step(rule, squared_gradient, size), rel=1e-3)


def test_law_signs_of_long_memories_add_up_as_the_source_says():
    """arcsin r ~ r needs small correlations and the first term of the sum, 1 and not 2/pi, to be one of many."""

    def ratio(memory):
        rule = lion(1e-6, memory, memory, 1e-3)
        return rotational_equilibrium(rule, size=SIZE).squared_norm / equilibrium.squared_norm(rule, size=SIZE)

    # One average over all gradients has large correlations: int arcsin(e^-x) dx = (pi/2) log 2.
    assert ratio(0.999) == pytest.approx(math.pi / 2 * math.log(2), rel=2e-3)
    assert ratio(0.0) == pytest.approx(math.pi / 2, rel=1e-6)


@given(st.floats(0, 0.95), st.floats(1e-4, 0.02), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_law_memory_is_the_discounted_sum_of_correlations(beta, decay, seed):
    """Oracle: q and u as explicit sums over white noise, R/(eta^2 U) from their weights, for any averaging rule."""
    rule = adamw(0.5, beta, decay / 0.5)
    horizon = int(30 / decay)
    weights = beta ** np.arange(horizon)
    position = np.zeros(horizon)  # weight of the noise j steps ago in q
    for j in range(1, horizon):
        position[j] = (1 - decay) * position[j - 1] + weights[j - 1]
    found = (position**2).sum() / (weights**2).sum() * (2 * decay - decay**2)
    assert rotational_equilibrium(rule, size=SIZE).memory == pytest.approx(found, rel=1e-6)


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


def test_law_heavy_ball_s_norm_solves_the_moments_of_the_exact_law():
    """Symbols: the three stationary moments R, C and P of the update, with gradients orthogonal to q and white."""
    eta, k, beta, square, R = sp.symbols("eta k beta square R", positive=True)
    P = 2 * eta * k * R / (1 + beta)
    inner = P / 2  # <p_n, q_n> = C + P with C = -P/2
    balance = (1 - beta**2) * P - eta**2 * square / R - (eta * k) ** 2 * R + 2 * eta * k * beta * inner
    law = sp.sqrt(eta * square / (k * (1 - beta) * (2 - eta * k / (1 + beta))))
    assert sp.simplify(balance.subs(R, law)) == 0
    rule = heavy_ball(0.1, 0.9, 0.05)
    value = float(law.subs({eta: 0.1, beta: 0.9, k: 0.05, square: 3}))
    found = rotational_equilibrium(rule, 3.0)
    assert found.squared_norm == pytest.approx(value, rel=1e-12)
    assert found.memory == pytest.approx(1 + 2 * (0.9 ** np.arange(1, 400)).sum(), rel=1e-12)


@given(st.floats(0, 0.95), st.floats(0.05, 20), st.floats(0.001, 3), st.integers(2, 1000))
@settings(max_examples=40, deadline=None)
def test_law_adam_with_a_settled_denominator_is_heavy_ball(beta, squared_gradient, decay, size):
    """Divided by a constant sigma, Adam's average is heavy ball's buffer at the rate eta (1 - beta)/sigma."""
    law = rotational_equilibrium(adam(0.02, beta, 0.999, decay, 0), squared_gradient, size)
    sigma = math.sqrt((squared_gradient / law.squared_norm + decay**2 * law.squared_norm) / size)
    same = rotational_equilibrium(heavy_ball(0.02 * (1 - beta) / sigma, beta, decay), squared_gradient)
    assert law.squared_norm == pytest.approx(same.squared_norm, rel=1e-9)
    assert law.angular_step == pytest.approx(same.angular_step, rel=1e-9)
    assert law.memory == pytest.approx(same.memory, rel=1e-12)


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


# Rule, squared gradient, steps, settle, norm and angle as predicted by the sources.
ACCEPTED = {
    "heavy ball 0": (heavy_ball(0.1, 0.0, 5e-3), 1.0, 6000, 4000, 1.7783, 0.031623, 0.01),
    "heavy ball 0.5": (heavy_ball(0.1, 0.5, 5e-3), 1.0, 4000, 2000, 2.1147, 0.025820, 0.01),
    "heavy ball 0.9": (heavy_ball(0.1, 0.9, 5e-3), 1.0, 4000, 2000, 3.1623, 0.022942, 0.01),
    "AdamW 0": (adamw(0.01, 0.0, 0.1, 0.999), 1.0, 14_000, 9000, 7.071, 0.04472, 0.01),
    "AdamW 0.9": (adamw(0.01, 0.9, 0.1, 0.999), 1.0, 14_000, 9000, 7.071, 0.010260, 0.01),
    "Adam 1": (adam(0.02, 0.9, 0.999, 0.002, 0), 1.0, 10_000, 7000, 5.407, 0.02683, 0.01),
    "Adam 4": (adam(0.02, 0.9, 0.999, 0.002, 0), 16.0, 10_000, 7000, 8.584, 0.01690, 0.01),
    "Lion": (lion(0.003, 0.9, 0.99, 0.3), 1.0, 8000, 4000, 15.04, 0.00631, 0.05),
    "SGDP 0": (sgdp(0.1, 0.0, 5e-3), 1.0, 24_000, 20_000, 3.162, 0.010000, 0.01),
    "SGDP 0.9": (sgdp(0.1, 0.9, 5e-3), 1.0, 6000, 3000, 2.693, 0.031623, 0.025),
    "AdamP 0": (adamp(0.01, 0.0, 0.999, 0.1, 0), 1.0, 34_000, 28_000, 22.361, 0.014142, 0.01),
    "AdamP 0.9": (adamp(0.01, 0.9, 0.999, 0.1, 0), 1.0, 34_000, 28_000, 5.130, 0.014142, 0.01),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ACCEPTED)
def test_law_the_sources_settings(name):
    """The sources' closed forms at their own settings; what they miss of Lion's and SGDP's, all orders have."""
    rule, squared_gradient, steps, settle, norm, angle, tolerance = ACCEPTED[name]
    size = 2000 if name == "AdamP 0" else SIZE
    if name == "AdamP 0":
        norm *= math.sqrt(size / SIZE)
    closed = math.sqrt(equilibrium.squared_norm(rule, squared_gradient, size))
    assert closed == pytest.approx(norm, rel=1e-3)
    assert equilibrium.angular_step(rule, squared_gradient, size) == pytest.approx(angle, rel=1e-3)
    found = settled(rule, squared_gradient, steps, settle, units=4, size=size)
    law = rotational_equilibrium(rule, squared_gradient, size)
    print(f"{name}: norm {math.sqrt(found.squared_norm):.4f}/{closed:.4f}, angle {found.angular_step:.6f}/{angle}")
    assert math.sqrt(found.squared_norm) == pytest.approx(closed, rel=tolerance)
    assert found.angular_step == pytest.approx(angle, rel=tolerance)
    assert math.sqrt(found.squared_norm) == pytest.approx(math.sqrt(law.squared_norm), rel=0.005)
    assert found.angular_step == pytest.approx(law.angular_step, rel=0.005)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rotational_equilibrium(heavy_ball(0.1), 1.0), "expected weight_decay > 0, got 0"),
        (lambda: rotational_equilibrium(lion(0.1, weight_decay=1.0)), "expected size for the equilibrium of Lion"),
        (lambda: rotational_equilibrium(rules.nesterov(0.1, 0.9, 0.1), 1.0), "got Nesterov: its equilibrium"),
        (lambda: equilibrium.angular_step(rules.nesterov(0.1, 0.9, 0.1), 1.0), "got Nesterov"),
        (lambda: walk(heavy_ball(0.1), start=1.0, steps=5, settle=5), "expected 0 <= settle < steps, got 5 and 5"),
    ],
)
def test_errors_of_rotational_equilibrium(make, message):
    with pytest.raises(ValueError, match=message):
        make()
