"""The random-gradient model: a scale-invariant unit whose gradients are noise, and what becomes of its norm.

The gradient is white, normal, orthogonal to q and as long as |g^|/|q|: all that scale invariance demands of a loss,
and nothing else of a network. There is none here, so this is no training loop: a rule acts on one array of units.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nld.errors import InvalidInput
from nld.learning_rules.rules import LearningRule, tangential
from nld.results import arithmetic


@dataclass(frozen=True)
class Settled:
    """Means over units and over the last part of a walk.

    Args:
        squared_norm: <|q|^2>, in w^2.
        angular_step: root of the mean squared angle between q_n and q_{n+1}, in radians.
        radial_step: <(q_{n+1} - q_n) . q_n>/<|q|^2>: what a step does along q.
    """

    squared_norm: float
    angular_step: float
    radial_step: float


def walk(rule: LearningRule, *, start: float, steps: int, settle: int, **units) -> Settled:
    """Walk independent units and average over all steps after the first ``settle``.

    Args:
        settle: how many of the steps are not counted; all else as in ``pairs``.

    Raises:
        ValueError: no step is left to average over.
    """
    if not 0 <= settle < steps:
        raise InvalidInput(f"expected 0 <= settle < steps, got {settle} and {steps}; walk longer")
    sums = np.zeros((3, 1))
    for n, (q, moved) in enumerate(pairs(rule, start=start, steps=steps, **units)):
        if n < settle:
            continue
        norm, along = (q * q).sum(-1), (q * moved).sum(-1)
        across = np.sqrt(np.maximum(norm * (moved * moved).sum(-1) - along**2, 0))
        sums = sums + np.array([norm, np.arctan2(across, along) ** 2, along - norm])
    norm, turn, radial = sums / (steps - settle)
    return Settled(float(norm.mean()), float(np.sqrt(turn.mean())), float(radial.mean() / norm.mean()))


def squared_norms(rule: LearningRule, *, start: float, steps: int, **units) -> np.ndarray:
    """|q_n|^2 of a walk before the first step and after each: (steps + 1, units). Arguments as in ``pairs``."""
    rows = [(moved * moved).sum(-1) for _, moved in pairs(rule, start=start, steps=steps, **units)]
    return np.array([np.full_like(rows[0], start**2), *rows])


def pairs(
    rule: LearningRule,
    *,
    start: float,
    steps: int,
    squared_gradient: float = 1.0,
    size: int = 1000,
    units: int = 8,
    seed: int = 0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """q before and after each step of a walk, (units, size).

    Args:
        rule: acts on all units as one array.
        start: |q_0|, in w; buffers start empty.
        squared_gradient: E|g^|^2 at unit norm, in ℓ^2.
        size: coordinates of a unit.
        units: how many walk, independent of each other.
    """
    random = np.random.default_rng(seed)
    q = random.standard_normal((units, size))
    q = arithmetic.moved(q * (start / np.sqrt((q * q).sum(-1, keepdims=True))))
    state: tuple = ()
    for _ in range(steps):
        noise = tangential(q, random.standard_normal(q.shape))
        # Of the C coordinates of the noise, C - 1 are left.
        noise *= np.sqrt(squared_gradient / (size - 1) / (q * q).sum(-1))[:, None]
        moved, state = rule.step(q, state, lambda _, noise=noise: noise)
        yield q, moved
        q = moved
