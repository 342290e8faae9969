"""Runs from two starts that a symmetry of the loss makes equal: a particle's, and batch-normalized networks'."""

import numpy as np
import xarray as xr

from nld.experiment import Experiment, Sweep, run_sweep
from nld.figures._data.ring_valley import gradient, potential
from nld.inference import FIRST_JUDGING_SEED
from nld.learning_rules.rules import heavy_ball
from nld.theory.continuum import euler_lagrange_flow

ANGLE = 2 * np.pi / 5  # of the rotation in (a), in radians
FACTOR = 10.0  # multiplies every filter in (b), as in the paper
SEEDS = {"quick": 8, "paper": 3}  # judging seeds: nothing was chosen by looking at them


def particle() -> xr.Dataset:
    """(a) m q'' + μ q' = -∇f for m = 0.38, μ = 0.1 from a start and from its rotation."""
    rule = heavy_ball(0.4, momentum=0.9)
    time = np.linspace(0, 40, 801)
    rotation = np.array([[np.cos(ANGLE), -np.sin(ANGLE)], [np.sin(ANGLE), np.cos(ANGLE)]])
    start, velocity = np.array([1.6, 0.0]), np.array([0.0, 0.7])
    flows = [euler_lagrange_flow(rule, gradient, r @ start, r @ velocity, time) for r in (np.eye(2), rotation)]
    path = np.stack([flow.position for flow in flows])
    speed = np.stack([np.asarray(flow.velocity) for flow in flows])
    energy = rule.mass / 2 * (speed**2).sum(-1) + potential(path)
    return xr.Dataset(
        {
            "path": (("start", "time", "axis"), path, {"units": "w", "long_name": "position"}),
            "energy": (("start", "time"), energy, {"units": "ℓ", "long_name": "kinetic plus potential energy"}),
            "path_error": ((), np.abs(path[0] @ rotation.T - path[1]).max(), {"units": "w"}),
            "energy_error": ((), np.abs(energy[0] - energy[1]).max(), {"units": "ℓ"}),
        },
        coords={"start": ["original", "rotated"], "time": ("time", time, {"units": "w²/ℓ"})},
    )


def networks(profile: str, seed: int, learning_rate: float) -> xr.Dataset:
    """(b) Training loss with filters as initialized and multiplied by ten, for several seeds; `paper` needs a GPU,
    and goes on where it was interrupted."""
    base = Experiment(learning_rate=learning_rate, weight_decay=0.0, steps=200, evaluate_every=5)
    if profile == "paper":
        base = base.replace(
            network="vgg11",
            dataset="tiny-imagenet",
            steps=5000,
            evaluate_every=100,
            device="cuda",
            precision="bfloat16",
        )
    first, scales = FIRST_JUDGING_SEED + seed, (1.0, FACTOR)
    seeds = tuple(range(first, first + SEEDS[profile]))
    sweep = Sweep(base=base, vary={"filter_scale": scales, "seed": seeds})
    runs = run_sweep(sweep, executor="ensemble" if profile == "quick" else "pool")
    loss = runs["train_loss"].values.reshape(len(scales), len(seeds), -1)
    return xr.Dataset(
        {"loss": (("filter_scale", "seed", "step"), loss, {"units": "ℓ", "long_name": "training loss"})},
        coords={"filter_scale": list(scales), "seed": list(seeds), "step": runs["evaluation_step"].values},
        attrs={"learning_rate": learning_rate, "momentum": base.momentum, "network": base.network},
    )
