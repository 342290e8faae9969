"""Closed forms for the squared norm of a scale-invariant block, exact over each step and vectorized over units.

Between two steps the driving gradient is constant, so that the linear laws below have exact solutions;
they are advanced by decaying factors only and stay finite for any number of steps. Paper: Eq 16, 17, 18.

A closure says how correlated successive gradients are: chi = sum over all integers j of
beta^|j| <g_n, g_{n+j}>/<g_n, g_n>, 1 for white noise and (1 + beta)/(1 - beta) for smooth gradients,
which is what Eq 17 assumes.
"""

from typing import Any

import numpy as np
from scipy.linalg import expm
from scipy.special import exprel

from nld.errors import InvalidInput
from nld.learning_rules.rules import LearningRule, gradient_descent
from nld.series import Prediction

_BLOCK = 16  # steps advanced by one matrix product; measured: 8 and 32 are slower for a thousand units
_PARTS = 8  # of a step, under a force that depends on the norm; at eta 0.1, beta 0.98 and k 0.1 they err by 0.6 %


def predict_squared_norm(
    rule: LearningRule, squared_gradient, initial, closure: Any = "smooth", *, gradient_at="unit", inertia=False
) -> Prediction:
    """r^2(t) of scale-invariant units under heavy ball with weight decay.

    r^4(t) = (2 eta/(1-beta)^2) int e^{-4k(t-s)/(1-beta)} chi |g^|^2 ds + e^{-4kt/(1-beta)} r^4(0)

    Holds if the unit's gradient is orthogonal to it and r changes little within 1/(1-beta) steps.
    Paper: Eq 17 is closure="smooth"; with ``inertia``, Eq 16.

    Args:
        rule: heavy ball or gradient descent.
        squared_gradient: shape (steps,) or (steps, units), in ℓ^2/w^2 at the current norm (what a run measures,
            |g|^2) or ℓ^2 at unit norm (|g^|^2 = r^2 |g|^2); of the gradient without weight decay.
        initial: r^2(0) > 0, in w^2, one number or shape (units,).
        closure: "smooth", "white" or chi itself, a number or an array that broadcasts to squared_gradient.
        gradient_at: "unit" for |g^|^2 (Eq 17, no norm but the initial one is used), "current" for |g|^2.
        inertia: keep the second derivative m (r^2)''; then (r^2)'(0) = 0.

    Returns:
        Prediction with value (steps + 1,) or (steps + 1, units), the initial value first.

    Raises:
        ValueError: on wrong shapes, negative or non-finite input, a rule with a metric of its own.
    """
    source, start = _checked(rule, squared_gradient, initial)
    if np.any(start <= 0):
        raise InvalidInput(f"expected initial squared norms > 0, got {start.min()}; a unit of norm 0 has no direction")
    if gradient_at not in ("unit", "current"):
        raise InvalidInput(f'expected gradient_at "unit" or "current", got {gradient_at!r}; choose one of the two')
    if np.min(source, initial=0) < 0:
        raise InvalidInput(f"expected squared gradients >= 0, got {np.min(source)}; pass squared norms, not logarithms")
    chi, name = _closure(rule, closure, source.shape)
    if gradient_at == "current":
        value = _oscillate(rule, source, start, chi) if inertia else _relax_norm(rule, source, start, chi, power=1)
    elif inertia:
        value = _oscillate_at_unit(rule, source, start, chi)
    else:
        value = _relax_norm(rule, source, start, chi, power=2, finish=np.sqrt)
    return _prediction(rule, "squared_norm", value, ("Eq 16, " if inertia else "Eq 17, ") + name, "w^2")


def predict_quadratic_charge(
    rule: LearningRule, squared_gradient, initial, closure: Any = "smooth", *, inertia=False
) -> Prediction:
    """<q, A q> of a symmetry with a symmetric generator (scale, rescale), from the measured signed gradient squares.

    mu C' = -2 k C + 2 m <q', A q'>,  <q', A q'> = chi <g, A g>/(1 - beta^2)

    Rescale: pass |g_in|^2 - |g_out|^2 and get |q_in|^2 - |q_out|^2. Neural Mechanics (Kunin et al. 2021) is its
    case without momentum. Arguments as in ``predict_squared_norm``, but any sign.
    """
    source, start = _checked(rule, squared_gradient, initial)
    chi, name = _closure(rule, closure, source.shape)
    value = _oscillate(rule, source, start, chi) if inertia else _relax_norm(rule, source, start, chi, power=1)
    return _prediction(rule, "quadratic_charge", value, f"Noether's learning dynamics, {name}", "w^2")


