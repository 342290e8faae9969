"""How far each neuron turns in a step, where a normalization acts across a layer and where weights are standardized.

A normalization across the neurons of a layer leaves one scale symmetry, that of the whole weight matrix; standardized
weights have one for each neuron.
"""

from collections.abc import Sequence

import torch
import xarray as xr
from torch import nn

from nld.experiment.datasets import data
from nld.experiment.studies.monitored import BATCH
from nld.experiment.training import networks
from nld.experiment.training.batches import BatchOrder, mini_batches
from nld.experiment.training.ensemble import Ensemble
from nld.experiment.training.loop import training
from nld.learning_rules.rules import LearningRule

KINDS = ("across the layer", "standardized")
HIDDEN, LAYERS = 32, ("1.weight", "4.weight")


class StandardizedLinear(nn.Linear):
    """A linear layer that first takes from each neuron's weights their mean, and then divides them by their norm."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        centred = self.weight - self.weight.mean(-1, keepdim=True)
        return nn.functional.linear(x, centred / centred.norm(dim=-1, keepdim=True))


def perceptron(kind: str) -> nn.Sequential:
    """Digits to logits: two hidden layers, each followed by a normalization across its neurons, without gains."""
    layer = StandardizedLinear if kind == "standardized" else nn.Linear
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs in (64, HIDDEN):
        norm = nn.LayerNorm(HIDDEN, eps=1e-8, elementwise_affine=False)
        layers += [layer(inputs, HIDDEN, bias=False), norm, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, 10))


def turn_neurons(rule: LearningRule, kind: str, seeds: Sequence[int], steps: int = 600) -> xr.Dataset:
    """Train on digits with two fifths of wrong labels, in float64, and follow every neuron through the second half.

    Args:
        rule: of all weights; heavy ball has the law of ``nld.theory.neuron_rotation``.
        kind: one of KINDS.
        seeds: of initialization and order of images, one network each.

    Returns:
        Dataset with means over the steps (seed, layer, neuron): squared_norm |q|^2, squared_step |q_{n+1} - q_n|^2,
        radial_gradient <q, g>.
    """
    source = data.load("digits", label_noise=0.4)
    members = [networks.from_seed(seed, lambda: perceptron(kind), torch.float64) for seed in seeds]
    batches = mini_batches(source, [BatchOrder(source, BATCH, seed) for seed in seeds], range(steps), torch.float64)
    sums = torch.zeros(3, len(members), len(LAYERS), HIDDEN, dtype=torch.float64)
    for step in training(Ensemble(members), rule, batches, observe=LAYERS):
        if step.index < steps // 2:
            continue
        for index, name in enumerate(LAYERS):
            q, moved, gradient = step.before[name], step.moved[name], step.gradients[name]
            sums[:, :, index] += torch.stack([(a * b).sum(-1) for a, b in ((q, q), (moved, moved), (q, gradient))])
    norm, moved, radial = (sums / (steps - steps // 2)).numpy()
    dims = ("seed", "layer", "neuron")
    return xr.Dataset(
        {
            "squared_norm": (dims, norm, {"units": "w²"}),
            "squared_step": (dims, moved, {"units": "w²"}),
            "radial_gradient": (dims, radial, {"units": "ℓ"}),
        },
        coords={"seed": list(seeds)},
    )
