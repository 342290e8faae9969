"""What fig-held-norms measures: the change of the final loss when the norms of a class are held, in fresh networks."""

import functools

import numpy as np
import xarray as xr

from nld.experiment.studies.held_classes import Member, classes, train
from nld.experiment.studies.held_networks import Digits, Text
from nld.experiment.studies.held_predictions import predictions
from nld.experiment.training.networks import from_seed

EVIDENCE = "results/evidence/fig-held-norms.nc"
MARGIN = 0.01  # ℓ; a change of the loss within it is harmless
ARCHITECTURES: dict[str, Text | Digits] = {
    "one key head": Text(key_heads=1),
    "grouped keys, no gains": Text(key_heads=2, gains=False),
    "four narrow layers": Text(width=24, layers=4, hidden=48),
    "one wide layer": Text(width=64, layers=1, hidden=128),
    "norms before and after": Text(place="sandwich"),
    "norms after": Text(place="post"),
    "three experts": Text(experts=3, hidden=32),
    "GPT-2": Text(tied=True, learned_positions=True, norm="layer", gated=False, activation="gelu", biases=True,
                  query_key_norm=False, spread=0.02),
    "small start": Text(query_key_norm=False, spread=0.03),
    "large start": Text(spread=0.25),
    "capped logits": Text(cap=10.0, query_key_norm=False),
    "squared ReLU, no gains": Text(gated=False, activation="squared relu", gains=False),
    "layer norm, biases": Text(norm="layer", gated=False, activation="relu", biases=True, learned_positions=True),
    "convolutions, batch norm": Digits(kind="convolutional", width=8, layers=4, norm="batch", gains=False),
    "convolutions, no norm": Digits(kind="convolutional", width=8, layers=3),
    "residual, batch norm": Digits(norm="batch", residual=True, layers=4),
    "layer norm": Digits(norm="layer"),
    "standardized weights, tanh": Digits(norm="weight", activation="tanh", layers=2),
    "five hidden layers": Digits(layers=5),
    "tanh": Digits(activation="tanh"),
    "six linear layers": Digits(activation="linear", layers=5),
}  # fmt: skip


@functools.cache
def carriers(shape: Text | Digits) -> list[str]:
    """Classes that are predicted to carry the temperature; they are trained with gains, too."""
    return [label for label, prediction in predictions(shape).items() if prediction.effect > 0]


def units() -> list[str]:
    """Names of all classes, with their architectures."""
    return [f"{name}: {label}" for name, shape in ARCHITECTURES.items() for label in classes(from_seed(0, shape.build))]


def measure(seeds) -> xr.Dataset:
    """Final losses when nothing is held, and what holding each class, with gains or without, changes; in ℓ."""
    rows = [[_of(shape, seed) for shape in ARCHITECTURES.values()] for seed in seeds]
    gained = [f"{name}: {label}" for name, shape in ARCHITECTURES.items() for label in carriers(shape)]
    dims = {
        "judged_loss": "architecture", "judged_chosen_change": "architecture", "judged_all_change": "architecture",
        "judged_change": "unit", "judged_growth": "unit",
        "judged_gained_change": "carrier", "judged_gain_alone": "carrier",
    }  # fmt: skip
    return xr.Dataset(
        {
            name: (("judging_seed", dim), np.stack([np.concatenate([part[name] for part in row]) for row in rows]))
            for name, dim in dims.items()
        },
        coords={"judging_seed": list(seeds), "architecture": list(ARCHITECTURES), "unit": units(), "carrier": gained},
    )


def _of(shape: Text | Digits, seed: int) -> dict[str, np.ndarray]:
    """One architecture from one seed; all members are one program."""
    labels, gained = tuple(classes(from_seed(seed, shape.build))), carriers(shape)
    members = [
        Member(),
        Member(held=tuple(label for label in labels if label not in gained)),
        Member(held=labels),
        *(Member(held=(label,)) for label in labels),
        *(Member(held=(label,), gained=(label,)) for label in gained),
        *(Member(gained=(label,)) for label in gained),
    ]
    outcome = train(shape, members, seed)
    change = outcome.loss[1:] - outcome.loss[0]
    chosen, everything, held, both, alone = np.split(change, np.cumsum([1, 1, len(labels), len(gained)]))
    return {
        "judged_loss": outcome.loss[:1],
        "judged_chosen_change": chosen,
        "judged_all_change": everything,
        "judged_change": held,
        "judged_growth": np.array([outcome.growth[label][0] for label in labels]),
        "judged_gained_change": both,
        "judged_gain_alone": alone,
    }
