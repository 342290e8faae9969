"""Events in time, each type a complex vector whose phases turn as time passes; what a shift of all times does.

A type with vector u scores f(t) = Re <u, r(t)>/|u| with r_k(t) = exp(i omega_k t)/sqrt(d). It is trained to score
TARGET when it happens and zero otherwise. If all times are s later, u exp(i omega s) has the loss that u had. Points
are real: the real parts of all entries, then the imaginary ones, shape (2 types d,).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

DIMENSION, LENGTH, FASTEST, TARGET, OCCURRENCES = 128, 200, 600.0, 0.4, 6
FREQUENCIES = ((2 * np.pi * FASTEST) ** (np.arange(DIMENSION) / DIMENSION) - 1) / LENGTH


@dataclass(frozen=True, eq=False)
class TimeEmbedding:
    """What happened when.

    Args:
        happened: shape (types, LENGTH), one or zero.
        later: time of the first column.
    """

    happened: np.ndarray
    later: float = 0.0

    def vectors(self, q: np.ndarray) -> np.ndarray:
        """u / |u| of each type, complex, shape (..., types, d)."""
        u = _complex(q, len(self.happened))
        return u / np.linalg.norm(u, axis=-1, keepdims=True)

    def gradient(self, q: np.ndarray) -> np.ndarray:
        """Of the sum over types of the mean squared errors of times with and without an event."""
        u = _complex(q, len(self.happened))
        length = np.linalg.norm(u, axis=-1, keepdims=True)
        score = (u / length @ self._clock.conj().T).real
        into = 2 * self._weight * (score - TARGET * self.happened) @ self._clock
        radial = (into * u.conj()).real.sum(-1, keepdims=True) / length**2
        return _real((into - radial * u) / length)

    @cached_property
    def _clock(self) -> np.ndarray:
        """r(t) at all times, shape (LENGTH, d)."""
        return turned(self.later + np.arange(LENGTH)) / np.sqrt(DIMENSION)

    @cached_property
    def _weight(self) -> np.ndarray:
        """Of the error at each time: means over the times with and without an event."""
        return self.happened / OCCURRENCES + (1 - self.happened) / (LENGTH - OCCURRENCES)


def turned(times: np.ndarray) -> np.ndarray:
    """exp(i omega t), shape (times, d)."""
    return np.exp(1j * FREQUENCIES * np.asarray(times)[..., None])


def rotated(q: np.ndarray, shift: float) -> np.ndarray:
    """The point whose types score at every time plus ``shift`` what these do at that time."""
    return _real(_complex(q, q.shape[-1] // (2 * DIMENSION)) * turned(np.array(shift)))


def lagged_pairs(seed: int, pairs: int = 20, others: int = 40) -> tuple[TimeEmbedding, np.ndarray, np.ndarray]:
    """Types 2 i and 2 i + 1 happen with a fixed lag, the others at random: events, lags and a random start."""
    random = np.random.default_rng([seed, 7])
    lags = random.integers(3, 40, size=pairs)
    happened = np.zeros((2 * pairs + others, LENGTH))
    for pair, lag in enumerate(lags):
        times = random.choice(LENGTH - lag, OCCURRENCES, replace=False)
        happened[2 * pair, times] = happened[2 * pair + 1, times + lag] = 1
    for other in range(2 * pairs, len(happened)):
        happened[other, random.choice(LENGTH, OCCURRENCES, replace=False)] = 1
    return TimeEmbedding(happened), lags, random.normal(size=2 * len(happened) * DIMENSION)


def distances(first: np.ndarray, second: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """|second - first exp(i omega lag)|^2 of unit vectors, shape (..., lags)."""
    return (np.abs(second[..., None, :] - first[..., None, :] * turned(lags)) ** 2).sum(-1)


def _complex(q: np.ndarray, types: int) -> np.ndarray:
    real, imaginary = np.split(q.reshape(*q.shape[:-1], 2, types, DIMENSION), 2, axis=-3)
    return (real + 1j * imaginary).squeeze(-3)


def _real(u: np.ndarray) -> np.ndarray:
    return np.concatenate([np.real(u).ravel(), np.imag(u).ravel()])
