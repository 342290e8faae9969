"""How far the filters of a digits network turn in each step, under any learning rule of the book.

Networks from several seeds are trained as one batched program; the rule acts on their stacked parameters.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
import xarray as xr

from nld.experiment.datasets import data
from nld.experiment.studies.monitored import BATCH
from nld.experiment.training import networks
from nld.experiment.training.batches import BatchOrder, mini_batches
from nld.experiment.training.ensemble import Ensemble
from nld.experiment.training.evaluation import accuracy_on_test_images
from nld.experiment.training.loop import training
from nld.learning_rules.rules import LearningRule


def turn_filters(
    rule: LearningRule,
    *,
    others: LearningRule | None = None,
    network: str = "mlp",
    seeds: Sequence[int] = (0,),
    steps: int = 600,
    label_noise: float = 0.4,
    width: float = 1.0,
    filter_scale: float = 1.0,
    late: float = 0.5,
) -> xr.Dataset:
    """Train on mini-batches of digits, and write down norms, angles and gradients of each layer's filters.

    With wrong labels the gradients do not fade, so that there is an equilibrium to settle in.

    Args:
        rule: of the filters, and of all else if there are no ``others``; a projection acts on filters alone.
        others: the rule of all that is not a filter.
        network: its name in ``networks.NETWORKS``, each of its filters followed by a batch normalization.
        seeds: of initialization and order of images, one network each.
        steps: updates, each with a batch of 64 images.
        filter_scale: of the filters at the start, near their equilibrium to be there sooner; the loss does not notice.
        late: the last part of the run, over which the gradients' means are taken.

    Returns:
        Dataset with squared_norm and squared_angle (step, layer), means over seeds and filters; of each seed
        member_squared_angle (seed, step, layer); at unit norm
        squared_gradient, E|g^|^2, and gradient_sum, the sum over the coordinates of the root mean square gradient
        (layer); size, the number of coordinates (layer); accuracy on clean test images (seed).
    """
    source = data.load("digits", label_noise=label_noise)
    build = partial(networks.build, network, source.image, source.classes, width=width, epsilon=1e-8)
    ensemble = Ensemble([build(seed=seed) for seed in seeds])
    names = networks.filter_names(ensemble.members[0])
    for name in names:
        ensemble.parameters[name].data *= filter_scale
    others = others or dataclasses.replace(rule, projected=False)
    rules = {name: rule if name in names else others for name in ensemble.parameters}
    batches = mini_batches(source, [BatchOrder(source, BATCH, seed) for seed in seeds], range(steps), torch.float32)
    norms, turns, each = [], [], []
    squares = {name: torch.zeros_like(ensemble.parameters[name].detach().flatten(2)) for name in names}
    first = steps - max(1, int(late * steps))
    for step in training(ensemble, rules, batches, observe=names):
        measured = []
        for name in names:
            # (member, filter, coordinate)
            q, moved, gradient = (each[name].flatten(2) for each in (step.before, step.after, step.gradients))
            norm = q.square().sum(-1)
            turn = _angle(q, moved, norm).square()
            measured.append((norm.mean(), turn.mean(), turn.flatten(1).mean(1)))
            if step.index >= first:
                squares[name] += gradient.square() * norm[..., None]
        norms.append(torch.stack([norm for norm, *_ in measured]))
        turns.append(torch.stack([turn for _, turn, _ in measured]))
        each.append(torch.stack([turn for *_, turn in measured], 1))
    mean = {name: squares[name] / (steps - first) for name in names}
    return xr.Dataset(
        {
            "squared_norm": (("step", "layer"), torch.stack(norms).numpy(), {"units": "w²"}),
            "squared_angle": (("step", "layer"), torch.stack(turns).numpy(), {"units": "rad²"}),
            "member_squared_angle": (("seed", "step", "layer"), torch.stack(each, 1).numpy(), {"units": "rad²"}),
            "squared_gradient": ("layer", [float(mean[n].sum(-1).mean()) for n in names], {"units": "ℓ²"}),
            "gradient_sum": ("layer", [float(mean[n].sqrt().sum(-1).mean()) for n in names], {"units": "ℓ"}),
            "size": ("layer", [mean[n].shape[-1] for n in names]),
            "accuracy": ("seed", [accuracy_on_test_images(member) for member in ensemble.members], {"units": "1"}),
        },
        coords={"step": np.arange(steps), "layer": [n.removesuffix(".weight") for n in names], "seed": list(seeds)},
    )


def _angle(q: torch.Tensor, moved: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
    along = (q * moved).sum(-1)
    across = (moved - q * (along / norm)[..., None]).square().sum(-1).sqrt()
    return torch.atan2(across * norm.sqrt(), along)
