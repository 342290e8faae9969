"""Section 4, normalization as adaptive optimization: Eq 14 to 18 and the dictionary."""

import numpy as np
import pytest
import sympy as sp

from nld.learning_rules import rules
from nld.theory import adaptive, continuum, lagrangian, solutions

t, tau = sp.symbols("t tau", positive=True)
m, mu, k = sp.symbols("m mu k", positive=True)
eta, beta = sp.symbols("eta beta", positive=True)
r = sp.Function("r", positive=True)(t)
theta, lam = sp.Function("theta")(t), sp.Function("lambda")(t)
growth = sp.exp(mu / m * t)


def scale_invariant(q):
    """Gradient of f = x y/|q|^2 + (y - z)/|q| in three dimensions, on the last axis."""
    x, y, z = np.moveaxis(q, -1, 0)
    squared = (q * q).sum(-1)
    value = x * y / squared
    first = np.stack([y, x, 0 * z], -1) / squared[..., None] - 2 * value[..., None] * q / squared[..., None]
    linear = np.array([0, 1.0, -1.0])
    second = linear / np.sqrt(squared)[..., None] - (q @ linear / squared**1.5)[..., None] * q
    return first + second


def polar_motion():
    """r'' and theta'' in two dimensions, from the Cartesian Lagrangian with weight decay and f = F(theta)."""
    loss = sp.Function("F")(theta)
    q = (r * sp.cos(theta), r * sp.sin(theta))
    action = lagrangian.damped_particle(loss + k / 2 * r**2, q, m, mu, t)
    return action, loss, lagrangian.acceleration(sp.simplify(action), (r, theta), t)


def test_eq14_polar_lagrangian_is_the_cartesian_one():
    action, loss, _ = polar_motion()
    direction = (sp.cos(theta), sp.sin(theta))
    polar = adaptive.polar_lagrangian(r, direction, loss, m, mu, k, lam, t)
    assert sp.simplify(polar - action) == 0


@pytest.mark.parametrize("size", [2, 3])
def test_eq14_radial_equation_by_a_multiplier(size):
    """With an undetermined loss of the direction, in two and three dimensions."""
    n = lagrangian.coordinates("n", size, t)
    action = adaptive.polar_lagrangian(r, n, sp.Function("f")(*n), m, mu, k, lam, t)
    radial, *_, constraint = lagrangian.euler_lagrange(action, (r, *n, lam), t)
    speed = lagrangian.inner(*[lagrangian.velocities(n, t)] * 2)
    assert sp.simplify(radial / growth + adaptive.radial_equation(r, speed, m, mu, k, t)) == 0
    assert sp.simplify(constraint - (lagrangian.inner(n, n) - 1)) == 0


def test_eq14_radial_equation_from_cartesian_coordinates():
    *_, motion = polar_motion()
    equation = adaptive.radial_equation(r, sp.diff(theta, t) ** 2, m, mu, k, t)
    assert sp.simplify(equation.subs(sp.diff(r, t, 2), motion[sp.diff(r, t, 2)])) == 0


def test_eq15_angular_equation_up_to_its_second_order_terms():
    """Its tangential component is -2 m r' theta'/r on a trajectory, and r' is itself of first order in m and k."""
    _, loss, motion = polar_motion()
    direction, tangent = (sp.cos(theta), sp.sin(theta)), (-sp.sin(theta), sp.cos(theta))
    unit_gradient = [sp.diff(loss, theta) * x for x in tangent]
    equation = adaptive.angular_equation(r, direction, unit_gradient, m, mu, t)
    tangential = lagrangian.inner(equation, tangent).subs(sp.diff(theta, t, 2), motion[sp.diff(theta, t, 2)])
    left = -2 * m * sp.diff(r, t) * sp.diff(theta, t) / r
    assert sp.simplify(tangential - left) == 0
    # the normal component is the constraint's, of first order
    normal = sp.simplify(lagrangian.inner(equation, direction))
    assert sp.simplify(normal + m * sp.diff(theta, t) ** 2) == 0


