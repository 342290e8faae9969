"""Two layers with an element-wise activation between them, on inputs that are the identity: flow and steps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nld.experiment.training.runge_kutta import runge_kutta
from nld.learning_rules.rules import gradient_descent, iterate

LEAK = 0.1


def _sigmoid(v: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-v))


# The activation and its slope, from the weights V that are its arguments.
ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {
    "linear": (lambda v: v, np.ones_like),
    "ReLU": (lambda v: np.maximum(v, 0), lambda v: (v > 0) * 1.0),
    "leaky ReLU": (lambda v: np.where(v > 0, v, LEAK * v), lambda v: np.where(v > 0, 1.0, LEAK)),
    "tanh": (np.tanh, lambda v: 1 / np.cosh(v) ** 2),
    "sigmoid": (_sigmoid, lambda v: _sigmoid(v) * _sigmoid(-v)),
}


@dataclass(frozen=True, eq=False)
class ElementwiseNetwork:
    """U sigma(V) for the target Y: what two layers compute on inputs that are the columns of the identity.

    The loss is |U sigma(V) - Y|^2/(2 inputs). Points are flat, U before V, and any leading axes are runs side by side.

    Args:
        activation: a name in ``ACTIVATIONS``.
        units: of the hidden layer.
        target: Y, shape (outputs, inputs).
    """

    activation: str
    units: int
    target: np.ndarray

    def weights(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """U, shape (..., outputs, units), and V, shape (..., units, inputs), of a flat point or of a gradient."""
        outputs, inputs = self.target.shape
        outgoing, incoming = np.split(q, [outputs * self.units], axis=-1)
        return outgoing.reshape(*q.shape[:-1], outputs, self.units), incoming.reshape(*q.shape[:-1], self.units, inputs)

    def gradient(self, q: np.ndarray) -> np.ndarray:
        """Of the loss, flat."""
        sigma, slope = ACTIVATIONS[self.activation]
        outgoing, incoming = self.weights(q)
        active = sigma(incoming)
        error = (outgoing @ active - self.target) / self.target.shape[1]
        parts = error @ active.mT, (outgoing.mT @ error) * slope(incoming)
        return np.concatenate([part.reshape(*q.shape[:-1], -1) for part in parts], axis=-1)

    def loss(self, q: np.ndarray) -> np.ndarray:
        """|U sigma(V) - Y|^2/(2 inputs)."""
        outgoing, incoming = self.weights(q)
        error = outgoing @ ACTIVATIONS[self.activation][0](incoming) - self.target
        return (error**2).sum((-1, -2)) / (2 * self.target.shape[1])

    def start(self, seed: int, draws: int = 1) -> np.ndarray:
        """Random flat points, shape (draws, weights): entries of U have variance 1/units, those of V 1/inputs."""
        outputs, inputs = self.target.shape
        random = np.random.default_rng(seed)
        outgoing = random.normal(size=(draws, outputs * self.units)) / np.sqrt(self.units)
        return np.hstack([outgoing, random.normal(size=(draws, self.units * inputs)) / np.sqrt(inputs)])


def flow(network: ElementwiseNetwork, q: np.ndarray, end: float, step: float) -> np.ndarray:
    """Points of gradient flow at 0, step, ..., end, by Runge and Kutta's method."""
    return runge_kutta(lambda point: -network.gradient(point), q, end, step)


def descend(network: ElementwiseNetwork, q: np.ndarray, rate: float, end: float) -> np.ndarray:
    """Points of gradient descent until the time steps times rate reaches ``end``."""
    return iterate(gradient_descent(rate), network.gradient, q, round(end / rate)).position
