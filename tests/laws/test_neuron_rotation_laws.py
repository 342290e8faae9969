"""Rotation of units whose norm the loss may see, a projection by chance, and Adam's growth of norms on full batches."""

import numpy as np
import pytest
from scipy import special

from nld.experiment.studies.quotient import growth_factor
from nld.learning_rules import decoupled, rules
from nld.theory import equilibrium
from nld.theory.neuron_rotation import chance_of_projection, squared_turn
from nld.theory.rotation import rotational_equilibrium


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_law_a_radial_force_adds_to_weight_decay(beta):
    """Any gradients: |Delta q|^2 summed over steps is the law's, up to what norm and charge have gained at the ends."""
    random, rule = np.random.default_rng(0), rules.heavy_ball(0.1, beta, 0.05)
    q, state, forces, squares, steps = random.normal(size=30), (), [], [], []
    charges, norms = [], []
    for _ in range(4000):
        g = random.normal(size=30) + 0.3 * np.sin(q) - 0.01 * q
        moved, state = rule.step(q, state, lambda _, g=g: g)
        step = moved - q
        forces.append(q @ g)
        squares.append(q @ q)
        steps.append(step @ step)
        charges.append(q @ step)
        norms.append(moved @ moved)
        q = moved
    sums = np.sum(steps)
    predicted = squared_turn(rule, np.sum(forces) / np.sum(squares)) * np.sum(squares)
    gained = norms[-1] - squares[0]
    # the balance of the charge from an empty buffer: sum c = beta sum' (c + P) - eta sum (k + k_par) R
    ends = (1 - beta) * gained + 2 * beta * (charges[-1] + steps[-1])
    assert (1 + beta) * sums == pytest.approx((1 + beta) * predicted + ends, rel=1e-10)
    assert abs(ends) < 0.02 * (1 + beta) * sums  # in the mean the law alone
    assert abs(squared_turn(rule) * np.sum(squares) / sums - 1) > 0.05  # and not without the force


def test_law_without_a_force_a_unit_turns_as_in_equilibrium():
    rule = rules.heavy_ball(0.1, 0.9, 0.01)
    assert squared_turn(rule) == pytest.approx(equilibrium.angular_step(rule) ** 2, rel=1e-12)
    with pytest.raises(ValueError, match="expected gradient descent or heavy ball, got Lion"):
        squared_turn(decoupled.lion(0.1))


@pytest.mark.parametrize("size", [2, 3, 50])
def test_law_directions_drawn_at_random_are_projected_as_often_as_stated(size):
    """Against drawn directions, to four standard errors, and against closed forms.

    On a sphere in three dimensions the cosine is uniform, on a circle it is that of a uniform angle.
    """
    draws, threshold = 40_000, 0.1
    g = np.random.default_rng(size).normal(size=(draws, size))
    share = (abs(g[:, 0]) / np.linalg.norm(g, axis=1) < threshold / size**0.5).mean()
    chance = chance_of_projection(threshold, size)
    assert abs(share - chance) < 4 * (chance * (1 - chance) / draws) ** 0.5
    closed = {2: 2 / np.pi * np.arcsin(threshold / 2**0.5), 3: threshold / 3**0.5}
    if size in closed:
        assert chance == pytest.approx(closed[size], rel=1e-9)
    assert chance_of_projection(threshold, 10**6) == pytest.approx(special.erf(threshold / 2**0.5), rel=1e-4)


def test_law_the_closed_norm_of_sgdp_is_two_per_cent_long_and_all_of_it_is_the_buffer_s_radial_part():
    """At eta k = 5e-5 and beta = 0.9 the closed form gives 2.693, and walks settle at 2.641."""
    rule = decoupled.sgdp(0.1, 0.9, 5e-3)
    closed = equilibrium.squared_norm(rule, 1.0) ** 0.5
    law = rotational_equilibrium(rule, 1.0)
    assert (closed, law.squared_norm**0.5) == (pytest.approx(2.693, rel=2e-4), pytest.approx(2.641, rel=3e-3))
    decay = rule.learning_rate * rule.weight_decay / (1 - rule.momentum)
    turn = 2 * decay - decay**2
    longer = 1 + rule.momentum**2 * turn / (1 - rule.momentum * (1 - decay)) ** 2
    # of the fourth power: how much longer the buffer is than what is used of it, and x for 2 d
    assert (closed / law.squared_norm**0.5) ** 4 == pytest.approx(longer * turn / (2 * decay), rel=1e-9)
    assert 0.01 < closed / law.squared_norm**0.5 - 1 < 0.025


def test_law_with_one_denominator_full_batches_lengthen_as_mini_batches_do():
    """(1 + beta)/(1 - beta) = 19 to first order in the step; Gould and Tanaka's sum of squared updates has 1."""
    coarse, fine = (growth_factor(rate, shared=True) for rate in (4e-3, 2e-3))
    assert fine == pytest.approx(19, rel=0.03)
    assert (19 - coarse) / (19 - fine) == pytest.approx(2, rel=0.35)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_law_unequal_denominators_act_at_first_order_and_in_either_direction(seed):
    """What is beyond 19 doubles when the step halves: no factor of the effect, but another effect."""
    coarse, fine = (growth_factor(rate, shared=False, seed=seed) - 19 for rate in (2e-3, 1e-3))
    assert fine / coarse == pytest.approx(2, rel=0.15)
    assert (fine > 0) == (seed == 2)


def test_law_without_momentum_and_with_one_denominator_the_sum_of_squared_updates_is_exact():
    assert growth_factor(4e-3, shared=True, momentum=0.0) == pytest.approx(1, rel=1e-9)
