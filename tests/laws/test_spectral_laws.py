"""Muon as a rule, and the charges of a product of two matrices under it."""

import numpy as np
import pytest
import torch

from nld.learning_rules import rules, spectral
from nld.symmetry import linear
from nld.theory import discrete, spectral_laws

RANDOM = np.random.default_rng(0)
COEFFICIENTS, ITERATIONS = spectral.COEFFICIENTS, spectral.ITERATIONS


def polar(matrix):
    u, _, v = np.linalg.svd(matrix, full_matrices=False)
    return u @ v


def response(s):
    return spectral_laws.newton_schulz_response(s, COEFFICIENTS, ITERATIONS)


DIRECTIONS = {
    "polar factor": (polar, spectral_laws.polar_response),
    "Newton-Schulz": (spectral.newton_schulz, response),
}


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5), (3, 4, 6)])
def test_law_newton_and_schulz_act_on_singular_values_alone(shape):
    x = RANDOM.normal(size=shape)
    u, s, v = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(spectral.newton_schulz(x), (u * response(s)[..., None, :]) @ v, atol=1e-12)


def test_law_newton_and_schulz_end_where_their_documentation_says():
    s = np.geomspace(0.002, 1, 4000)
    rest = np.sqrt(1 - s**2)  # so that the root of the sum of squares is one
    ends = response(np.stack([s, rest], -1))[..., 0]
    assert 0.68 < ends.min() < 0.69
    assert 1.2 < ends.max() < 1.21


def test_law_newton_and_schulz_are_those_of_pytorch_but_for_its_half_precision():
    from torch.optim._muon import _zeropower_via_newtonschulz

    x = torch.randn(12, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    theirs = _zeropower_via_newtonschulz(x, COEFFICIENTS, ITERATIONS, 1e-7).double()
    error = (spectral.newton_schulz(x) - theirs).norm() / theirs.norm()
    assert 1e-4 < error < 2e-2


@pytest.mark.parametrize("lookahead", [False, True])
def test_law_muon_steps_as_pytorch_does(lookahead):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(6, 6, dtype=torch.float64, generator=generator)
    gradients = torch.randn(8, 6, 6, dtype=torch.float64, generator=generator)
    q = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.Muon([q], lr=0.02, weight_decay=0.3, momentum=0.9, nesterov=lookahead)
    rule = spectral.muon(0.02, 0.9, 0.3, lookahead=lookahead)
    point, state = start, ()
    for gradient in gradients:
        q.grad = gradient
        optimizer.step()
        point, state = rule.step(point, state, lambda _, gradient=gradient: gradient)
    assert (point - q.detach()).norm() < 1e-2 * (point - start).norm()
    torch.testing.assert_close(state[0], optimizer.state[q]["momentum_buffer"], rtol=1e-12, atol=1e-12)


def orthogonal(size):
    return np.linalg.qr(RANDOM.normal(size=(size, size)))[0]


def signed_permutation(size):
    return np.diag(RANDOM.choice([-1.0, 1.0], size))[RANDOM.permutation(size)]


MUON = spectral.muon(0.05, 0.9, 0.1)
EXACT = spectral.muon(0.05, 0.9, 0.1, polar)
AHEAD = spectral.muon(0.05, 0.9, 0.1, lookahead=True)
EQUIVARIANCE = [
    (MUON, orthogonal, True), (EXACT, orthogonal, True), (AHEAD, orthogonal, True),
    (rules.heavy_ball(0.05, 0.9, 0.1), orthogonal, True), (rules.adam(0.05, epsilon=1e-12), orthogonal, False),
    (rules.adam(0.05, epsilon=1e-12), signed_permutation, True), (MUON, signed_permutation, True),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "turn", "commutes"), EQUIVARIANCE)
def test_law_a_rule_commutes_with_the_isometries_of_its_norm(rule, turn, commutes):
    start, gradients = RANDOM.normal(size=(4, 6)), RANDOM.normal(size=(12, 4, 6))
    left, right = turn(4), turn(6)
    points = []
    for q, forces in ((start, gradients), (left @ start @ right, left @ gradients @ right)):
        state = ()
        for force in forces:
            q, state = rule.step(q, state, lambda _, force=force: force)
        points.append(q)
    apart = np.linalg.norm(left @ points[0] @ right - points[1])
    assert apart < 1e-12 if commutes else apart > 1e-2


