"""One head of softmax attention with all four biases: its gradient, its charges, and shifts that leave its outputs.

Points are flat. Weights stand with their bias in the last column: query, key and value of shape (head, width + 1),
output of shape (width, head + 1).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from nld.finder import ConservationLaws, count_conservation_laws

NAMES = ("query", "key", "value", "output")
BIASES = {"none": (), "key": ("key",), "value and output": ("value", "output"), "all": NAMES}


@dataclass(frozen=True, eq=False)
class BiasedAttention:
    """A head that learns the outputs of another one; the loss is the mean over tokens of |output - y|^2 / 2.

    Args:
        head: hidden dimension of queries, keys and values.
        x: tokens, shape (sequences, tokens, width).
        y: targets of the same shape.
    """

    head: int
    x: np.ndarray
    y: np.ndarray

    def maps(self, q: np.ndarray) -> dict[str, np.ndarray]:
        """Views of flat points, by name, shapes (..., rows, columns)."""
        shapes = _shapes(self.x.shape[-1], self.head)
        ends = np.cumsum([0, *(rows * columns for rows, columns in shapes)])
        parts = (q[..., first:last] for first, last in pairwise(ends))
        return {
            name: part.reshape(*q.shape[:-1], *shape) for name, part, shape in zip(NAMES, parts, shapes, strict=True)
        }

    def outputs(self, q: np.ndarray) -> np.ndarray:
        """Of all tokens, shape (sequences, tokens, width)."""
        return self._forward(q)[-1]

    def loss(self, q: np.ndarray) -> float:
        """Mean over tokens of |output - y|^2 / 2."""
        return float(((self.outputs(q) - self.y) ** 2).sum(-1).mean() / 2)

    def gradient(self, q: np.ndarray) -> np.ndarray:
        """Of the loss, flat."""
        maps, x = self.maps(q), _with_one(self.x)
        (query, key, value), weights, mixed, out = self._forward(q)
        error = (out - self.y) / out[..., 0].size
        back = error @ maps["output"][:, :-1]
        along = back @ value.mT
        scores = weights * (along - (weights * along).sum(-1, keepdims=True))
        into = (scores @ key, scores.mT @ query, weights.mT @ back)
        parts = [_summed(g, x) for g in into] + [_summed(error, _with_one(mixed))]
        return np.concatenate([part.ravel() for part in parts])

    def charges(self, q: np.ndarray, biases: bool = True) -> dict[str, np.ndarray]:
        """Squares of query minus those of key, and of value minus those of output; shapes (..., head, head).

        With ``biases`` those that act before the head's dimension count: of query, key and value, not of the output.
        """
        maps = self.maps(q)
        query, key, value = (maps[name] if biases else maps[name][..., :-1] for name in NAMES[:3])
        output = maps["output"][..., :-1]
        return {
            "query and key": query @ query.mT - key @ key.mT,
            "value and output": value @ value.mT - output.mT @ output,
        }

    def shifted(self, q: np.ndarray, name: str, shift: np.ndarray) -> np.ndarray:
        """The point with another bias of the "key" or of the "value" and the same outputs."""
        q = q.copy()
        maps = self.maps(q)
        maps[name][:, -1] += shift
        if name == "value":  # attention's weights add up to one
            maps["output"][:, -1] -= maps["output"][:, :-1] @ shift
        return q

    def _forward(self, q: np.ndarray):
        maps, x = self.maps(q), _with_one(self.x)
        query, key, value = (x @ maps[name].T for name in NAMES[:3])
        scores = query @ key.mT
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights = weights / weights.sum(-1, keepdims=True)
        mixed = weights @ value
        return (query, key, value), weights, mixed, _with_one(mixed) @ maps["output"].T


def taught(seed: int, width: int = 4, head: int = 2, sequences: int = 16, tokens: int = 6, size: float = 0.5):
    """A head on normal tokens, with targets from another one, and a random start: (head, start)."""
    random = np.random.default_rng([seed, 2])
    x = random.normal(size=(sequences, tokens, width))
    numbers = sum(rows * columns for rows, columns in _shapes(width, head))
    teacher, start = (size * random.normal(size=numbers) for _ in range(2))
    return BiasedAttention(head, x, BiasedAttention(head, x, x).outputs(teacher)), start


def law_counts(biases: tuple[str, ...], flow: str, seed: int = 0, width: int = 2, head: int = 1) -> ConservationLaws:
    """The laws of a head that has the biases of these maps only."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(6, 4, width, generator=random, dtype=torch.float64)
    shapes = zip(NAMES, _shapes(width, head), strict=True)
    theta = {
        name: torch.randn(rows, columns - (name not in biases), generator=random, dtype=torch.float64)
        for name, (rows, columns) in shapes
    }

    def phi(q):
        def applied(name, y):
            return y @ q[name][:, : y.shape[-1]].mT + (q[name][:, -1] if name in biases else 0)

        query, key, value = (applied(name, x) for name in NAMES[:3])
        return applied("output", torch.softmax(query @ key.mT, -1) @ value)

    return count_conservation_laws(phi, theta, flow, seed=seed)


def _shapes(width: int, head: int) -> list[tuple[int, int]]:
    return [(head, width + 1)] * 3 + [(width, head + 1)]


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones_like(x[..., :1])], axis=-1)


def _summed(back: np.ndarray, x: np.ndarray) -> np.ndarray:
    """sum over tokens of back x^T."""
    return np.einsum("stm,stn->mn", back, x)
