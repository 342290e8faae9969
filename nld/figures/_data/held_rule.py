"""What is said of every class before it is trained: its symmetry, its share of the temperature, its growth."""

import warnings

import numpy as np

from nld.advice import param_groups
from nld.advice.scale_classes import Scale
from nld.experiment.studies.held_classes import Training, classes, training_batches
from nld.experiment.studies.held_networks import Digits, Text
from nld.experiment.studies.held_predictions import predictions
from nld.experiment.training.networks import from_seed
from nld.figures._data.held_runs import ARCHITECTURES

REGISTERED_SEED = 0  # of the starts from which the rule was read
FEW = Training(batch_size=8, context=16)  # enough to follow every operation


def rule() -> dict:
    """Of every class of every architecture, in the order of the evidence."""
    said = [p for shape in ARCHITECTURES.values() for p in predictions(shape, REGISTERED_SEED).values()]
    scales = [scale for shape in ARCHITECTURES.values() for scale in scale_classes(shape).values()]
    order = list(Scale)
    return {
        "degree": ("unit", np.array([p.degree for p in said])),
        "share": ("unit", np.array([p.share for p in said])),
        "predicted_growth": ("unit", np.array([p.growth for p in said])),
        "predicted_effect": ("unit", np.array([p.effect for p in said])),
        "scale_class": ("unit", np.array([order.index(scale) for scale in scales])),
        "own_scale": ("unit", np.array([int(scale is Scale.OWN) for scale in scales])),
        "is_text": ("architecture", np.array([int(isinstance(shape, Text)) for shape in ARCHITECTURES.values()])),
    }


def scale_classes(shape: Text | Digits) -> dict[str, Scale]:
    """What the symmetries of the loss say of each class; of tensors that differ, what binds most."""
    network = from_seed(REGISTERED_SEED, shape.build)
    inputs, _ = next(training_batches(shape, REGISTERED_SEED, FEW))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what was not analysed counts as no symmetry
        groups = param_groups(network, inputs)
    order = list(Scale)
    return {
        label: max((groups.scale_of(name) for name in names), key=order.index)
        for label, names in classes(network).items()
    }
