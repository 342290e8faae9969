"""Squared norms of the filters of a normalized network under AdamW, measured and predicted from its updates."""

from dataclasses import replace

import numpy as np
import xarray as xr

from nld.experiment.studies import train_with_rule
from nld.experiment.studies.measure import squared_norms
from nld.learning_rules import rules
from nld.learning_rules.rules import LearningRule
from nld.theory import adam

NORM_MOMENTA, NORM_DECAY, NORM_STEPS = (0.0, 0.9), 0.999, 600


def norms(seed: int, learning_rate: float, weight_decay: float, label_noise: float) -> xr.Dataset:
    """Mean squared norm of the filters of a layer under AdamW, measured and predicted from its updates.

    ``shared_ratio``: measured over predicted at the end, if the weights of a filter share one denominator.
    """
    measured, given, shared = [], [], []
    for momentum in NORM_MOMENTA:
        rule = rules.adam(learning_rate, momentum, NORM_DECAY, weight_decay, 1e-12, decoupled=True)
        values, predictions = (each.mean(0) for each in _norms_of(rule, rule, (seed, seed + 1), label_noise))
        measured.append(values)
        given.append(predictions)
        alike = replace(rule, update=shared_update)
        values, predictions = (each.mean(0) for each in _norms_of(alike, rule, (seed, seed + 1), label_noise))
        shared.append(values[-1] / predictions[0, -1])
    units = {"units": "w²"}
    return xr.Dataset(
        {
            "norm": (("norm_momentum", "norm_step", "layer"), np.array(measured), units),
            "norm_predicted": (("norm_momentum", "closure", "norm_step", "layer"), np.array(given), units),
            "shared_ratio": (("norm_momentum", "layer"), np.array(shared), {"units": "1"}),
        },
        coords={"norm_momentum": list(NORM_MOMENTA), "norm_step": np.arange(NORM_STEPS + 1), "layer": [1, 2, 3],
                "closure": list(adam.CLOSURES)},
    )  # fmt: skip


def judged_norm_ratios(seeds, learning_rate: float, weight_decay: float, label_noise: float) -> xr.Dataset:
    """Measured over predicted squared norms at the end, (norm_momentum, judging_seed, closure, layer)."""
    ratios = []
    for momentum in NORM_MOMENTA:
        rule = rules.adam(learning_rate, momentum, NORM_DECAY, weight_decay, 1e-12, decoupled=True)
        values, predictions = _norms_of(rule, rule, seeds, label_noise)
        ratios.append(values[:, None, -1] / predictions[:, :, -1])  # (seed, closure, layer)
    return xr.Dataset(
        {
            "judged_norm_ratio": (
                ("norm_momentum", "judging_seed", "closure", "layer"), np.array(ratios), {"units": "1"},
            ),
        },
        coords={"judging_seed": list(seeds), "norm_momentum": list(NORM_MOMENTA), "closure": list(adam.CLOSURES),
                "layer": [1, 2, 3]},
    )  # fmt: skip


def _norms_of(trained: LearningRule, rule: LearningRule, seeds, label_noise: float) -> tuple:
    """Means over the filters of a layer: measured (seed, step, layer), predicted (seed, closure, step, layer)."""
    record = train_with_rule.train_with_rule(
        trained, seeds, steps=NORM_STEPS, network="digits_cnn", width=0.5, epsilon=1e-12,
        label_noise=label_noise,
    )  # fmt: skip
    values = squared_norms(record)
    predictions = [
        [adam.predict_squared_norm_from_updates(rule, moved, start, closure).value for closure in adam.CLOSURES]
        for moved, start in zip(record["squared_update"].values, values[:, 0], strict=True)
    ]
    return _by_layer(values), _by_layer(np.array(predictions))


def shared_update(rule: LearningRule, q, state, gradient):
    """AdamW with one denominator for all weights of a filter, the root of their mean square."""
    n, buffer, square = state or (0, 0, 0)
    force, n = gradient(q), n + 1
    squares = force**2
    axes = tuple(range(2, squares.ndim))  # the first two are the member and the filter
    mean = squares.mean(axes, keepdims=True) if axes else squares
    buffer = rule.momentum * buffer + (1 - rule.momentum) * force
    square = rule.square_decay * square + (1 - rule.square_decay) * mean
    scale = (square / (1 - rule.square_decay**n)) ** 0.5 + rule.epsilon
    step = rule.learning_rate * buffer / (1 - rule.momentum**n) / scale
    return (1 - rule.learning_rate * rule.weight_decay) * q - step, (n, buffer, square)


def _by_layer(values: np.ndarray) -> np.ndarray:
    """Means over the 4, 8 and 16 filters of the layers: (..., 28) to (..., 3)."""
    return np.stack([part.mean(-1) for part in np.split(values, (4, 12), axis=-1)], -1)


def norm_ratios(data: xr.Dataset, closure: str, momentum: float) -> np.ndarray:
    """Measured over predicted squared norm at the end, one a layer."""
    end = data.isel(norm_step=-1).sel(norm_momentum=momentum)
    return (end["norm"] / end["norm_predicted"].sel(closure=closure)).values