def predict_linear_charge(rule: LearningRule, steps: int, initial) -> Prediction:
    """<q, n> of a translation symmetry: m C'' + mu C' + k C = 0 from C'(0) = 0, exact at any damping."""
    source, start = _checked(rule, np.zeros((steps, *np.shape(initial))), initial)
    value = _oscillate(rule, source, start, 0, decay=rule.weight_decay)
    return _prediction(rule, "linear_charge", value, "Noether's learning dynamics", "w", given=())


def predict_root_mean_square(learning_rate, square_decay, squared_gradient, initial) -> Prediction:
    """sqrt(G) of RMSProp in continuous time: dG/dt = -((1 - rho)/eta) (G - |g|^2).

    Paper: Eq 18. Its dictionary with Eq 17: sqrt(G) <-> r^2 and (1 - rho)/eta <-> 4 k/(1 - beta).

    Args:
        learning_rate: eta; square_decay: rho in [0, 1].
        squared_gradient: |g|^2, shape (steps,) or (steps, units).
        initial: G(0), one number or shape (units,).

    Raises:
        ValueError: a rate out of range, or a negative square.
    """
    if not (np.isfinite(learning_rate) and learning_rate > 0 and 0 <= square_decay <= 1):
        raise InvalidInput(
            f"expected learning_rate > 0 and square_decay in [0, 1], got {learning_rate} and {square_decay}; "
            "change the one outside"
        )
    rule = gradient_descent(learning_rate)  # only its learning rate counts
    source, start = _checked(rule, squared_gradient, initial)
    if min(np.min(source, initial=0), start.min()) < 0:
        raise InvalidInput("expected squares >= 0, got a negative number; pass squared norms, not logarithms")
    rate = (1 - square_decay) / learning_rate
    value = _relax(rate, rate, learning_rate, source, start, finish=np.sqrt)
    return _prediction(rule, "root_mean_square", value, "Eq 18", "ℓ/w")


def _relax_norm(rule, source, start, chi, power, finish=None):
    """(r^2)^power: y' = -(2 k power/mu) y + power eta chi |g|^2/mu^2, which is linear for both kinds of gradient."""
    rate = 2 * power * rule.weight_decay / rule.friction
    gain = power * rule.learning_rate / rule.friction**2
    return _relax(rate, gain, rule.learning_rate, source, start**power, chi, finish)


def _relax(rate, gain, step, source, start, weight=1.0, finish=None):
    """y' = -rate y + gain weight source, source constant over each step, exact at the steps."""
    x = rate * step
    powers = np.exp(-x * np.arange(_BLOCK + 1))[:, None]
    response = gain * step * exprel(-x) * powers[:-1]
    return _advance(powers[1:, :, None], response[:, :, None], source, start[None], weight, finish)


def _oscillate(rule, source, start, chi, decay=None):
    """m y'' + mu y' + 2 k y = 2 m |q'|^2 from y'(0) = 0, exact at the steps for any damping.

    The propagator is a matrix exponential, which needs no case for under-, over- and critical damping. The
    state is (y, eta y'), so that its entries are pure numbers. ``decay`` replaces 2 k.
    """
    stiffness = 2 * rule.weight_decay if decay is None else decay
    propagator, response = _oscillator_step(rule, stiffness, rule.learning_rate)
    powers = [np.eye(2)]
    for _ in range(_BLOCK):
        powers.append(propagator @ powers[-1])
    powers = np.array(powers)
    state = np.stack([start, np.zeros_like(start)])
    drive = 2 / (1 - rule.momentum**2)  # 2 |q'|^2 = drive chi |g|^2
    return _advance(powers[1:], drive * (powers[:-1] @ response)[:, :, None], source, state, chi)


def _oscillate_at_unit(rule, source, start, chi):
    """The same with |g|^2 = |g^|^2/y: nonlinear, so in parts of a step, each with the force of its middle.

    Held over a whole step, a force that falls as y grows throws y too far and back below zero, where no solution goes.
    """
    part = rule.learning_rate / _PARTS
    propagator, response = _oscillator_step(rule, 2 * rule.weight_decay, part)
    middle, pushed = (each[0] for each in _oscillator_step(rule, 2 * rule.weight_decay, part, 0.5))
    drive = np.broadcast_to(2 * chi / (1 - rule.momentum**2), source.shape)
    value = np.empty((len(source) + 1, *source.shape[1:]))
    value[0], y, velocity = start, start, np.zeros_like(start)
    for n in range(len(source)):
        strength = drive[n] * source[n]
        for _ in range(_PARTS):
            force = strength / (middle[0] * y + middle[1] * velocity + pushed * strength / y)
            y, velocity = (
                propagator[0, 0] * y + propagator[0, 1] * velocity + response[0] * force,
                propagator[1, 0] * y + propagator[1, 1] * velocity + response[1] * force,
            )
        value[n + 1] = y
    return value


