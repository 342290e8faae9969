"""Trainings with each norm of which fig-dyt shows shapes, alphas, accuracies and charges, and those that rule."""

from collections.abc import Sequence

import xarray as xr

from nld.experiment.studies import norm_free
from nld.figures._data import norm_free_data

SEEDS = {"quick": 3, "paper": 5}
EPOCHS = {"quick": 15, "paper": 60}
RATE = 5e-3  # of AdamW
STEPS, MOMENTUM = 300, 0.9


def trained(seeds: Sequence[int], epochs: int) -> dict[str, norm_free.Trained]:
    """Networks with each norm after AdamW, by norm."""
    return {
        norm: norm_free.train_transformers(norm, seeds, learning_rate=RATE, epochs=epochs) for norm in norm_free.NORMS
    }


def drawn(profile: str, seed: int, settings: dict) -> list[xr.Dataset]:
    """Shapes, alphas and accuracies after AdamW; both charges under SGD; their drift under gradient descent.

    Args:
        settings: learning_rate, weight_decay, momentum and steps under SGD.
    """
    seeds = list(range(seed, seed + SEEDS[profile]))
    networks = trained(seeds, EPOCHS[profile])
    untrained = [norm_free.build("LayerNorm", seed=each) for each in seeds]
    accuracy = (("norm", "seed"), [each.accuracy for each in networks.values()], {"units": "1"})
    return [
        norm_free_data.shapes(networks["LayerNorm"].models, seeds, untrained),
        norm_free_data.alphas(networks["DyT"].models, seeds),
        xr.Dataset({"accuracy": accuracy}, {"norm": list(networks), "seed": seeds}),
        norm_free_data.charges(settings, seed),
        norm_free_data.drifts(seed),
    ]
