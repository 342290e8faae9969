"""What fig-schedules shows: descent on a quotient over six decades of learning rate, and trainings without decay."""

import numpy as np
import xarray as xr

from nld.experiment.studies import auto_tuning as tuned
from nld.experiment.studies import scheduled
from nld.learning_rules.rules import LearningRule, gradient_descent
from nld.theory import auto_tuning, schedules
from nld.theory.solutions import predict_squared_norm

RATES = np.geomspace(1e-2, 1e4, 13)
TUNING_STEPS = 20_000
NOISE = (0.0, 1.0)
STEPS = 1000
RUNS = ("weight decay", "exponential", "empty buffer", "naive", "decay dropped")
RESTLESS = (0.1, 0.1)  # learning rate, weight decay
CALM, RESTLESS_GRADIENT = 1e-6, 0.1  # unit gradients that count as converged and as not, in ℓ


def tuning(seeds) -> xr.Dataset:
    """Descent at every rate, without noise and with it, and what bounds and laws say of it."""
    landscape = auto_tuning.rayleigh_landscape(tuned.eigenvalues())
    found = [[tuned.descend(RATES, TUNING_STEPS, noise=noise, seed=seed) for seed in seeds] for noise in NOISE]
    low, high, noisy = [], [], []
    for seed in seeds:
        first = np.linalg.norm(tuned.unit_gradient(tuned.start(20, seed), tuned.eigenvalues()))
        bounds = auto_tuning.squared_norm_bounds(landscape, RATES, 1.0, first)
        low.append(RATES / bounds[1])
        high.append(RATES / bounds[0])
        kicked = auto_tuning.squared_norm_bounds(landscape, RATES, 1.0, np.hypot(first, NOISE[1]))[0]
        noisy.append([_noisy(rate, start) for rate, start in zip(RATES, kicked, strict=True)])
    clean = found[0]
    effective = [[run["learning_rate"] / run["squared_norm"].isel(step=-1) for run in row] for row in found]
    identity = [[abs(run["counted"] / run["squared_norm"] - 1).max("step") for run in row] for row in found]
    limit = auto_tuning.smallest_gradient_bound(landscape, RATES, 1.0, TUNING_STEPS)
    squares = np.array([(run["unit_gradient"].isel(rate=slice(2, 9)) ** 2).mean("rate") for run in found[1]])
    diverged = tuned.squared_norms_on_the_form(RATES, TUNING_STEPS, seed=seeds[0]) > 1e6
    by_run = ("seed", "rate")
    variables: dict = {
        "effective_rate": (("noise", *by_run), effective, "1/ℓ"),
        "lowest": (by_run, low, "1/ℓ"),
        "highest": (by_run, high, "1/ℓ"),
        "noisy_law": (by_run, noisy, "1/ℓ"),
        "identity": (("noise", *by_run), identity, "1"),
        "smallest_gradient": ((*by_run, "tuning_step"), [run["smallest_gradient"].values for run in clean], "ℓ"),
        "smallest_gradient_bound": (("rate",), limit, "ℓ"),
        "noisy_gradient": (("seed", "tuning_step"), np.sqrt(squares), "ℓ"),
        "form_diverged": (("rate",), diverged.astype(int), "1"),
    }
    return xr.Dataset(
        {name: (dims, np.asarray(values), {"units": unit}) for name, (dims, values, unit) in variables.items()},
        coords={"noise": list(NOISE), "rate": RATES, "tuning_step": clean[0]["step"].values},
    )


def _noisy(rate: float, start: float) -> float:
    """Eq 17 without momentum and decay, driven by the noise alone, from the norm after the first step."""
    law = predict_squared_norm(gradient_descent(rate), np.full(TUNING_STEPS - 1, NOISE[1] ** 2), start)
    return rate / law.value[-1]


