"""A ReLU network without biases on random data: its gradient for any learning rule, its charges, and its balancing.

Points are flat. A hidden unit's incoming weights times a, and its outgoing ones over a, are the same network.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nld.experiment.studies.linear_chain import matrices
from nld.experiment.training.runge_kutta import runge_kutta
from nld.learning_rules.potentials import Potential, p_norm
from nld.learning_rules.signed_entropy import signed_entropy

Layers = list[np.ndarray]  # W_1, W_2, ..., of shape (units, inputs) each


@dataclass(frozen=True, eq=False)
class ReluNetwork:
    """Linear layers with a ReLU after all but the last.

    Args:
        widths: inputs, hidden layers, outputs.
        x: shape (samples, inputs).
        y: shape (samples, outputs).
    """

    widths: tuple[int, ...]
    x: np.ndarray
    y: np.ndarray

    def gradient(self, q: np.ndarray) -> np.ndarray:
        """Of the mean over samples of |output - y|^2 / 2, flat."""
        weights = matrices(q, self.widths)
        active = activations(weights, self.x)
        back = (active[-1] - self.y) / len(self.x)
        parts = []
        for index in reversed(range(len(weights))):
            parts.append((back.T @ active[index]).ravel())
            back = (back @ weights[index]) * (active[index] > 0)
        return np.concatenate(parts[::-1])

    def loss(self, q: np.ndarray) -> float:
        """Mean over samples of |output - y|^2 / 2."""
        return float(((activations(matrices(q, self.widths), self.x)[-1] - self.y) ** 2).sum() / 2 / len(self.x))

    def batch(self, rows: np.ndarray) -> "ReluNetwork":
        """The same network on some of the samples."""
        return ReluNetwork(self.widths, self.x[rows], self.y[rows])

    def units(self, q: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Incoming and outgoing weights of the units of each hidden layer, shapes (..., units, weights)."""
        weights = matrices(q, self.widths)
        return [(w, after.mT) for w, after in pairwise(weights)]

    def power_charges(self, q: np.ndarray, p: float) -> np.ndarray:
        """sum |incoming|^p - sum |outgoing|^p of every hidden unit, shape (..., units)."""
        differences = [(np.abs(a) ** p).sum(-1) - (np.abs(b) ** p).sum(-1) for a, b in self.units(q)]
        return np.concatenate(differences, axis=-1)


def activations(weights: Layers, x: np.ndarray) -> Layers:
    """Inputs, what each hidden layer's units put out, and outputs."""
    active = [x]
    for w in weights[:-1]:
        active.append(np.maximum(active[-1] @ w.T, 0))
    return [*active, active[-1] @ weights[-1].T]


def taught_network(widths: tuple[int, ...], samples: int, seed: int) -> tuple[ReluNetwork, np.ndarray]:
    """Normal inputs, targets from another random network of the same widths, and a random start.

    Random targets would do, but training then slides along the kinks of samples, where steps of any method are of
    first order.
    """
    random = np.random.default_rng(seed)
    x = random.normal(size=(samples, widths[0]))
    teacher, start = (_random_weights(widths, random) for _ in range(2))
    return ReluNetwork(widths, x, activations(matrices(teacher, widths), x)[-1]), start


def _random_weights(widths: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Flat, entries of deviation sqrt(2/inputs)."""
    return np.concatenate([np.sqrt(2 / n) * random.normal(size=m * n) for n, m in pairwise(widths)])


def power_potential(q: np.ndarray, p: float) -> Potential:
    """The potential of the metric |q|^{p-2}, for p >= 1; with p = 1 entries keep the signs that q has."""
    return signed_entropy(q) if p == 1 else p_norm(p)


def mirror_flow(network: ReluNetwork, q: np.ndarray, potential: Potential, end: float, step: float) -> np.ndarray:
    """Positions of d/dt grad h(q) = -gradient, shape (times, weights), in steps of Runge and Kutta's in grad h(q)."""
    states = runge_kutta(lambda z: -network.gradient(potential.inverse(z)), potential.gradient(q), end, step)
    return potential.inverse(states)
