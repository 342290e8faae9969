"""The exact discrete form of Noether's learning dynamics: no small-step limit and no noise model.

Let an optimizer keep pi_{n+1} = beta pi_n + c (g_n + k q_n) and move by any q_{n+1} - q_n, and let the loss of
every mini-batch have a symmetry with any generator A. Then <g_n, A(q_n)> = 0 gives

    charge_{n+1} = <pi_{n+1}, A(q_n)> = beta (charge_n + <pi_n, A(q_n) - A(q_{n-1})>) + c k <q_n, A(q_n)>

dissipation, kinetic symmetry breaking and weight decay, to rounding. A need not be affine; if it is,
A(q_n) - A(q_{n-1}) is DA of the step. Beyond the paper: its Eq 10 in discrete time.
"""

import numpy as np

from nld.errors import InvalidInput
from nld.learning_rules.rules import LearningRule
from nld.series import Prediction
from nld.symmetry import Parts, Symmetry


def noether_charge(symmetry: Symmetry, buffer: Parts, q: Parts):
    """<pi_{n+1}, A(q_n)>: the buffer after a step and the point before it."""
    return _inner(buffer, symmetry.generator(q))


def kinetic_symmetry_breaking(symmetry: Symmetry, buffer: Parts, before: Parts, q: Parts):
    """<pi_n, A(q_n) - A(q_{n-1})>: the buffer and how the step that was taken with it turned the generator."""
    turned = [b - a for a, b in zip(symmetry.generator(before), symmetry.generator(q), strict=True)]
    return _inner(buffer, turned)


def potential_breaking(rule: LearningRule, symmetry: Symmetry, q: Parts):
    """c k <q_n, A(q_n)>: what coupled weight decay adds; decoupled decay is part of the step instead."""
    return rule.gradient_weight * (0 if rule.decoupled else rule.weight_decay) * _inner(q, symmetry.generator(q))


def next_charge(rule: LearningRule, charge, breaking, decay):
    """beta (charge_n + kinetic symmetry breaking) + weight decay term."""
    return rule.momentum * (charge + breaking) + decay


def charge_change(rule: LearningRule, symmetry: Symmetry, buffer: Parts, before: Parts, q: Parts, violation=0):
    """C_{n+1} - C_n = -(1 - beta) C_n + beta <pi_n, A(q_n) - A(q_{n-1})> + c k <q_n, A(q_n)> + c <g_n, A(q_n)>.

    Holds for any smooth A, any step and any rule with such a buffer, exactly.

    Args:
        buffer: pi_n, the buffer before the gradient g_n enters it.
        before: q_{n-1}; at the first step, where the buffer is zero, any point.
        q: q_n.
        violation: <g_n, A(q_n)>, zero where the loss of the mini-batch has the symmetry.
    """
    charge = noether_charge(symmetry, buffer, before)
    breaking = kinetic_symmetry_breaking(symmetry, buffer, before, q)
    decay = potential_breaking(rule, symmetry, q)
    return next_charge(rule, charge, breaking, decay) - charge + rule.gradient_weight * violation


def predict_squared_norm_from_steps(rule: LearningRule, squared_step, initial) -> Prediction:
    """|q_n|^2 of a scale-invariant unit under heavy ball, exact, from the lengths of its steps.

    With p_n = q_n - q_{n-1}, R = |q|^2 and C = <p_{n+1}, q_n>, per step
    C <- beta (C + |p_n|^2) - eta k R, R <- R + 2 C + |p_{n+1}|^2, from an empty buffer.

    Args:
        rule: heavy ball or gradient descent.
        squared_step: |q_{n+1} - q_n|^2, in w^2, shape (steps,) or (steps, units).
        initial: |q_0|^2, one number or shape (units,).

    Returns:
        Prediction with value (steps + 1,) or (steps + 1, units).

    Raises:
        ValueError: a squared step is negative or not finite, or there are none.
    """
    steps = np.asarray(squared_step, float)
    if steps.ndim == 0 or not np.isfinite(steps.sum()) or steps.min(initial=0) < 0:
        raise InvalidInput(
            f"expected finite squared steps >= 0 of shape (steps,) or (steps, units), got shape {steps.shape}; "
            "pass |q_(n+1) - q_n|^2"
        )
    return _advanced(rule, "squared_norm", steps, initial, 2, ("squared_step",))


def predict_quadratic_charge_from_steps(rule: LearningRule, squared_step, initial) -> Prediction:
    """<q_n, A q_n> for a constant symmetric A (scale, rescale), exact, from <p, A p> of every step p.

    C_{n+1} - C_n = beta (C_n - C_{n-1}) - 2 eta k C_n + <p_{n+1}, A p_{n+1}> + beta <p_n, A p_n>, from an empty
    buffer. Arguments as in ``predict_squared_norm_from_steps``, of any sign.
    """
    return _advanced(rule, "quadratic_charge", np.asarray(squared_step, float), initial, 2, ("squared_step",))


def predict_linear_charge_in_steps(rule: LearningRule, steps: int, initial) -> Prediction:
    """<q_n, n> of a translation symmetry, exact: C_{n+1} - C_n = beta (C_n - C_{n-1}) - eta k C_n, an empty buffer.

    Nothing breaks a translation but weight decay, so that no measured input is needed.
    """
    return _advanced(rule, "linear_charge", np.zeros((steps, *np.shape(initial))), initial, 1)


def _advanced(rule, quantity, source, initial, degree, given=()) -> Prediction:
    """C <- C + 2 half + source, half <- beta (half + source) - degree eta k C/2."""
    rule.require_linear("use next_charge with its own steps")
    value = np.empty((len(source) + 1, *source.shape[1:]))
    value[0] = initial
    before, half = np.zeros(source.shape[1:]), np.zeros(source.shape[1:])
    for n, now in enumerate(source):
        half = rule.momentum * (half + before) - degree / 2 * rule.learning_rate * rule.weight_decay * value[n]
        value[n + 1] = value[n] + 2 * half + now
        before = now
    time = np.arange(len(value)) * rule.learning_rate
    return Prediction(quantity, time, value, "exact discrete law", ("w", "w^2")[degree - 1], given)


def _inner(a: Parts, b: Parts):
    return sum((x * y).sum() if hasattr(x * y, "sum") else x * y for x, y in zip(a, b, strict=True))
