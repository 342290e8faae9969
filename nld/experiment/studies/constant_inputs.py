"""A network with one hidden layer on digits, some of whose inputs are constants: as a bias is, or padding of an image.

Points are flat: first layer (hidden, pixels + constants), then second layer (classes, hidden).
"""

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits

HIDDEN, CLASSES, SAMPLES = 16, 10, 300


@dataclass(frozen=True, eq=False)
class ConstantInputs:
    """tanh of pixels and constants, a linear layer and cross-entropy.

    Args:
        pixels: shape (samples, pixels).
        labels: shape (samples,).
        constants: values of the constant inputs; a one is a bias.
    """

    pixels: np.ndarray
    labels: np.ndarray
    constants: np.ndarray

    @property
    def inputs(self) -> np.ndarray:
        """Pixels and constants, shape (samples, pixels + constants)."""
        return np.concatenate([self.pixels, np.tile(self.constants, (len(self.pixels), 1))], axis=1)

    def layers(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights of pixels, of constants and of the hidden layer, of flat points of any leading shape."""
        width = self.pixels.shape[1]
        first = q[..., : -CLASSES * HIDDEN].reshape(*q.shape[:-1], HIDDEN, width + len(self.constants))
        second = q[..., -CLASSES * HIDDEN :].reshape(*q.shape[:-1], CLASSES, HIDDEN)
        return first[..., :width], first[..., width:], second

    def bias(self, q: np.ndarray) -> np.ndarray:
        """What the constants add to each hidden unit, shape (..., hidden)."""
        return self.layers(q)[1] @ self.constants

    def gradient(self, q: np.ndarray) -> np.ndarray:
        """Of the mean cross-entropy, flat."""
        pixel, constant, second = self.layers(q)
        first, x = np.concatenate([pixel, constant], axis=1), self.inputs
        hidden = np.tanh(x @ first.T)
        scores = hidden @ second.T
        weights = np.exp(scores - scores.max(1, keepdims=True))
        back = weights / weights.sum(1, keepdims=True)
        back[np.arange(len(x)), self.labels] -= 1
        back /= len(x)
        into = (back @ second) * (1 - hidden**2)
        return np.concatenate([(into.T @ x).ravel(), (back.T @ hidden).ravel()])


def on_digits(constants) -> ConstantInputs:
    """The network on some of scikit-learn's digits, without pixels that are always the same."""
    pixels, labels = (np.asarray(part)[:SAMPLES] for part in load_digits(return_X_y=True))
    pixels = pixels / 16
    varying = pixels.std(0) > 0  # the others never have a gradient
    return ConstantInputs(pixels[:, varying], labels, np.asarray(constants, float))


def start(network: ConstantInputs, constants: np.ndarray, seed: int) -> np.ndarray:
    """A random start; networks with other ``constants`` begin with the same pixels' weights and the same biases."""
    random = np.random.default_rng(seed)
    pixel = random.normal(size=(HIDDEN, network.pixels.shape[1])) / 8
    second = random.normal(size=(CLASSES, HIDDEN)) / 4
    weights = 0.1 * random.normal(size=(HIDDEN, len(constants)))
    if len(network.constants) < len(constants):  # one constant in place of them all
        weights = (weights @ constants)[:, None] / network.constants
    return np.concatenate([np.concatenate([pixel, weights], axis=1).ravel(), second.ravel()])