def _oscillator_step(rule, stiffness, time, fraction=1.0):
    """Propagator and response over a fraction of ``time``, for the state (y, time y')."""
    m = rule.mass
    augmented = np.zeros((3, 3))
    augmented[0, 1] = 1
    augmented[1] = -stiffness * time**2 / m, -rule.friction * time / m, time**2
    propagator = expm(fraction * augmented)
    return propagator[:2, :2], propagator[:2, 2]


def _advance(powers, response, source, state, weight, finish=None):
    """Advance linear states by blocks of steps; one matrix product a block.

    Args:
        powers: (block, n, n), the propagator over 1, 2, ... steps.
        response: (block, n, 1), what a unit source in the last, last but one, ... step leaves behind.
        source: (steps, ...); state: (n, ...) at the start; weight: multiplies the source.
        finish: (x, out=x) -> x, applied to what is returned while it is in the cache.

    Returns:
        The first component of the state, (steps + 1, ...), the start first.
    """
    steps, shape = len(source), source.shape[1:]
    out = np.empty((steps + 1, *shape))
    flat, flat_source, state = out.reshape(steps + 1, -1), source.reshape(steps, -1), state.reshape(len(state), -1)
    flat[0] = state[0]
    weight = np.asarray(weight, float)
    rows = np.broadcast_to(weight, source.shape).reshape(steps, -1) if weight.ndim else None
    lag = np.subtract.outer(np.arange(_BLOCK), np.arange(_BLOCK))
    kernel = np.where((lag >= 0)[None], np.moveaxis(response[:, :, 0], 1, 0)[:, np.maximum(lag, 0)], 0.0)
    if rows is None:
        kernel = kernel * weight
    for begin in range(0, steps, _BLOCK):
        size = min(_BLOCK, steps - begin)
        drive = flat_source[begin : begin + size]
        if rows is not None:
            drive = drive * rows[begin : begin + size]
        block = flat[begin + 1 : begin + 1 + size]
        np.matmul(kernel[0, :size, :size], drive, out=block)
        block += powers[:size, 0] @ state
        state = powers[size - 1] @ state + kernel[:, size - 1, :size] @ drive
        if finish is not None:
            finish(block, out=block)
    if finish is not None:
        finish(flat[0], out=flat[0])
    return out


def _closure(rule, closure, shape):
    if isinstance(closure, str):
        if closure not in ("smooth", "white"):
            raise InvalidInput(f'expected closure "smooth", "white" or chi, got {closure!r}; choose one')
        chi = (1 + rule.momentum) / (1 - rule.momentum) if closure == "smooth" else 1.0
        return chi, f"{closure} closure"
    chi = np.asarray(closure, float)
    try:
        np.broadcast_to(chi, shape)
    except ValueError:
        raise InvalidInput(
            f"expected chi to broadcast to squared_gradient, {shape}, got {chi.shape}; give one a step and unit"
        ) from None
    if not np.isfinite(chi.sum()) or chi.min() < 0:
        raise InvalidInput(f"expected finite chi >= 0, got a minimum of {chi.min()}; measure it over longer windows")
    return chi, "measured closure"


def _checked(rule, squared_gradient, initial):
    rule.require_linear("for other rules use nld.theory.discrete")
    source, start = np.asarray(squared_gradient, float), np.asarray(initial, float)
    if source.ndim not in (1, 2) or source.shape[0] == 0:
        raise InvalidInput(
            f"expected squared_gradient of shape (steps,) or (steps, units), got {source.shape}; put steps first"
        )
    try:
        start = np.broadcast_to(start, source.shape[1:]).copy()
    except ValueError:
        raise InvalidInput(
            f"expected initial of shape {source.shape[1:]} like one step of squared_gradient, got {start.shape}; "
            "give one number a unit"
        ) from None
    # one sum finds any NaN or infinity without a temporary as large as the input
    if not np.isfinite(source.sum()) or not np.isfinite(start).all():
        raise InvalidInput(
            "expected finite squared_gradient and initial, got NaN or infinity; mask diverged units first"
        )
    return source, start


def _prediction(rule, quantity, value, source, unit, given=("squared_gradient",)):
    return Prediction(quantity, np.arange(len(value)) * rule.learning_rate, value, source, unit, given)
