"""The exact discrete law: proved in sympy, then met to rounding by every rule under every symmetry."""

import numpy as np
import pytest
import sympy as sp

from nld.learning_rules import rules
from nld.theory import discrete
from tests.cases import CURVED, SYMMETRIES

RULES = {
    "gradient descent": rules.gradient_descent(0.1, 0.05),
    "heavy ball": rules.heavy_ball(0.1, 0.9, 0.05),
    "Nesterov": rules.nesterov(0.1, 0.8, 0.05),
    "RMSProp": rules.rmsprop(0.02, 0.9, 0.05),
    "Adam": rules.adam(0.02, 0.9, 0.99, 0.05),
    "AdamW": rules.adam(0.02, 0.9, 0.99, 0.05, decoupled=True),
}


def inner(a, b):
    return sum(np.vdot(x, y) for x, y in zip(a, b, strict=True))


def mini_batches(family, seed):
    """A random gradient orthogonal to the generator at every call: any mini-batch of any invariant loss."""
    rng = np.random.default_rng(seed)

    def gradient(q):
        along, g = np.array(family.generator(q)), rng.normal(size=q.shape)
        for _ in range(2):  # twice is enough for orthogonality to rounding
            g = g - along * (np.vdot(along, g) / np.vdot(along, along))
        return g

    return gradient


@pytest.mark.parametrize("rule_name", RULES)
@pytest.mark.parametrize("name", SYMMETRIES)
def test_law_exact_for_every_rule_symmetry_and_mini_batch(name, rule_name):
    family, size, _ = SYMMETRIES[name]
    rule, sample = RULES[rule_name], mini_batches(family, 1)
    q, state = np.random.default_rng(0).normal(size=(size, 3)), ()
    buffer, before, charge = np.zeros_like(q), q, 0.0
    worst = largest = 0.0
    coupled = 0 if rule.decoupled else rule.weight_decay
    for _ in range(60):
        g = sample(q)
        predicted = discrete.next_charge(
            rule,
            charge,
            discrete.kinetic_symmetry_breaking(family, buffer, before, q),
            discrete.potential_breaking(rule, family, q),
        )
        # the buffer by its definition, not from the rule's state
        buffer = rule.momentum * buffer + rule.gradient_weight * (g + coupled * q)
        charge = inner(buffer, family.generator(q))
        assert discrete.noether_charge(family, buffer, q) == pytest.approx(charge, abs=1e-14)
        before = q
        q, state = rule.step(q, state, lambda _, g=g: g)
        worst, largest = max(worst, abs(predicted - charge)), max(largest, abs(charge))
    assert worst < 1e-13
    # Nothing to predict where nothing breaks the symmetry: no metric, no linear part, no coupled decay.
    if rule.momentum:
        unbroken = {("rotation", "heavy ball"), ("translation", "AdamW")}
        assert (largest < 1e-12) == ((name, rule_name) in unbroken)


def worst_of_the_law(name, rule_name, change, share=0.0):
    """The largest deviation of ``change`` from the charge's own definition, over a run, and the largest charge.

    ``share`` of every gradient lies along the generator: the loss then does not have the symmetry.
    """
    family, size, _ = (SYMMETRIES | CURVED)[name]
    rule, sample = RULES[rule_name], mini_batches(family, 3)
    q, state = np.random.default_rng(4).uniform(0.2, 0.8, size=(size, 3)), ()
    buffer, before, charge, worst, largest = np.zeros_like(q), q, 0.0, 0.0, 0.0
    coupled = 0 if rule.decoupled else rule.weight_decay
    for _ in range(40):
        along = np.array(family.generator(q))
        g = sample(q) / 5 + share * along  # small, so that no point runs away along its curve
        predicted = charge + change(rule, family, buffer, before, q, np.vdot(g, along))
        buffer = rule.momentum * buffer + rule.gradient_weight * (g + coupled * q)
        charge = np.vdot(buffer, along)
        before = q
        q, state = rule.step(q, state, lambda _, g=g: g)
        worst, largest = max(worst, abs(predicted - charge)), max(largest, abs(charge))
    return worst, largest


@pytest.mark.parametrize("rule_name", RULES)
@pytest.mark.parametrize("name", SYMMETRIES | CURVED)
def test_law_of_any_smooth_generator_with_and_without_the_symmetry(name, rule_name):
    for share in (0.0, 0.3):
        worst, largest = worst_of_the_law(name, rule_name, discrete.charge_change, share)
        assert worst < 1e-12 * max(1.0, largest)
    assert largest > 1e-3


PLANTED = {
    "the violation forgotten": lambda *terms: discrete.charge_change(*terms[:-1]),
    "the generator before the step": lambda rule, family, buffer, before, q, violation: discrete.charge_change(
        rule, family, buffer, before, before, violation
    ),
    "its linear part instead of its change": lambda rule, family, buffer, before, q, violation: (
        discrete.charge_change(rule, family, buffer, before, q, violation)
        - rule.momentum * discrete.kinetic_symmetry_breaking(family, buffer, before, q)
        + rule.momentum * sum(np.vdot(b, a) for b, a in zip(buffer, family.linear_part(q - before), strict=True))
    ),
}