def pair(rule, steps=15, seed=0):
    """Points and momenta of a product q_out q_in that learns a fresh target each step, under a rule."""
    random = np.random.default_rng(seed)
    q = [random.normal(size=(3, 5)), random.normal(size=(4, 3))]
    state, pi = [(), ()], [np.zeros((3, 5)), np.zeros((4, 3))]
    points, momenta = [[q[0], q[1]]], [list(pi)]
    for _ in range(steps):
        residual = q[1] @ q[0] - random.normal(size=(4, 5))
        forces = (q[1].T @ residual, residual @ q[0].T)
        for i, force in enumerate(forces):
            q[i], state[i] = rule.step(q[i], state[i], lambda _, force=force: force)
            decay = 0 if rule.decoupled else rule.weight_decay
            pi[i] = rule.momentum * pi[i] + rule.gradient_weight * (force + decay * points[-1][i])
        points.append(list(q))
        momenta.append(list(pi))
    return points, momenta


def charges(pi, q):
    return pi[0] @ q[0].T - q[1].T @ pi[1]


@pytest.mark.parametrize("name", DIRECTIONS)
def test_law_muons_charges_follow_from_its_momenta(name):
    direction, f = DIRECTIONS[name]
    rule = spectral.muon(0.05, 0.9, 0.2, direction)
    points, momenta = pair(rule)
    for n in range(1, len(points) - 1):
        before, after = charges(momenta[n], points[n - 1]), charges(momenta[n + 1], points[n])
        law = spectral_laws.next_charges(rule, before, momenta[n][0], momenta[n][1].T, f)
        np.testing.assert_allclose(after, law, atol=1e-13)
        assert np.abs(after - rule.momentum * before).max() > 1e-3 or n == 1


@pytest.mark.parametrize("name", DIRECTIONS)
def test_law_muon_and_heavy_ball_keep_the_charges_of_rotations_at_zero(name):
    for rule in (spectral.muon(0.05, 0.9, 0.2, DIRECTIONS[name][0]), rules.heavy_ball(0.01, 0.9, 0.2)):
        points, momenta = pair(rule)
        for n in range(1, len(points)):
            turned = charges(momenta[n], points[n - 1])
            np.testing.assert_allclose(turned, turned.T, atol=1e-12)


BREAKING = {"Muon ahead": spectral.muon(0.05, 0.9, lookahead=True), "Adam": rules.adam(0.05, 0.9, 0.99)}


@pytest.mark.parametrize("name", BREAKING)
def test_law_lookahead_and_adam_break_them_as_the_general_law_says(name):
    rule = BREAKING[name]
    points, momenta = pair(rule)
    half = RANDOM.normal(size=(3, 3))
    generator = linear(half - half.T, (1, -1), None)
    largest = 0.0
    for n in range(1, len(points) - 1):
        before, at = [[q[0], q[1].T] for q in points[n - 1 : n + 1]]
        now, following = [[pi[0], pi[1].T] for pi in momenta[n : n + 2]]
        charge = discrete.noether_charge(generator, now, before)
        change = discrete.noether_charge(generator, following, at) - charge
        assert change == pytest.approx(discrete.charge_change(rule, generator, now, before, at), abs=1e-12)
        largest = max(largest, abs(charge))
    assert largest > 1e-3


def test_law_the_stretch_of_a_polar_factor_is_a_square_root():
    pi = RANDOM.normal(size=(3, 6))
    root = spectral_laws.stretch(pi)
    np.testing.assert_allclose(root @ root, pi @ pi.T, atol=1e-12)
    np.testing.assert_allclose(np.trace(root), np.linalg.norm(pi, "nuc"))
    np.testing.assert_allclose(spectral_laws.stretch(pi, lambda s: s), pi @ pi.T, atol=1e-12)
