"""The random-gradient model: a scale-invariant unit whose gradients are noise, and what becomes of its norm.

The gradient is white, normal, orthogonal to q and as long as |g^|/|q|: all that scale invariance demands of a loss,
and nothing else of a network.
"""

from dataclasses import dataclass

import numpy as np

from nld.learning_rule import LearningRule


@dataclass(frozen=True)
class Settled:
    """Means over units and over the last part of a walk.

    Args:
        squared_norm: <|q|^2>, in w^2.
        angular_step: root of the mean squared angle between q_n and q_{n+1}, in radians.
        radial_step: <(q_{n+1} - q_n) . q_n>/<|q|^2>: what a step does along q.
        error: standard error of the squared norm over the units, relative.
    """

    squared_norm: float
    angular_step: float
    radial_step: float
    error: float


def walk(
    rule: LearningRule,
    *,
    start: float,
    steps: int,
    settle: int,
    squared_gradient: float = 1.0,
    size: int = 1000,
    units: int = 8,
    seed: int = 0,
) -> Settled:
    """Walk ``units`` independent units and average over all steps after the first ``settle``.

    Args:
        rule: acts on all units as one array (units, size).
        start: |q_0|, in w; buffers start empty.
        steps, settle: how many in all, and how many of them are not counted.
        squared_gradient: E|g^|^2 at unit norm, in l^2.
        size: coordinates of a unit.

    Raises:
        ValueError: no step is left to average over.
    """
    if not 0 <= settle < steps:
        raise ValueError(f"expected 0 <= settle < steps, got {settle} and {steps}; walk longer")
    random = np.random.default_rng(seed)
    q = random.standard_normal((units, size))
    q *= start / np.sqrt((q * q).sum(-1, keepdims=True))
    state, sums = (), np.zeros((3, units))
    for n in range(steps):
        norm = (q * q).sum(-1)
        noise = random.standard_normal(q.shape)
        noise -= q * ((q * noise).sum(-1) / norm)[:, None]
        noise *= np.sqrt(squared_gradient / size / norm)[:, None]
        moved, state = rule.step(q, state, lambda _, noise=noise: noise)
        if n >= settle:
            along = (q * moved).sum(-1)
            across = np.sqrt(np.maximum(norm * (moved * moved).sum(-1) - along**2, 0))
            sums += norm, np.arctan2(across, along) ** 2, along - norm
        q = moved
    norm, turn, radial = sums / (steps - settle)
    error = norm.std(ddof=1) / np.sqrt(units) / norm.mean() if units > 1 else np.nan
    return Settled(norm.mean(), np.sqrt(turn.mean()), radial.mean() / norm.mean(), error)
