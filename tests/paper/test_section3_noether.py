"""Section 3, Noether's learning dynamics: Eq 8 to 13 and Figure 2.

Proofs use an undetermined potential h(q_1, q_2), loss f(q_1, q_2) and generator A(q_1, q_2), so they hold
for every geometry, every loss and every symmetry of two parameters.
"""

import numpy as np
import pytest
import sympy as sp

from nld import symmetry
from nld.learning_rules import potentials, rules
from nld.symmetry import Symmetry
from nld.theory import bregman, continuum, lagrangian, noether
from tests.cases import polynomial_potential

t = sp.Symbol("t", positive=True)
m, mu, k = sp.symbols("m mu k", positive=True)
alpha, beta, gamma = (sp.Function(name)(t) for name in ("alpha", "beta", "gamma"))
SCALING = bregman.Scaling(alpha, beta, gamma)
DAMPED = bregman.damped_scaling(m, mu, t)
q = lagrangian.coordinates("q", 2, t)
f = sp.Function("f")(*q)
ANY = bregman.generic()
ANY_SYMMETRY = Symmetry("any", lambda q, s: (), lambda q: (sp.Function("A1")(*q), sp.Function("A2")(*q)))


def forces_on_shell(h, scaling, weight_decay=0):
    """grad f as the Euler-Lagrange equations of f + k |q|^2/2 give it from the motion: {df/dq_i: expression}."""
    potential = f + weight_decay * (q[0] ** 2 + q[1] ** 2) / 2
    equations = lagrangian.euler_lagrange(bregman.bregman_lagrangian(h, potential, q, scaling, t), q, t)
    forces = [sp.diff(f, x) for x in q]
    solution = {}
    for equation, force in zip(equations, forces, strict=True):
        expanded = sp.expand(equation.doit())
        coefficient = expanded.coeff(force)
        solution[force] = -(expanded - coefficient * force) / coefficient
    return solution


def slope_of_loss(solution):
    """<grad f, A> on a trajectory: what the symmetry of the loss says is zero."""
    return lagrangian.inner(list(solution.values()), ANY_SYMMETRY.generator(q))


def test_eq08_unrestricted_noether():
    action = sp.Function("L")(*q, *lagrangian.velocities(q, t), t)
    equations = lagrangian.euler_lagrange(action, q, t)
    residual = noether.noether_residual(action, q, ANY_SYMMETRY, t)
    off_shell = lagrangian.inner(equations, ANY_SYMMETRY.generator(q))
    assert sp.expand((residual + off_shell).doit()) == 0


def test_eq08_variation_splits_into_kinetic_and_potential():
    action = bregman.bregman_lagrangian(ANY, f, q, SCALING, t)
    kinetic = noether.kinetic_symmetry_breaking(ANY, q, ANY_SYMMETRY, SCALING, t)
    potential = lagrangian.inner([sp.diff(f, x) for x in q], ANY_SYMMETRY.generator(q))
    split = sp.exp(gamma) * kinetic - sp.exp(alpha + beta + gamma) * potential
    assert sp.expand((noether.variation(action, q, ANY_SYMMETRY, t) - split).doit()) == 0


def test_eq09_with_an_invariant_loss():
    """Residual of Eq 9 = e^{alpha + beta + gamma} <grad f, A> on a trajectory, hence 0."""
    solution = forces_on_shell(ANY, SCALING)
    residual = noether.invariant_loss_residual(ANY, q, ANY_SYMMETRY, SCALING, t)
    scaled = sp.exp(alpha + beta + gamma) * slope_of_loss(solution)
    assert sp.simplify(sp.expand((residual + scaled).doit())) == 0


@pytest.mark.parametrize("weight_decay", [0, k])
def test_eq10_full_law_on_shell_for_every_h_loss_and_symmetry(weight_decay):
    """Residual of Eq 10 = -e^{alpha + beta} <grad f, A> on a trajectory, hence 0 when the loss is invariant."""
    solution = forces_on_shell(ANY, SCALING, weight_decay)
    law = noether.noethers_learning_dynamics(ANY, q, ANY_SYMMETRY, SCALING, t, weight_decay)
    scaled = sp.exp(alpha + beta) * slope_of_loss(solution)
    assert sp.simplify(sp.expand((law.residual + scaled).doit())) == 0
    assert sp.expand(law.residual.doit()) != 0