def test_eq15_effective_learning_rate():
    """Norm r and rate eta turn the direction as norm 1 and rate eta/r^2 do."""
    start = np.array([0.6, 0.9, -0.6])  # near a maximum
    start /= np.linalg.norm(start)

    def directions(radius, learning_rate):
        path = rules.iterate(rules.gradient_descent(learning_rate), scale_invariant, radius * start, 40).position
        return path / np.linalg.norm(path, axis=-1, keepdims=True)

    rate = adaptive.effective_learning_rate(0.2, 3.0**2)
    np.testing.assert_allclose(directions(3.0, 0.2), directions(1.0, rate), rtol=1e-12)
    assert np.abs(directions(3.0, 0.2) - directions(1.0, 0.2)).max() > 0.1


def test_eq16_exact_form_before_the_gradient_is_put_in():
    """m (r^2)'' + mu (r^2)' + 2 k r^2 = 2 m |q'|^2 follows from Eq 14 with nothing dropped."""
    *_, motion = polar_motion()
    speed = sp.diff(r, t) ** 2 + r**2 * sp.diff(theta, t) ** 2
    unit = mu**2 * r**2 * speed  # |g^|^2 = mu^2 r^2 |q'|^2
    equation = adaptive.squared_norm_equation(r**2, unit, m, mu, k, t).doit()
    assert sp.simplify(equation.subs(sp.diff(r, t, 2), motion[sp.diff(r, t, 2)])) == 0


def test_eq16_residual_vanishes_with_the_learning_rate():
    """Relative to its drive, along the motion of a network's loss, once the first transient is over.

    Eq 16 is of leading order in m and in k, so both go to zero together; at fixed k a part |k q|^2/|g|^2 remains.
    """

    def residual(learning_rate, momentum=0.5):
        decay = learning_rate
        rule = rules.heavy_ball(learning_rate, momentum, decay)
        start = np.array([0.3, -0.8, 0.6])
        velocity = continuum.fresh_velocity(rule, scale_invariant, start)
        path = continuum.euler_lagrange_flow(rule, scale_invariant, start, velocity, [0, 0.25, 0.3])
        q, v = path.position[1:], path.velocity[1:]
        mass, friction = rule.mass, rule.friction
        a = -(friction * v + scale_invariant(q) + decay * q) / mass
        squared, first = (q * q).sum(-1), 2 * (q * v).sum(-1)
        second = 2 * (v * v).sum(-1) + 2 * (q * a).sum(-1)
        unit = squared * (scale_invariant(q) ** 2).sum(-1)
        y = sp.Function("y")(t)
        equation = adaptive.squared_norm_equation(y, sp.Symbol("G"), mass, friction, decay, t)
        symbols = sp.symbols("y2 y1 y0")
        swaps = [(sp.diff(y, t, 2), symbols[0]), (sp.diff(y, t), symbols[1]), (y, symbols[2])]
        evaluate = sp.lambdify([*symbols, sp.Symbol("G")], equation.subs(swaps))
        drive = 2 * mass * unit / (friction**2 * squared)
        return np.max(np.abs(evaluate(second, first, squared, unit) / drive))

    coarse, fine = residual(1e-3), residual(5e-4)
    assert fine < 0.05
    assert np.log2(coarse / fine) == pytest.approx(1, abs=0.15)


def test_eq17_solves_eq16_without_inertia():
    """Bernoulli: y = r^2, y^2 from Eq 17, with an undetermined gradient."""
    rule = rules.heavy_ball(eta, beta, k)
    unit, start = sp.Function("G"), sp.Symbol("R", positive=True)
    fourth = adaptive.fourth_power_solution(rule, unit(tau), start, t, tau)
    y = sp.Function("y")(t)
    equation = adaptive.squared_norm_equation(y, unit(t), rule.mass, rule.friction, k, t)
    without_inertia = equation.subs(sp.diff(y, t, 2), 0)
    # multiplied by 2 y/mu it is an equation for y^2
    slope = sp.diff(fourth, t)
    as_square = sp.expand(2 * y / rule.friction * without_inertia).subs(sp.diff(y, t), slope / (2 * y))
    # without doit: the integral of an undetermined gradient stays, and looking for its value takes seconds
    assert sp.simplify(sp.expand(as_square).subs(y**2, fourth), doit=False) == 0
    assert sp.simplify(fourth.subs(t, 0).doit() - start**2) == 0