def traded(rule: LearningRule, seeds) -> xr.Dataset:
    """Five trainings a seed: with decay, and without it at schedules that trade it or fail to."""
    constant = np.full(STEPS, rule.learning_rate)
    eigen = schedules.exponential_schedule(rule, constant)
    warm = schedules.exponential_schedule(rule, constant, "empty buffer")
    beta = rule.momentum
    runs = [
        scheduled.Run(constant, beta, rule.weight_decay),
        scheduled.Run(eigen.learning_rate, beta, buffer=eigen.buffer),
        scheduled.Run(warm.learning_rate, beta),
        scheduled.Run(eigen.learning_rate, beta),
        scheduled.Run(constant, beta),
    ]
    found = [scheduled.train_at_rates(runs, seed=seed) for seed in seeds]
    loss = np.stack([run["loss"].values for run in found])
    rough = scheduled.train_at_rates(runs[:2], seed=seeds[0], epsilon=1e-5)["loss"].values
    return xr.Dataset(
        {
            "loss": (("step",), loss[0, 0], {"units": "ℓ", "long_name": "loss of the mini-batch, first seed"}),
            "difference": (("seed", "run", "step"), loss - loss[:, :1], {"units": "ℓ"}),
            "norm": (("run", "point"), found[0]["norm"].values, {"units": "w", "long_name": "norm of all weights"}),
            "cosine": (("seed", "run"), np.stack([run["cosine"].values for run in found]), {"units": "1"}),
            "schedule": (("step",), eigen.learning_rate, {"units": "w²/ℓ"}),
            "warm_schedule": (("step",), warm.learning_rate, {"units": "w²/ℓ"}),
            "scale": (("point",), np.exp(eigen.log_scale), {"units": "1"}),
            "rough_difference": ((), np.abs(rough[1] - rough[0]).max(), {"units": "ℓ"}),
        },
        coords={"seed": list(seeds), "run": list(RUNS), "step": np.arange(STEPS), "point": np.arange(STEPS + 1)},
    )


def stepped(rule: LearningRule, factor: float, seeds) -> xr.Dataset:
    """A rate that is multiplied by ``factor`` half-way, traded with a growth that settles (exact) or jumps.

    Largest loss differences to the run with decay, and how far the rates of the second are from those of the first.
    """
    rates = np.where(np.arange(STEPS) < STEPS // 2, 1.0, factor) * rule.learning_rate
    exact = schedules.exponential_schedule(rule, rates)
    jumping = schedules.tapered_schedule(rule, rates)
    runs = [
        scheduled.Run(rates, rule.momentum, rule.weight_decay),
        scheduled.Run(exact.learning_rate, rule.momentum, buffer=exact.buffer),
        scheduled.Run(jumping, rule.momentum, buffer=exact.buffer),
    ]
    losses = [scheduled.train_at_rates(runs, seed=seed)["loss"].values for seed in seeds]
    largest = np.max([np.abs(loss[1:] - loss[0]).max(1) for loss in losses], axis=0)
    return xr.Dataset(
        {
            "step_difference": (("growth",), largest, {"units": "ℓ"}),
            "rate_error": ((), np.abs(jumping / exact.learning_rate - 1).max(), {"units": "1"}),
        },
        coords={"growth": ["settles", "jumps"]},
    )


def restless(seeds) -> xr.Dataset:
    """Largest unit gradient of the last half of a run, without decay and with it: (decay, judging_seed)."""
    rate, decay = RESTLESS
    decays = np.repeat([0.0, decay], len(seeds))
    run = tuned.descend(np.full(len(decays), rate), TUNING_STEPS, weight_decay=decays, seed=[*seeds, *seeds])
    late = run["largest_late_gradient"].isel(step=-1).values.reshape(2, len(seeds))
    return xr.Dataset(
        {"restless": (("decay", "judging_seed"), late, {"units": "ℓ"})},
        coords={"decay": [0.0, decay], "judging_seed": list(seeds)},
    )


def differences(data: xr.Dataset) -> dict[str, float]:
    """Largest |loss difference| to training with decay by run, over seeds and steps, in ℓ."""
    return {str(run): float(np.abs(data["difference"].sel(run=run)).max()) for run in data["run"].values}