def test_eq10_terms_by_hand_for_scale_and_entropy():
    """One parameter, h = q log q - q, A = q: each term written out by hand."""
    (x,) = lagrangian.coordinates("x", 1, t)
    v = sp.diff(x, t)
    law = noether.noethers_learning_dynamics(bregman.entropy, (x,), symmetry.scale(), DAMPED, t, k)
    gap = sp.log(x + m * v) - sp.log(x)
    by_hand = {
        "motion": sp.diff(gap, t) * x + gap * v,
        "dissipation": mu / m * gap * x,
        "dynamic_symmetry_breaking": gap * v,
        "non_euclidean_metric": (gap - m * v / x) * x / m,
        "potential_breaking": -k * x**2,
    }
    for term, expected in by_hand.items():
        assert sp.simplify(getattr(law, term) - expected) == 0, term


def test_eq10_numerically_along_a_mirror_descent():
    """The two sides along an integrated trajectory of entropic motion in a scale-invariant loss."""
    rule = rules.mirror(0.2, potentials.entropy, momentum=0.5, weight_decay=0.1)

    def gradient(p):
        x, y = p
        return np.array([y, -x]) * (x - 2 * y) / (x * x + y * y) ** 1.5

    time = np.linspace(0, 3, 13)
    path = continuum.euler_lagrange_flow(rule, gradient, [1.0, 2.0], [0.3, -0.2], time)
    scaling = bregman.ideal_scaling(rule.mass, rule.friction, t)
    law = noether.noethers_learning_dynamics(
        bregman.entropy, q, symmetry.scale(), scaling, t, sp.Float(rule.weight_decay)
    )
    position, speed, push = path.position, path.velocity, sp.symbols("a1 a2")
    terms = [
        law.motion,
        law.dissipation,
        law.dynamic_symmetry_breaking,
        law.non_euclidean_metric,
        law.potential_breaking,
    ]
    names = [*sp.symbols("x1 x2"), *sp.symbols("v1 v2"), *push]
    values = [*q, *lagrangian.velocities(q, t), *(sp.diff(x, t, 2) for x in q)]
    swapped = [term.doit().subs(list(zip(values[::-1], names[::-1], strict=True))) for term in terms]
    evaluate = sp.lambdify(names, swapped, "numpy")
    lag = rule.mass / rule.friction
    force = np.array([gradient(p) for p in position]) + rule.weight_decay * position
    # w = log(q + lag v), w' = -force/mu, so v + lag a = -(q + lag v) force/mu
    acceleration = (-(position + lag * speed) * force / rule.friction - speed) / lag
    motion, dissipation, *right = evaluate(*position.T, *speed.T, *acceleration.T)
    scale = np.abs(motion) + np.abs(dissipation)
    assert np.max(np.abs(motion + dissipation - sum(right)) / scale) < 1e-9
    assert all(np.max(np.abs(term)) > 1e-3 for term in right)


def test_eq11_dual_displacement_is_the_scaled_momentum():
    action = bregman.bregman_lagrangian(ANY, f, q, SCALING, t)
    for v, delta in zip(lagrangian.velocities(q, t), bregman.dual_displacement(ANY, q, SCALING, t), strict=True):
        assert sp.expand((sp.diff(action, v) - sp.exp(gamma) * delta).doit()) == 0


def test_eq11_euclidean_case_is_mass_times_velocity():
    for v, delta in zip(
        lagrangian.velocities(q, t), bregman.dual_displacement(bregman.euclidean, q, DAMPED, t), strict=True
    ):
        assert sp.simplify(delta - m * v) == 0


def test_eq12_damped_form_follows_from_eq10():
    law = noether.noethers_learning_dynamics(ANY, q, ANY_SYMMETRY, DAMPED, t)
    damped = noether.damped_residual(ANY, q, ANY_SYMMETRY, m, mu, DAMPED, t)
    assert sp.simplify(sp.expand((damped - m * law.residual).doit())) == 0


def test_eq12_charge_decays_without_breaking_and_obeys_the_law_with_it():
    """A rotation charge in a round potential, underdamped to overdamped (Figure 2): e^{-mu t/m} exactly."""

    def gradient(p):
        return p * np.sin(np.sum(p * p))

    for momentum, learning_rate in ((0.99, 0.5), (0.9, 0.1), (0.0, 0.3)):
        rule = rules.heavy_ball(learning_rate, momentum)
        time = np.linspace(0, 3 * rule.mass / rule.friction, 20)
        path = continuum.euler_lagrange_flow(rule, gradient, [1.0, 0.3], [-0.4, 0.9], time)
        x, y = path.position.T
        vx, vy = path.velocity.T
        charge = rule.mass * (x * vy - y * vx)
        np.testing.assert_allclose(charge, charge[0] * np.exp(-rule.friction / rule.mass * time), rtol=1e-8)


