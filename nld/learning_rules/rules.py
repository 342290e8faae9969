"""Learning rules: what is run (the discrete update) and what models it (potential, mass, friction) in one value.

The update is plain arithmetic on q, so the same rule runs on numbers, arrays and tensors and
is Taylor-expanded by ``nld.theory.continuum`` with sympy symbols as its rates.

Convention: buffer <- beta buffer + c (g + k q), q <- q - eta buffer, time t = n eta. Then, to
second order in eta (Paper: Eq 3), with mass m = eta (1 + beta)/2 and friction mu = 1 - beta,

    m q'' + mu q' + c (grad f(q) + k q) = 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from nld.errors import InvalidInput
from nld.learning_rules.potentials import Potential, euclidean
from nld.series import Trajectory

Gradient = Callable[[Any], Any]


@dataclass(frozen=True)
class LearningRule:
    """A learning rule and its model. Make one with ``heavy_ball`` and its like.

    Args:
        name: "heavy ball", ...
        update: (rule, q, state, gradient) -> (q, state), one step; ``state`` is a tuple of
            buffers and () before the first step.
        learning_rate: eta, in w^2/ℓ.
        momentum: beta, in [0, 1).
        weight_decay: k, in ℓ/w^2, added to the gradient (or to the step, if ``decoupled``).
        gradient_weight: c, the weight of a new gradient in the momentum buffer.
        potential: h, whose Bregman divergence is the kinetic energy.
        lookahead: how far ahead of q, in units of its velocity, the gradient acts (Nesterov: eta beta).
        square_decay: rho of RMSProp or Adam, the memory of squared gradients.
        epsilon: added to the root of the squared gradients.
        decoupled: whether weight decay bypasses the buffers (AdamW).
        interpolation: share of the old buffer in the direction of a step, where it is not ``momentum`` (Lion).
        projected: whether steps are freed of their part along q (SGDP, AdamP).
    """

    name: str
    update: Callable[..., tuple]
    learning_rate: Any
    momentum: Any = 0
    weight_decay: Any = 0
    gradient_weight: Any = 1
    potential: Potential = euclidean
    lookahead: Any = 0
    square_decay: Any = None
    epsilon: Any = 0
    decoupled: bool = False
    interpolation: Any = None
    projected: bool = False

    @property
    def mass(self):
        """m = eta (1 + beta)/2, in w^2/ℓ. Paper: Eq 3."""
        return self.learning_rate * (1 + self.momentum) / 2

    @property
    def friction(self):
        """mu = 1 - beta. Paper: Eq 3."""
        return 1 - self.momentum

    def require_linear(self, otherwise: str) -> None:
        """Refuse all rules but gradient descent and heavy ball, whose step is linear in past gradients and weights.

        Raises:
            InvalidInput: it is another rule; the message ends with ``otherwise``, what to do instead.
        """
        if self.square_decay is not None or self.potential.name != "euclidean" or self.lookahead:
            raise InvalidInput(f"expected gradient descent or heavy ball, got {self.name}; {otherwise}")

    def step(self, q, state: tuple, gradient: Gradient) -> tuple:
        """One update: (q, state) -> (q, state)."""
        return self.update(self, q, state, gradient)

    def __post_init__(self):
        _check("learning_rate", self.learning_rate, lambda x: 0 < x < np.inf, "a finite number > 0")
        _check("momentum", self.momentum, lambda x: 0 <= x < 1, "a number in [0, 1)")
        _check("weight_decay", self.weight_decay, lambda x: 0 <= x < np.inf, "a finite number >= 0")
        _check("square_decay", self.square_decay, lambda x: 0 <= x < 1, "a number in [0, 1)")
        _check("interpolation", self.interpolation, lambda x: 0 <= x < 1, "a number in [0, 1)")
        _check("epsilon", self.epsilon, lambda x: 0 <= x < np.inf, "a finite number >= 0")


def gradient_descent(learning_rate: Any, weight_decay: Any = 0) -> LearningRule:
    """q <- q - eta (g + k q)."""
    return LearningRule("gradient descent", _mirror_update, learning_rate, 0, weight_decay)


def heavy_ball(learning_rate: Any, momentum: Any = 0.9, weight_decay: Any = 0) -> LearningRule:
    """buffer <- beta buffer + g + k q, q <- q - eta buffer. Paper: Eq 3, 4."""
    return LearningRule("heavy ball", _mirror_update, learning_rate, momentum, weight_decay)


def nesterov(learning_rate: Any, momentum: Any = 0.9, weight_decay: Any = 0) -> LearningRule:
    """buffer <- beta buffer + g + k q, q <- q - eta (g + k q + beta buffer), at constant momentum."""
    return LearningRule(
        "Nesterov", _nesterov_update, learning_rate, momentum, weight_decay, lookahead=learning_rate * momentum
    )


def mirror(learning_rate, potential: Potential, momentum=0, weight_decay=0) -> LearningRule:
    """grad h(q) <- grad h(q) - eta buffer: heavy ball in the dual space of a Bregman potential."""
    return LearningRule("mirror descent", _mirror_update, learning_rate, momentum, weight_decay, potential=potential)


def natural_gradient(learning_rate, potential: Potential, weight_decay=0) -> LearningRule:
    """q <- q - eta F(q)^{-1} (g + k q) with F = Hessian of h: Euler steps of the natural gradient flow."""
    return LearningRule(
        "natural gradient", _natural_gradient_update, learning_rate, 0, weight_decay, potential=potential
    )


def rmsprop(learning_rate, square_decay=0.99, weight_decay=0, epsilon=1e-8) -> LearningRule:
    """G <- rho G + (1 - rho) g^2, q <- q - eta g / (sqrt(G) + epsilon): a metric that follows the gradients."""
    return LearningRule(
        "RMSProp", _rmsprop_update, learning_rate, 0, weight_decay, square_decay=square_decay, epsilon=epsilon
    )


def adam(
    learning_rate: Any,
    momentum: Any = 0.9,
    square_decay: Any = 0.999,
    weight_decay: Any = 0,
    epsilon: Any = 1e-8,
    decoupled=False,
) -> LearningRule:
    """Adam with bias correction: averaged gradient over the root of the averaged square; ``decoupled``: AdamW."""
    return LearningRule(
        "AdamW" if decoupled else "Adam",
        _adam_update,
        learning_rate,
        momentum,
        weight_decay,
        gradient_weight=1 - momentum,
        square_decay=square_decay,
        epsilon=epsilon,
        decoupled=decoupled,
    )


def k_adam(
    learning_rate: Any, momenta: Sequence, square_decays: Sequence, weight_decay: Any = 0, epsilon=1e-8
) -> LearningRule:
    """Adam's average over root of averaged squares, applied k times in a row; weight decay decoupled.

    u^(0) = g, u^(i) = average of u^(i-1) over root of its averaged square, q <- (1 - eta k) q - eta u^(k). One stage
    is AdamW.

    Args:
        momenta: beta_1, ..., beta_k; square_decays: rho_1, ..., rho_k; one each a stage.

    Raises:
        ValueError: no stage, as many momenta as square decays are not given, or one lies outside [0, 1).

    References: Gould and Tanaka 2024.
    """
    if len(momenta) != len(square_decays) or len(momenta) == 0:
        raise InvalidInput(
            f"expected one momentum and one square decay a stage, got {len(momenta)} and {len(square_decays)}; "
            "give both k of them"
        )
    for momentum, square_decay in zip(momenta, square_decays, strict=True):
        _check("momentum", momentum, lambda x: 0 <= x < 1, "a number in [0, 1)")
        _check("square_decay", square_decay, lambda x: 0 <= x < 1, "a number in [0, 1)")
    return LearningRule(
        f"{len(momenta)}-Adam",
        _k_adam_update,
        learning_rate,
        tuple(momenta),
        weight_decay,
        gradient_weight=None,
        square_decay=tuple(square_decays),
        epsilon=epsilon,
        decoupled=True,
    )


def tangential(q, vector):
    """P v = v - q <q, v>/<q, q>, over the last axis."""
    return vector - q * ((q * vector).sum(-1) / (q * q).sum(-1))[..., None]


def iterate(rule: LearningRule, gradient: Gradient, start, steps: int, state: tuple = ()) -> Trajectory:
    """Run a rule on a gradient function, vectorized over any leading axes.

    Args:
        gradient: maps (..., coordinates) to the same shape; may count its own calls (mini-batches).
        start: q_0, shape (..., coordinates).
        steps: how many.
        state: buffers to start from; empty is an optimizer fresh from its constructor.

    Returns:
        Trajectory with position (steps + 1, ..., coordinates), the start first.

    Raises:
        ValueError: if the gradient does not have the shape of the start.
    """
    q = np.array(start, float)
    position = np.empty((steps + 1, *q.shape))
    position[0] = q
    for n in range(steps):
        q, state = rule.step(q, state, gradient)
        if np.shape(q) != position.shape[1:]:
            raise InvalidInput(
                f"expected a gradient of shape {position.shape[1:]}, but one step gave a point of shape {np.shape(q)}; "
                "return one value a coordinate"
            )
        position[n + 1] = q
    return Trajectory(np.arange(steps + 1) * rule.learning_rate, position)


def _mirror_update(rule, q, state, gradient):
    (buffer,) = state or (0,)
    buffer = rule.momentum * buffer + gradient(q) + rule.weight_decay * q
    h = rule.potential
    return h.inverse(h.gradient(q) - rule.learning_rate * buffer), (buffer,)


def _nesterov_update(rule, q, state, gradient):
    (buffer,) = state or (0,)
    force = gradient(q) + rule.weight_decay * q
    buffer = rule.momentum * buffer + force
    return q - rule.learning_rate * (force + rule.momentum * buffer), (buffer,)


def _natural_gradient_update(rule, q, state, gradient):
    force = gradient(q) + rule.weight_decay * q
    return q - rule.learning_rate * rule.potential.inverse_metric(q, force), ()


def _rmsprop_update(rule, q, state, gradient):
    (square,) = state or (0,)
    force = gradient(q) + rule.weight_decay * q
    square = rule.square_decay * square + (1 - rule.square_decay) * force**2
    return q - rule.learning_rate * force / (square**0.5 + rule.epsilon), (square,)


def _adam_update(rule, q, state, gradient):
    force = gradient(q) + (0 if rule.decoupled else rule.weight_decay) * q
    direction, state = _adapted(rule.momentum, rule.square_decay, rule.epsilon, force, state)
    if rule.projected:
        direction = tangential(q, direction)
    shrink = 1 - rule.learning_rate * rule.weight_decay if rule.decoupled else 1
    return shrink * q - rule.learning_rate * direction, state


def _k_adam_update(rule, q, state, gradient):
    direction, stages = gradient(q), []
    for stage, (momentum, square_decay) in enumerate(zip(rule.momentum, rule.square_decay, strict=True)):
        before = state[stage] if state else ()
        direction, after = _adapted(momentum, square_decay, rule.epsilon, direction, before)
        stages.append(after)
    shrink = 1 - rule.learning_rate * rule.weight_decay
    return shrink * q - rule.learning_rate * direction, tuple(stages)


def _adapted(momentum, square_decay, epsilon, force, state):
    """Averaged force over the root of its averaged square, both without the bias of their start at zero."""
    n, buffer, square = state or (0, 0, 0)
    n = n + 1
    buffer = momentum * buffer + (1 - momentum) * force
    square = square_decay * square + (1 - square_decay) * force**2
    scale = (square / (1 - square_decay**n)) ** 0.5 + epsilon
    return buffer / (1 - momentum**n) / scale, (n, buffer, square)


def _check(name: str, value, holds, expected: str) -> None:
    # Symbols pass: a rule with symbolic rates is what the theory expands.
    if isinstance(value, Real) and not holds(value):
        raise InvalidInput(f"expected {name} to be {expected}, got {value}; change {name}")
