"""How the squared norm of a scale-invariant unit moves, between steps that may be far apart, with its source measured.

Let R = |q|². A rule with decoupled decay, q' = (1 - d) q - η u with d = η k, obeys exactly

    R' = (1 - d)² R + η² s,    s = |u|² - 2 (1 - d) <u, q>/η .

s is the source: the squared update times the memory K of successive updates (``nld.theory.rotation``). It does not
depend on R, for AdamW, Lion and Muon divide by the size of the gradient. Equilibrium is at R = η s/(2 k), and is
approached as exp(-2 η k n).

Under heavy ball, with h = η c/(1 - β) and S = χ |ĝ|², the squared gradient at unit norm times its correlation sum,

    dR/dn = -2 h k R + h² S/R,    so that    (R²)' = exp(-4 h k) R² + 2 h² S

up to terms of order h k. It follows from the exact law of the charge, in which S = (1 - β²) |π|² R/c² is measured.
Equilibrium is at R² = h S/(2 k), and is approached as exp(-4 h k n).

In both, y = R^p moves linearly, y' = a y + b s, with p = 1 and 2. Momentum remembers steps of earlier rates: for
updates whose correlation falls as β^j, and exactly for heavy ball, the square of η (or h) above is

    η_n (η_n (1 - β) + 2 β m_n)/(1 + β),    m_{n+1} = β m_n + (1 - β) η_n ,

which is η_n² for a constant rate. References: Kosson, Messmer and Jaggi 2024 for the
equilibria; the exact laws are those of ``nld.theory.discrete``.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class NormLaw:
    """y' = a y + b s of y = |q|^(2 power), for the hyperparameters of every step.

    Args:
        power: 1 for decoupled decay, 2 for heavy ball.
        learning_rate, weight_decay: η, k of every step, shape (steps,).
        momentum: β, of all rules.
        coefficient: c of heavy ball.
    """

    power: int
    learning_rate: np.ndarray
    weight_decay: np.ndarray
    momentum: float = 0.0
    coefficient: float = 1.0

    @property
    def rate(self) -> np.ndarray:
        """h: η, or η c/(1 - β) for heavy ball, (steps,)."""
        return self.learning_rate * (self.coefficient / (1 - self.momentum) if self.power == 2 else 1.0)

    @property
    def log_decay(self) -> np.ndarray:
        """log a of every step, (steps,)."""
        decay = self.rate * self.weight_decay
        return 2 * np.log1p(-np.minimum(decay, 0.999)) if self.power == 1 else -4 * decay

    def between(self, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A and B of y_end = A y_start + B s over the steps from each edge to the next, (edges - 1,) each.

        Args:
            edges: numbers of steps, counted from the first that the law was given, increasing.
        """
        total = np.concatenate([[0.0], np.cumsum(self.log_decay)])
        source = self.power * self.rate * self._remembered()
        left, right = edges[:-1], edges[1:]
        end_of = np.repeat(right, right - left)
        steps = np.arange(edges[0], edges[-1])
        pushed = source[steps] * np.exp(total[end_of] - total[steps + 1])
        return np.exp(total[right] - total[left]), np.add.reduceat(pushed, left - edges[0])

    def _remembered(self) -> np.ndarray:
        """(h_n (1 - β) + 2 β m_n)/(1 + β) of every step, (steps,): the rates at which past steps were taken."""
        beta, rate = self.momentum, self.rate
        mean = np.empty_like(rate)
        m = rate[0]
        for number, now in enumerate(rate):
            mean[number] = m
            m = beta * m + (1 - beta) * now
        return (rate * (1 - beta) + 2 * beta * mean) / (1 + beta)

    def stationary(self) -> np.ndarray:
        """y/s where it stands still at the rate of each step, (steps,); infinite without decay."""
        with np.errstate(divide="ignore"):
            return self.power * self.rate**2 / -np.expm1(self.log_decay)

    def relaxation(self) -> np.ndarray:
        """Steps in which a squared norm comes e times nearer to its equilibrium, (steps,); infinite without decay."""
        with np.errstate(divide="ignore"):
            return -1 / self.log_decay