@pytest.mark.parametrize(
    ("family", "size", "h", "expected"),
    [
        (symmetry.translation((1, 2)), 2, bregman.euclidean, "x1 + 2*x2"),
        (symmetry.scale(), 2, bregman.euclidean, "(x1**2 + x2**2)/2"),
        (symmetry.rescale((1, -1)), 2, bregman.euclidean, "(x1**2 - x2**2)/2"),
        (symmetry.rescale((1, -1)), 2, bregman.p_norm(3), "(x1**3 - x2**3)/3"),
        (symmetry.rescale((1, -1)), 2, bregman.entropy, "x1 - x2"),
        (symmetry.general_linear(1, 0, 0), 2, bregman.euclidean, "(x1**2 - x2**2)/2"),
    ],
)
def test_eq13_conserved_charges_of_gradient_flow(family, size, h, expected):
    x = sp.symbols(f"x1:{size + 1}", positive=True)
    charge = noether.conserved_charge(h, x, family)
    assert sp.simplify(charge - sp.sympify(expected, locals={str(part): part for part in x})) == 0
    path = lagrangian.coordinates("q", size, t)
    rate = sp.diff(charge.subs(dict(zip(x, path, strict=True))), t)
    assert sp.simplify(rate - noether.overdamped_constraint(h, path, family, t)) == 0


def test_eq13_a_rotation_and_a_shear_have_no_charge():
    x = sp.symbols("x1:5", positive=True)
    assert noether.conserved_charge(bregman.euclidean, x[:2], symmetry.rotation()) is None
    assert noether.conserved_charge(bregman.euclidean, x, symmetry.general_linear(2, 0, 1)) is None


def test_eq13_is_the_massless_limit_of_the_charge():
    h = polynomial_potential
    charge = lagrangian.inner(bregman.dual_displacement(h, q, DAMPED, t), ANY_SYMMETRY.generator(q))
    limit = sp.expand(sp.expand(charge) / m).subs(m, 0)
    assert sp.expand(limit - noether.overdamped_constraint(h, q, ANY_SYMMETRY, t)) == 0
    assert limit != 0


@pytest.mark.parametrize("p", [1.5, 2, 3])
def test_eq13_the_charge_belongs_to_the_metric(p):
    """Mirror flow of the p-norm conserves |q_in|^p - |q_out|^p of a rescale symmetry and no other power."""

    def gradient(q):
        return np.array([q[1], q[0]]) * (q[0] * q[1] - 3)

    rule = rules.mirror(0.1, potentials.p_norm(p))
    path = continuum.gradient_flow(rule, gradient, [0.5, 1.5], [0, 0.5, 1]).position
    drift = {power: np.ptp(path[:, 0] ** power - path[:, 1] ** power) for power in (1.5, 2, 3)}
    assert drift.pop(p) < 1e-9
    assert min(drift.values()) > 1e-2


def test_eq13_linear_networks_conserve_the_balance_matrix():
    """W1 W1^T - W2^T W2 along gradient flow, from pairs of elementary generators; momentum breaks it."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=(2, 2))

    def split(p):
        return p[:4].reshape(2, 2), p[4:].reshape(2, 2)

    def gradient(p):
        w1, w2 = split(p)
        error = w2 @ w1 - target
        return np.concatenate([(w2.T @ error).ravel(), (error @ w1.T).ravel()])

    def balance(p):
        w1, w2 = split(p)
        return w1 @ w1.T - w2.T @ w2

    start, time = rng.normal(size=8), np.array([0, 2.0])
    rule = rules.gradient_descent(0.3)
    flow = continuum.gradient_flow(rule, gradient, start, time).position
    heavy = continuum.euler_lagrange_flow(rule, gradient, start, -gradient(start), time).position
    assert np.abs(flow[1] - flow[0]).max() > 0.1
    np.testing.assert_allclose(balance(flow[1]), balance(flow[0]), atol=1e-9)
    assert np.abs(balance(heavy[1]) - balance(heavy[0])).max() > 1e-2
    # and the entry (i, j) is the sum of the two generators E_ij and E_ji
    w1, w2 = split(start)
    rows, columns = list(w1), list(w2.T)
    for i, j in np.ndindex(2, 2):
        both = [symmetry.general_linear(2, a, b).generator(rows + columns) for a, b in ((i, j), (j, i))]
        symmetric = sum(np.vdot(x, y + z) for x, y, z in zip(rows + columns, *both, strict=True)) / 2
        assert symmetric == pytest.approx(balance(start)[i, j], abs=1e-12)