def test_eq17_as_printed():
    rule = rules.heavy_ball(eta, beta, k)
    unit, start = sp.Function("G")(tau), sp.Symbol("R", positive=True)
    printed = (
        2
        * eta
        * (1 + beta)
        / (1 - beta) ** 3
        * sp.Integral(sp.exp(-4 * k * (t - tau) / (1 - beta)) * unit, (tau, 0, t))
        + sp.exp(-4 * k * t / (1 - beta)) * start**2
    )
    assert sp.simplify(adaptive.fourth_power_solution(rule, unit, start, t, tau) - printed) == 0


def test_eq17_numerical_form_approaches_the_integral():
    """predict_squared_norm against the symbolic integral for |g^|^2 = 1 + e^{-t}, at order 2 with mid-step samples."""

    def error(steps):
        rule = rules.heavy_ball(2 / steps, 0.9, 0.03)
        exact = adaptive.fourth_power_solution(
            rules.heavy_ball(2 / sp.Integer(steps), sp.Rational(9, 10), sp.Rational(3, 100)),
            1 + sp.exp(-tau), sp.Rational(3, 2), sp.Integer(2), tau,
        )  # fmt: skip
        source = 1 + np.exp(-(np.arange(steps) + 0.5) * 2 / steps)
        return abs(solutions.predict_squared_norm(rule, source, 1.5).value[-1] - float(sp.sqrt(exact.doit())))

    assert np.log2(error(20) / error(40)) == pytest.approx(2.5, abs=0.3)  # the source itself is proportional to eta


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_eq17_predicts_the_norm_of_a_run_with_smooth_gradients(momentum):
    """Full-batch heavy ball: the smooth closure holds to order eta, or eta^2 without momentum.

    The white one is off by (1+beta)/(1-beta).
    """

    def growth_ratio(scale, closure):
        rule = rules.heavy_ball(scale * (1 - momentum) ** 2, momentum)
        steps = round(0.4 / (scale * (1 - momentum)))
        path = rules.iterate(rule, scale_invariant, [0.3, -0.8, 0.6], steps).position
        squared = (path**2).sum(-1)
        unit = squared[:-1] * (scale_invariant(path[:-1]) ** 2).sum(-1)
        predicted = solutions.predict_squared_norm(rule, unit, squared[0], closure).value[-1]
        return (predicted**2 - squared[0] ** 2) / (squared[-1] ** 2 - squared[0] ** 2) - 1

    errors = [abs(growth_ratio(scale, "smooth")) for scale in (0.004, 0.002)]
    assert errors[1] < 0.02
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1 if momentum else 2, abs=0.3)
    white = 1 + growth_ratio(0.002, "white")
    assert white == pytest.approx((1 - momentum) / (1 + momentum), rel=0.02)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_eq17_closure_for_white_gradients(momentum):
    """Mini-batch noise: chi = 1; Eq 17 as printed is off by (1+beta)/(1-beta)."""
    rng, units, size = np.random.default_rng(0), 100, 50
    rule = rules.heavy_ball(0.01 * (1 - momentum), momentum, 0.05)

    def gradient(q):
        g = rng.normal(size=q.shape)
        squared = (q * q).sum(-1, keepdims=True)
        return (g - q * (q * g).sum(-1, keepdims=True) / squared) / np.sqrt(squared)

    start = rng.normal(size=(units, size))
    start *= 4 / np.linalg.norm(start, axis=-1, keepdims=True)
    squared = (rules.iterate(rule, gradient, start, 2000).position ** 2).sum(-1)
    unit = np.full((2000, 1), size - 1.0)  # |g^|^2 in the mean
    white = solutions.predict_squared_norm(rule, unit, 16.0, "white").value[:, 0]
    np.testing.assert_allclose(np.mean(squared**2, 1)[200::300], white[200::300] ** 2, rtol=0.02)
    smooth = solutions.predict_squared_norm(rule, unit, 16.0).value[-1, 0]
    assert (smooth**2 / np.mean(squared[-1] ** 2) > 3) == (momentum > 0)


