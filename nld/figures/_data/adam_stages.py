"""Trainings with Adam, with two kinds of 2-Adam, and with Adam and normalization, at every learning rate."""

import numpy as np
import xarray as xr

from nld.experiment.studies import train_with_rule
from nld.learning_rules import rules

# (beta_i), (rho_i), network: what is trained at every learning rate
METHODS = {
    "Adam": ((0.9,), (0.999,), "bare_mlp"),
    "2-Adam, second stage without momentum": ((0.9, 0.0), (0.999, 0.999), "bare_mlp"),
    "2-Adam, equal stages": ((0.9, 0.9), (0.999, 0.999), "bare_mlp"),
    "Adam with normalization": ((0.9,), (0.999,), "mlp"),
}
RATES, METHOD_STEPS, METHOD_DECAY, METHOD_SEEDS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2), 200, 0.1, 3
# The learning rate of each method at which the selection seeds have the smallest median loss, and the 2-Adam that is
# ahead at its own: chosen with the seeds that are drawn, judged with others.
SELECTED = {"Adam": 1e-2, "2-Adam, second stage without momentum": 3e-3, "Adam with normalization": 1e-2}


def methods(seed: int) -> xr.Dataset:
    """Training loss over the last twenty steps and test accuracy of each method at each learning rate."""
    seeds = range(seed, seed + METHOD_SEEDS)
    runs = [[_train(name, rate, seeds) for rate in RATES] for name in METHODS]
    loss, accuracy = np.array(runs, float).transpose(2, 0, 1, 3)
    return xr.Dataset(
        {
            "method_loss": (("method", "rate", "member"), loss, {"units": "ℓ"}),
            "method_accuracy": (("method", "rate", "member"), accuracy, {"units": "1"}),
        },
        coords={"method": list(METHODS), "rate": list(RATES)},
    )


def judged_losses(seeds) -> xr.Dataset:
    """Training losses at the selected learning rates, (judging_seed, judged_method)."""
    losses = [_train(name, rate, seeds)[0] for name, rate in SELECTED.items()]
    return xr.Dataset(
        {"judged_loss": (("judging_seed", "judged_method"), np.array(losses).T, {"units": "ℓ"})},
        coords={"judging_seed": list(seeds), "judged_method": list(SELECTED)},
    )


def _train(name: str, rate: float, seeds) -> tuple[np.ndarray, np.ndarray]:
    """Training loss over the last twenty steps and test accuracy of one method, one a seed."""
    momenta, decays, network = METHODS[name]
    rule = rules.k_adam(rate, momenta, decays, METHOD_DECAY, 1e-12)
    record = train_with_rule.train_with_rule(rule, seeds, steps=METHOD_STEPS, network=network, width=0.5)
    return record["loss"].values[:, -20:].mean(1), record["test_accuracy"].values


def best(data: xr.Dataset) -> dict[str, float]:
    """Median loss of each method at its best learning rate."""
    return dict(zip(data["method"].values, data["method_loss"].median("member").min("rate").values, strict=True))
