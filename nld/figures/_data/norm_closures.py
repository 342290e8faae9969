"""Squared norms of filters, measured and predicted by Eq 17 with three closures and by the exact discrete law."""

import numpy as np
import xarray as xr

from nld.experiment import Experiment
from nld.experiment.studies.measure import correlation_sum, measure_filters, squared_norms
from nld.learning_rules.rules import heavy_ball
from nld.theory.discrete import predict_squared_norm_from_steps
from nld.theory.solutions import predict_squared_norm

RATES = ((0.1, 0.0), (0.01, 0.9), (0.1, 0.9), (0.02, 0.98))  # learning rate and momentum of each run
STEPS = 400
COARSE_STEPS = 50
COARSE_EPSILON = 1e-5  # PyTorch's default in normalization
WINDOW = 5  # of the measured chi, in units of 1/(1 - beta) steps
FULL = {"train_size": 256, "batch_size": 256}  # full batches: gradients without noise, as smooth as they come
# Where Eq 17 is judged: learning rate, momentum, batches.
ARMS: dict[str, tuple[float, float, dict]] = {
    "mini-batches, no momentum": (0.1, 0.0, {}),
    "full batches, small rate": (3e-3, 0.9, FULL),
    "full batches, large rate": (0.1, 0.9, FULL),
    "mini-batches, small rate": (0.01, 0.9, {}),
    "mini-batches, large rate": (0.1, 0.9, {}),
}


def runs(seed: int, weight_decay: float) -> xr.Dataset:
    """Measured and predicted squared norms, (member, point, filter), a member for each of RATES."""
    base = Experiment(steps=STEPS, seed=seed, weight_decay=weight_decay, width=0.5, precision="float64", epsilon=1e-12)
    members = [base.replace(learning_rate=eta, momentum=beta) for eta, beta in RATES]
    record = measure_filters(members)
    measured = squared_norms(record)
    closures = ("smooth", "white", "measured", "exact")
    law, chi = np.empty((len(closures), *measured.shape)), np.empty_like(measured[:, 1:])
    restarted = np.empty_like(measured[:, 0])
    for index, (eta, beta) in enumerate(RATES):
        row, rule = record.isel(member=index), heavy_ball(eta, beta, weight_decay)
        window = round(WINDOW / (1 - beta))
        chi[index] = correlation_sum(row["squared_step"].values, row["squared_gradient"].values, eta, beta, window)
        unit = (row["squared_gradient"] * row["squared_norm"]).values
        for at, closure in enumerate(("smooth", "white", chi[index])):
            law[at, index] = predict_squared_norm(rule, unit, measured[index, 0], closure).value
        begin = restart_step(beta)
        later = predict_squared_norm(rule, unit[begin:], measured[index, begin], chi[index, begin:])
        restarted[index] = later.value[-1] / measured[index, -1]
        law[-1, index] = predict_squared_norm_from_steps(rule, row["squared_step"].values, measured[index, 0]).value
    coarse = measure_filters([base.replace(learning_rate=0.1, steps=COARSE_STEPS, epsilon=COARSE_EPSILON)])
    steps, first = coarse["squared_step"].values[0], coarse["squared_norm"].values[0, 0]
    exact = predict_squared_norm_from_steps(heavy_ball(0.1, base.momentum, weight_decay), steps, first)
    coarse_error = np.abs(exact.value / squared_norms(coarse)[0] - 1).max()
    again = "last predicted over measured norm, from restart_step on"
    points, units = ("member", "point", "filter"), {"units": "w²"}
    return xr.Dataset(
        {
            "squared_norm": (points, measured, {**units, "long_name": "measured squared norm"}),
            "predicted": (("closure", *points), law, {**units, "long_name": "predicted squared norm"}),
            "chi": (("member", "step", "filter"), chi, {"units": "1", "long_name": "measured correlation sum"}),
            "restarted": (("member", "filter"), restarted, {"units": "1", "long_name": again}),
            "cosine": ((), float(np.abs(record["cosine"]).max()), {"long_name": "largest |cos(gradient, filter)|"}),
            "coarse_error": ((), coarse_error, {"long_name": "error of the exact law at PyTorch's epsilon"}),
        },
        coords={
            "closure": list(closures),
            "learning_rate": ("member", [eta for eta, _ in RATES]),
            "momentum": ("member", [beta for _, beta in RATES]),
            "layer": record["layer"],
        },
        attrs={"weight_decay": weight_decay, "seed": seed},
    )


def judged_ratios(seeds, weight_decay: float) -> xr.Dataset:
    """Eq 17 over the measured squared norm at the end, medians over filters, by arm: (judging_seed, arm)."""
    base = Experiment(steps=STEPS, weight_decay=weight_decay, width=0.5, precision="float64", epsilon=1e-12)
    columns = []
    for eta, beta, batches in ARMS.values():
        members = [base.replace(learning_rate=eta, momentum=beta, seed=int(seed), **batches) for seed in seeds]
        record, rule_of = measure_filters(members), heavy_ball(eta, beta, weight_decay)
        norms = squared_norms(record)
        unit = (record["squared_gradient"] * record["squared_norm"]).values
        laws = [predict_squared_norm(rule_of, u, n[0], "smooth").value[-1] for u, n in zip(unit, norms, strict=True)]
        columns.append(np.median(np.array(laws) / norms[:, -1], axis=1))
    return xr.Dataset(
        {"judged_ratio": (("judging_seed", "arm"), np.array(columns).T, {"units": "1"})},
        coords={"judging_seed": list(seeds), "arm": list(ARMS)},
    )


def restart_step(momentum: float) -> int:
    """Step from which one more prediction starts, when the first transient is over: two windows, at most half a run."""
    return min(round(2 * WINDOW / (1 - momentum)), STEPS // 2)