def test_eq17_momentum_amplification():
    """1900 at beta = 0.9 for smooth gradients, 100 for white ones."""
    source = np.ones(1)
    tiny = {
        closure: [
            solutions.predict_squared_norm(rules.heavy_ball(1e-3, b), source, 1.0, closure).value[-1] ** 2 - 1
            for b in (0.0, 0.9)
        ]
        for closure in ("smooth", "white")
    }
    assert tiny["smooth"][1] / tiny["smooth"][0] == pytest.approx(1900, rel=1e-9)
    assert tiny["white"][1] / tiny["white"][0] == pytest.approx(100, rel=1e-9)
    assert adaptive.momentum_amplification(sp.Rational(9, 10)) == 1900


def test_eq18_solves_the_equation_of_rmsprop():
    rho, start, squared = sp.Symbol("rho"), sp.Symbol("G0", positive=True), sp.Function("g2")
    mean_square = adaptive.mean_square_solution(eta, rho, squared(tau), start, t, tau)
    equation = sp.diff(mean_square, t) + (1 - rho) / eta * (mean_square - squared(t))
    assert sp.simplify(equation, doit=False) == 0
    assert sp.simplify(mean_square.subs(t, 0).doit() - start) == 0


def test_eq18_is_the_limit_of_the_update_of_rmsprop():
    """The rule's own buffer against the prediction: order 1 in 1 - rho at fixed (1 - rho) n."""

    def error(forget, learning_rate=0.1):
        steps = round(2 / forget)
        rule = rules.rmsprop(learning_rate, 1 - forget)
        g = 1 + np.sin(np.arange(steps) * forget)
        q, state = np.zeros(1), (np.full(1, 0.5),)
        for force in g:
            q, state = rule.step(q, state, lambda _, force=force: force)
        predicted = solutions.predict_root_mean_square(learning_rate, 1 - forget, g**2, 0.5)
        return abs(predicted.value[-1] - np.sqrt(state[0][0]))

    assert np.log2(error(0.02) / error(0.01)) == pytest.approx(1, abs=0.1)


def test_eq18_dictionary_with_eq17():
    """r^2 <-> sqrt(G) and 4 k/(1 - beta) <-> (1 - rho)/eta: the same function of the same gradients."""
    rule = rules.heavy_ball(0.1, 0.9, 0.02)
    rho = adaptive.equivalent_square_decay(rule)
    assert (1 - rho) / 0.1 == pytest.approx(4 * 0.02 / (1 - 0.9))
    unit = np.random.default_rng(0).lognormal(size=(200, 4))
    norm = solutions.predict_squared_norm(rule, unit, 2.0).value
    gain = 2 * 0.1 * 1.9 / 0.1**3 / ((1 - rho) / 0.1)
    root = solutions.predict_root_mean_square(0.1, rho, gain * unit, 2.0**2).value
    np.testing.assert_allclose(norm, root, rtol=1e-12)


def test_eq18_without_weight_decay_the_norm_is_adagrad():
    rule = rules.heavy_ball(0.1, 0.9)
    assert adaptive.equivalent_square_decay(rule) == 1
    unit = np.random.default_rng(1).lognormal(size=200)
    norm = solutions.predict_squared_norm(rule, unit, 2.0).value
    summed = 4 + 2 * 0.1 * 0.1 * 1900 * np.concatenate([[0], np.cumsum(unit)])
    np.testing.assert_allclose(norm**2, summed, rtol=1e-12)
