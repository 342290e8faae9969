"""How often a rule says what holding a class of tensors does: per seed, and with an interval over architectures.

An effect is 1, harmful, or -1, helpful, where the final loss changes by more than a margin, and 0, harmless, between.
"""

import numpy as np
import xarray as xr

from nld.figures._data.held_runs import MARGIN

EFFECTS = {1: "harmful", 0: "harmless", -1: "helpful"}
RULES = ("temperature and growth", "own scale or not", "all harmless")
RESAMPLES = 2000


def effect(change: np.ndarray) -> np.ndarray:
    """Of changes of the loss in ℓ."""
    return np.sign(change).astype(int) * (np.abs(change) > MARGIN)


def predicted(data: xr.Dataset, rule: str) -> np.ndarray:
    """What a rule says of each class, (unit,)."""
    if rule == RULES[0]:
        return data["predicted_effect"].values.astype(int)
    return np.where(data["own_scale"].values > 0, 0, 1) if rule == RULES[1] else np.zeros(data.sizes["unit"], int)


def seed_rates(data: xr.Dataset, rule: str) -> np.ndarray:
    """Share of all classes of which a rule is right, judging seed by judging seed."""
    return (effect(data["judged_change"].values) == predicted(data, rule)).mean(1)


def measured(data: xr.Dataset) -> np.ndarray:
    """The effect of the mean change over judging seeds, (unit,)."""
    return effect(data["judged_change"].values.mean(0))


def architecture_of(data: xr.Dataset, dimension: str = "unit") -> np.ndarray:
    """The architecture to which each class belongs."""
    return np.array([str(name).partition(": ")[0] for name in data[dimension].values])


def hit_rate(data: xr.Dataset, rule: str) -> tuple[float, float, float]:
    """Share of classes of whose mean change a rule is right, and its 95 % interval over resampled architectures."""
    hits, of = measured(data) == predicted(data, rule), architecture_of(data)
    groups = [hits[of == name] for name in data["architecture"].values]
    right, sizes = np.array([group.sum() for group in groups]), np.array([len(group) for group in groups])
    chosen = np.random.default_rng(0).integers(len(groups), size=(RESAMPLES, len(groups)))
    rates = right[chosen].sum(1) / sizes[chosen].sum(1)
    low, high = np.quantile(rates, (0.025, 0.975))
    return float(hits.mean()), float(low), float(high)


def misses(data: xr.Dataset, rule: str = RULES[0]) -> list[str]:
    """Classes of which a rule is wrong, the largest change first."""
    wrong = np.flatnonzero(measured(data) != predicted(data, rule))
    change = data["judged_change"].values.mean(0)
    return [str(data["unit"].values[i]) for i in wrong[np.argsort(-np.abs(change[wrong]))]]