@pytest.mark.parametrize("error", PLANTED)
@pytest.mark.parametrize("name", CURVED)
def test_a_planted_error_in_the_law_is_noticed(name, error):
    assert worst_of_the_law(name, "heavy ball", PLANTED[error], share=0.3)[0] > 1e-3


@pytest.mark.parametrize("rule_name", ["heavy ball", "Nesterov", "Adam"])
def test_law_a_rotation_charge_stays_zero_only_if_the_step_is_along_the_buffer(rule_name):
    family, size, _ = SYMMETRIES["rotation"]
    rule, sample = RULES[rule_name], mini_batches(family, 2)
    q, state, buffer = np.random.default_rng(0).normal(size=(size, 3)), (), 0
    charges = []
    for _ in range(60):
        g = sample(q)
        buffer = rule.momentum * buffer + rule.gradient_weight * (g + rule.weight_decay * q)
        charges.append(abs(inner(buffer, family.generator(q))))
        q, state = rule.step(q, state, lambda _, g=g: g)
    assert (max(charges) < 1e-13) == (rule_name == "heavy ball")


def test_law_proved_for_any_affine_generator_and_any_step():
    beta, c, k = sp.symbols("beta c k")
    m11, m12, m21, m22, a1, a2 = sp.symbols("m11 m12 m21 m22 a1 a2")
    matrix, shift = sp.Matrix([[m11, m12], [m21, m22]]), sp.Matrix([a1, a2])
    before, buffer, step = (sp.Matrix(sp.symbols(f"{name}1:3")) for name in ("x", "pi", "d"))
    along_before, along = matrix * before + shift, matrix * (before + step) + shift
    g2 = sp.Symbol("g2")
    g = sp.Matrix([-g2 * along[1] / along[0], g2])  # <g, A(q)> = 0
    new = beta * buffer + c * (g + k * (before + step))
    exact = beta * (buffer.dot(along_before) + buffer.dot(matrix * step)) + c * k * (before + step).dot(along)
    assert sp.simplify(new.dot(along) - exact) == 0


@pytest.mark.parametrize("signs", [(1, 1), (1, -1)])
def test_law_quadratic_charge_proved_from_the_rule_itself(signs):
    """Two steps of heavy ball with symbols: C_{n+1} - C_n = beta (C_n - C_{n-1}) - 2 eta k C_n + d'Ad + beta d'Ad."""
    eta, beta, k, g0, g1 = sp.symbols("eta beta k g0 g1")
    rule = rules.heavy_ball(eta, beta, k)
    q0, buffer = sp.symbols("x1:3"), sp.symbols("b1:3")

    def orthogonal(q, free):
        return -free * signs[1] * q[1] / (signs[0] * q[0]), free

    def advance(q, state, g):
        both = [rule.step(x, (b,), lambda _, force=force: force) for x, b, force in zip(q, state, g, strict=True)]
        return [x for x, _ in both], [b for _, (b,) in both]

    def charge(q):
        return sum(s * x * x for s, x in zip(signs, q, strict=True))

    q1, state = advance(q0, buffer, orthogonal(q0, g0))
    q2, _ = advance(q1, state, orthogonal(q1, g1))
    d1 = [b - a for a, b in zip(q0, q1, strict=True)]
    d2 = [b - a for a, b in zip(q1, q2, strict=True)]
    left = charge(q2) - charge(q1)
    right = beta * (charge(q1) - charge(q0)) - 2 * eta * k * charge(q1) + charge(d2) + beta * charge(d1)
    assert sp.simplify(left - right) == 0


@pytest.mark.parametrize("rule_name", ["gradient descent", "heavy ball"])
def test_law_norms_and_balances_from_step_lengths(rule_name):
    rule = RULES[rule_name]
    for name, signs, predict in (
        ("scale", (1, 1, 1), discrete.predict_squared_norm_from_steps),
        ("rescale", (1, 1, -1), discrete.predict_quadratic_charge_from_steps),
    ):
        family, size, _ = SYMMETRIES[name]
        start = np.random.default_rng(5).normal(size=(size, 3))
        path = rules.iterate(rule, mini_batches(family, 6), start, 300).position
        measured = np.einsum("npf,p->n", path**2, signs)
        steps = np.einsum("npf,p->n", np.diff(path, axis=0) ** 2, signs)
        predicted = predict(rule, steps, measured[0])
        np.testing.assert_allclose(predicted.value, measured, rtol=1e-11, atol=1e-11)


def test_errors_of_the_discrete_law():
    with pytest.raises(ValueError, match="expected finite squared steps"):
        discrete.predict_squared_norm_from_steps(RULES["heavy ball"], [1.0, -1.0], 1.0)
    with pytest.raises(ValueError, match="got Adam"):
        discrete.predict_squared_norm_from_steps(RULES["Adam"], [1.0], 1.0)
