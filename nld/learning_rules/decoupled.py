"""Learning rules beyond AdamW whose weight decay bypasses their buffers: Lion, SGDP, AdamP; and turning by an angle.

A point is an array whose last axis runs over the coordinates of one unit (a filter, a neuron's incoming weights).
References: Chen et al. 2023 (Lion), Heo et al. 2021 (SGDP, AdamP).
"""

import dataclasses
import math
from typing import Any

from nld.learning_rules.rules import LearningRule, adam, tangential


def lion(learning_rate: Any, interpolation: Any = 0.9, momentum: Any = 0.99, weight_decay: Any = 0) -> LearningRule:
    """q <- (1 - eta k) q - eta sign(b buffer + (1 - b) g), then buffer <- beta buffer + (1 - beta) g.

    Args:
        interpolation: b, the optimizer's first beta.
        momentum: beta, its second: the memory of the buffer.
    """
    return LearningRule(
        "Lion",
        _lion_update,
        learning_rate,
        momentum,
        weight_decay,
        gradient_weight=1 - momentum,
        decoupled=True,
        interpolation=interpolation,
    )


def sgdp(
    learning_rate: Any, momentum: Any = 0.9, weight_decay: Any = 0, decay_ratio=0.1, projected=True
) -> LearningRule:
    """buffer <- beta buffer + g, q <- (1 - eta k/(1 - beta)) q - eta P buffer, P removing the part along q.

    The authors decay what they project a tenth as much; ``weight_decay`` of the rule is the product k.

    Args:
        decay_ratio: by which ``weight_decay`` is multiplied.
        projected: False for weights whose length the loss sees; the authors tell them by the gradient's cosine.
    """
    return LearningRule(
        "SGDP",
        _sgdp_update,
        learning_rate,
        momentum,
        decay_ratio * weight_decay if projected else weight_decay,
        decoupled=True,
        projected=projected,
    )


def adamp(
    learning_rate: Any,
    momentum: Any = 0.9,
    square_decay: Any = 0.999,
    weight_decay: Any = 0,
    epsilon=1e-8,
    decay_ratio=0.1,
    projected=True,
) -> LearningRule:
    """AdamW whose step is freed of its part along q: q <- (1 - eta k) q - eta P u. Arguments as for ``sgdp``."""
    decay = decay_ratio * weight_decay if projected else weight_decay
    rule = adam(learning_rate, momentum, square_decay, decay, epsilon, decoupled=True)
    return dataclasses.replace(rule, name="AdamP", projected=projected)


def turned(rule: LearningRule, angle: float) -> LearningRule:
    """A rule whose every step turns a unit by the same angle and leaves its norm: q <- cos(a) q + sin(a) |q| t.

    t is the direction of the step of ``rule`` without its part along q; where there is none, q stays. What weight
    decay does for a normalized unit is then done by hand.

    Args:
        angle: a, in radians.
    """

    def update(_, q, state, gradient):
        moved, state = rule.step(q, state, gradient)
        step = tangential(q, moved - q)
        length = ((q * q).sum(-1) / ((step * step).sum(-1) + 1e-30)) ** 0.5
        turns = ((step * step).sum(-1) > 0) * 1.0
        cosine = 1 + turns * (math.cos(angle) - 1)
        return cosine[..., None] * q + math.sin(angle) * length[..., None] * step, state

    return dataclasses.replace(rule, name=f"turned {rule.name}", update=update)


def _lion_update(rule, q, state, gradient):
    (buffer,) = state or (0,)
    force = gradient(q)
    mixed = rule.interpolation * buffer + (1 - rule.interpolation) * force
    sign = (mixed > 0) * 1.0 - (mixed < 0) * 1.0
    buffer = rule.momentum * buffer + rule.gradient_weight * force
    return (1 - rule.learning_rate * rule.weight_decay) * q - rule.learning_rate * sign, (buffer,)


def _sgdp_update(rule, q, state, gradient):
    (buffer,) = state or (0,)
    buffer = rule.momentum * buffer + gradient(q)
    step = tangential(q, buffer) if rule.projected else buffer
    shrink = 1 - rule.learning_rate * rule.weight_decay / (1 - rule.momentum)
    return shrink * q - rule.learning_rate * step, (buffer,)
