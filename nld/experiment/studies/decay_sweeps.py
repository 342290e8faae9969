"""Linear chains under weight decay: sweeps of the decay up and down, and what is left at each decay."""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from nld.errors import InvalidInput
from nld.experiment.datasets import data
from nld.experiment.studies.linear_chain import LinearChain
from nld.learning_rules.rules import gradient_descent, iterate


def digits_chain(hidden_layers: int, width: int = 16) -> LinearChain:
    """Linear layers from the pixels of digits to their ten classes, both centred.

    One hidden layer switches on below a decay of the largest singular value of E[y x^T], whatever E[x x^T] is.
    """
    source = data.digits()
    x = source.normalized(source.train_images, torch.float64).flatten(1).numpy()
    y = np.eye(source.classes)[source.train_labels.numpy()]
    x, y = x - x.mean(0), y - y.mean(0)
    covariance, correlation = x.T @ x / len(x), y.T @ x / len(x)
    target = correlation @ np.linalg.pinv(covariance, hermitian=True)
    return LinearChain((x.shape[1], *[width] * hidden_layers, y.shape[1]), target, covariance)


@dataclass(frozen=True, kw_only=True)
class HysteresisSweep:
    """Weight decay raised in stages from a trained chain, and lowered from one that has switched off.

    Each stage starts where the last one ended, after a small random kick, without which a point at rest on zero would
    stay there whether it is a minimum or not.

    Args:
        decays: gamma of each stage of the sweep upwards, increasing; the sweep downwards has them in reverse.
        hidden_layers: D.
        inputs: of the first layer; there is one output.
        width: of the hidden layers.
        strength: norm of the target, a vector.
        curvature: a, of inputs with E[x x^T] = a 1.
        learning_rate: in w²/ℓ.
        steps: of gradient descent in each stage.
        kick: deviation of what is added to each weight before a stage.
        seed: of the start, the target's direction and the kicks.

    Raises:
        ValueError: decays that do not increase, or no hidden layer.
    """

    decays: tuple[float, ...]
    hidden_layers: int
    inputs: int = 3
    width: int = 4
    strength: float = 1.0
    curvature: float = 1.0
    learning_rate: float = 0.05
    steps: int = 2000
    kick: float = 1e-3
    seed: int = 0

    def __post_init__(self):
        if self.hidden_layers < 1 or not self.decays or not (np.diff(self.decays) > 0).all():
            raise InvalidInput(
                f"expected increasing decays and at least one hidden layer, got {self.decays} and {self.hidden_layers}"
            )

    def chain(self) -> LinearChain:
        """The layers and their target."""
        direction = np.random.default_rng([self.seed, 1]).normal(size=(1, self.inputs))
        target = self.strength * direction / np.linalg.norm(direction)
        return LinearChain((self.inputs, *[self.width] * self.hidden_layers, 1), target, self.curvature)


def sweep(experiment: HysteresisSweep) -> xr.Dataset:
    """Both directions side by side: ``norm`` of the product at the end of each stage, (direction, decay).

    ``imbalance`` is the largest entry of all charges there.
    """
    chain, random = experiment.chain(), np.random.default_rng([experiment.seed, 2])
    stages = np.array([experiment.decays, experiment.decays[::-1]])
    q = np.stack([chain.start(experiment.seed, 1.0), chain.start(experiment.seed, 0.0)])
    norms, imbalances = [], []
    for decay in stages.T:
        rule = gradient_descent(experiment.learning_rate, 2 * decay[:, None])  # the gradient of gamma |W|²
        q = q + experiment.kick * random.normal(size=q.shape)
        q = iterate(rule, chain.gradient, q, experiment.steps).position[-1]
        norms.append(np.linalg.norm(chain.product(q), axis=(1, 2)))
        imbalances.append(np.max([np.abs(charge).max((1, 2)) for charge in chain.charges(q)], axis=0))
    up, down = np.array(norms).T
    rising, falling = np.array(imbalances).T
    return xr.Dataset(
        {
            "norm": (("direction", "decay"), [up, down[::-1]]),
            "imbalance": (("direction", "decay"), [rising, falling[::-1]]),
        },
        coords={"direction": ["up", "down"], "decay": list(experiment.decays)},
    )


def singular_values(chain: LinearChain, decays, learning_rate: float, steps: int, seed: int = 0) -> np.ndarray:
    """Of the product after training at each decay, all from one random start: shape (decays, modes)."""
    decays = np.asarray(decays, float)
    start = np.stack([chain.start(seed, 1.0)] * len(decays))
    rule = gradient_descent(learning_rate, 2 * decays[:, None])
    q = iterate(rule, chain.gradient, start, steps).position[-1]
    return np.linalg.svd(chain.product(q), compute_uv=False)
