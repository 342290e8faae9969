"""A learning rule on the sphere: every step ends at the norm at which it began."""

import dataclasses

from nld.learning_rules.rules import LearningRule


def held(rule: LearningRule) -> LearningRule:
    """q <- |q| q'/|q'|, where q' is the step of ``rule``; the norm is that of the last axis.

    Then weight decay that bypasses the buffers is a learning rate: (1 - eta k) q - eta u has the direction of
    q - eta u/(1 - eta k), for any u, and so the step is that of a rule without decay and with eta/(1 - eta k).
    """

    def update(_, q, state, gradient):
        moved, state = rule.step(q, state, gradient)
        return ((q * q).sum(-1) / (moved * moved).sum(-1))[..., None] ** 0.5 * moved, state

    return dataclasses.replace(rule, name=f"held {rule.name}", update=update)
