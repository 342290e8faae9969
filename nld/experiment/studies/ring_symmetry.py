"""Maps of the values at the corners of a hexagon, and which of its twelve symmetries they respect or break fairly.

A map is *equivariant* if f(g x) = g f(x). Then f(x) has every symmetry that x has. It is *equivariant up to the
symmetries of x* if f(g x) = g' f(x) for a g' that does to x what g does (Kaba and Ravanbakhsh 2023).
"""

from collections.abc import Callable

import numpy as np

SIZE = 6
Map = Callable[[np.ndarray], np.ndarray]
GROUP = tuple(np.roll(np.arange(SIZE)[::turn], shift) for turn in (1, -1) for shift in range(SIZE))  # g x = x[g]
INPUTS = {  # by the number of symmetries that each has
    12: np.ones(SIZE),
    6: np.array([2.0, 1.0] * 3),
    4: np.array([2.0, 1.0, 1.0] * 2),
    2: np.array([3.0, 1.0, 0.0, 2.0, 0.0, 1.0]),
    1: np.array([0.3, 1.7, 0.6, 2.2, 0.1, 1.1]),
}


def message_passing(x: np.ndarray) -> np.ndarray:
    """Two rounds in which every corner adds its neighbours: equivariant."""
    for _ in range(2):
        x = np.tanh(x + 0.5 * (np.roll(x, 1) + np.roll(x, -1)))
    return x


def by_position(x: np.ndarray) -> np.ndarray:
    """The same with a mark on every second corner: it breaks symmetries, those of generic inputs too."""
    return message_passing(x) * np.where(np.arange(SIZE) % 2, 1, -1)


def by_representative(x: np.ndarray) -> np.ndarray:
    """``by_position`` of the largest among the transforms of x, transformed back: equivariant up to x's symmetries."""
    best = max(GROUP, key=lambda g: tuple(x[g]))
    found = np.empty(SIZE)
    found[best] = by_position(x[best])
    return found


MAPS: dict[str, Map] = {
    "equivariant": message_passing, "by position": by_position, "by representative": by_representative,
}  # fmt: skip


def equivariant(f: Map, x: np.ndarray, up_to_symmetries: bool = False) -> int:
    """For how many of the twelve g f(g x) is g f(x), or g' f(x) for a g' with g' x = g x."""

    def right(g: np.ndarray) -> bool:
        allowed = [h for h in GROUP if np.array_equal(x[h], x[g])] if up_to_symmetries else [g]
        return any(np.allclose(f(x[g]), f(x)[h], rtol=0, atol=1e-12) for h in allowed)

    return sum(right(g) for g in GROUP)


def one_coloured(f: Map, x: np.ndarray) -> float:
    """Expected share of edges whose corners get the same of two colours, by chance sigmoid(8 (f - threshold)).

    At the best of many thresholds; a half is what equal chances at all corners reach.
    """
    thresholds = np.linspace(-2, 2, 401)[:, None]
    first = 1 / (1 + np.exp(-8 * (f(x) - thresholds)))
    second = np.roll(first, 1, axis=1)
    return float((first * second + (1 - first) * (1 - second)).mean(1).min())
