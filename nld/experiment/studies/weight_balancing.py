"""Balancing a ReLU network without training: multiplicative updates that lower a norm and leave the function alone.

Every hidden unit i may have a factor a_i > 0 on its incoming weights and 1/a_i on its outgoing ones. Among these
networks, all of one function, the norm (sum_i (sum_j |W_ij|^p)^{q/p})^{1/q}, i over all units and j over what they
receive, is least where sum_j pi_ij = sum_k pi_ki at each hidden unit, pi_ij = |W_ij|^p (sum_l |W_il|^p)^{q/p-1}.
Reference: Saul 2023.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nld.errors import InvalidInput

Layers = list[np.ndarray]  # W_1, W_2, ..., of shape (units, inputs) each


@dataclass(frozen=True, eq=False)
class Balancing:
    """Weights after balancing, and what was seen on the way.

    Args:
        weights: W_1, W_2, ...
        norm: before each update and at the end, shape (updates + 1,).
        imbalance: largest |log(sum_k pi_ki / sum_j pi_ij)| of the hidden units, likewise.
    """

    weights: Layers
    norm: np.ndarray
    imbalance: np.ndarray


def balance(weights: Layers, p: float, q: float, updates: int, power: float | None = None) -> Balancing:
    """a_i <- (sum_k pi_ki / sum_j pi_ij)^power for all hidden units at once, again and again.

    Args:
        weights: W_1, W_2, ..., without zero rows or columns.
        p, q: of the norm, positive.
        updates: how many.
        power: 1/(4 max(p, q)) if None, at which the norm never rises.

    Raises:
        ValueError: p or q is not positive, or a hidden unit has no weights on one side.
    """
    if not (p > 0 and q > 0):
        raise InvalidInput(f"expected p > 0 and q > 0, got {p} and {q}")
    if any(not (np.abs(w).sum(1) > 0).all() for w in weights) or any(not w.any(0).all() for w in weights[1:]):
        raise InvalidInput("expected weights on both sides of every hidden unit; remove the units that have none")
    power = 1 / (4 * max(p, q)) if power is None else power
    norms, imbalances = [], []
    for _ in range(updates + 1):
        shares = [_share(w, p, q) for w in weights]
        norms.append(sum(share.sum() for share in shares) ** (1 / q))
        ratios = [after.sum(0) / before.sum(1) for before, after in pairwise(shares)]
        imbalances.append(max(float(np.abs(np.log(ratio)).max()) for ratio in ratios))
        if len(norms) <= updates:
            weights = rescaled(weights, [ratio**power for ratio in ratios])
    return Balancing(weights, np.array(norms), np.array(imbalances))


def rescaled(weights: Layers, factors: list[np.ndarray]) -> Layers:
    """The same function: incoming weights of each hidden unit times its factor, outgoing ones over it."""
    ends = [np.ones(weights[0].shape[1]), *factors, np.ones(len(weights[-1]))]
    return [a[:, None] * w / b for w, b, a in zip(weights, ends, ends[1:], strict=False)]


def _share(w: np.ndarray, p: float, q: float) -> np.ndarray:
    """pi of a layer, whose sum is its part of the norm's q-th power."""
    powers = np.abs(w) ** p
    return powers * powers.sum(1, keepdims=True) ** (q / p - 1)
