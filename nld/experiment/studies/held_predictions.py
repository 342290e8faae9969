"""What can be said of a class of tensors before training: whether it carries the temperature, and how far it will grow.

Multiply a class by c. If the centred logits z answer by c^ζ, the class carries a power ζ of their *temperature*,

    ζ = <z, dz/dlog c> / <z, z>.

Under Adam all entries move alike, by about η a step, so that a class of root mean square r can change its logarithm at
the rate η/r, and the temperature at the rate η ζ/r. A class's share of all these rates says whether others could do it.
If steps had independent signs, norms would grow by G = sqrt(1 + sum η_n²/r²).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call, jvp

from nld.experiment.studies.held_classes import TRAINING, Training, classes, training_batches
from nld.experiment.studies.held_networks import Digits, Text
from nld.experiment.training.networks import from_seed

CARRIES = 0.5  # of the temperature's rates, for a class to be its carrier
GROWS = 2.0  # predicted growth from which holding is predicted to help


@dataclass(frozen=True)
class Prediction:
    """What is known of a class at the start.

    Args:
        degree: ζ.
        share: of the rates at which the temperature can be changed, those of gains included.
        growth: G.
    """

    degree: float
    share: float
    growth: float

    @property
    def effect(self) -> int:
        """Of holding: 1 harmful, 0 harmless, -1 helpful."""
        if self.share > CARRIES:
            return 1
        return -1 if self.growth > GROWS else 0


def predictions(shape: Text | Digits, seed: int = 0, training: Training = TRAINING) -> dict[str, Prediction]:
    """Of each class, from the start of this seed and its first batch."""
    network = from_seed(seed, shape.build)
    inputs, _ = next(training_batches(shape, seed, training))
    steps = sum(training.schedule(step) ** 2 for step in range(training.steps)) ** 0.5 * training.learning_rate
    matrices = classes(network)
    rest = {name for name, _ in network.named_parameters()} - {name for names in matrices.values() for name in names}
    groups = {**matrices, **{name: [name] for name in sorted(rest)}}
    sizes = {label: root_mean_square(network, names) for label, names in groups.items()}
    degrees = {label: degree(network, names, inputs) for label, names in groups.items()}
    rates = {label: max(degrees[label], 0.0) / size for label, size in sizes.items() if size > 0}
    return {
        label: Prediction(degrees[label], rates[label] / sum(rates.values()), (1 + (steps / sizes[label]) ** 2) ** 0.5)
        for label in matrices
    }


def degree(network: nn.Module, names: list[str], inputs: torch.Tensor) -> float:
    """ζ of the tensors of these names, multiplied together."""
    own = {name: q.detach() for name, q in network.named_parameters()}

    def centred(logarithm: torch.Tensor) -> torch.Tensor:
        scaled: Mapping[str, torch.Tensor] = {n: q * logarithm.exp() if n in names else q for n, q in own.items()}
        logits = functional_call(network, dict(scaled), (inputs,))
        return logits - logits.mean(-1, keepdim=True)

    logits, change = jvp(centred, (torch.zeros(()),), (torch.ones(()),))  # pyright: ignore[reportAssignmentType]
    return float((logits * change).sum() / logits.square().sum())


def root_mean_square(network: nn.Module, names: list[str]) -> float:
    """Of all entries of these tensors together, in w."""
    return float(torch.cat([network.get_parameter(name).detach().flatten() for name in names]).square().mean().sqrt())
