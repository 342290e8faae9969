"""Longer filters are slower filters: what a symmetry of the loss does to learning, in one picture.

The prediction is exact: c q - η ∇f(c q) = c (q - (η/c²) ∇f(q)), so filters multiplied by c learn
as the original filters would at a learning rate divided by c².
"""

import numpy as np
import xarray as xr

from nld.experiment import Experiment
from nld.experiment.runs.ensemble import run_ensemble
from nld.figures._render.labels import label_point
from nld.figures._render.style import COLOR, band, new_figure, predicted
from nld.figures._render.text import power_above
from nld.inference import Evidence, Verdict, rule

FACTOR = 10.0
SEEDS = 5


def compute(profile: str, *, seed: int = 0, learning_rate: float = 0.1) -> xr.Dataset:
    """Training losses of three networks per seed, and the norms of their first filters.

    The front page asks one question of one small network: both profiles run the same experiment.
    """
    base = Experiment(learning_rate=learning_rate, weight_decay=0.0, steps=150, evaluate_every=5, precision="float64")
    starts = [{}, {"filter_scale": FACTOR}, {"filter_rate": FACTOR**-2}]
    seeds = np.arange(seed, seed + SEEDS)
    members = [base.replace(seed=int(s), **start) for start in starts for s in seeds]
    records = run_ensemble(members)

    def gather(name):
        values = np.stack([record[name].values for record in records])
        return values.reshape(len(starts), SEEDS, *values.shape[1:])

    squared_norm = gather("squared_norm")[..., :8].mean(-1)  # the first layer has eight filters
    effective = {"units": "1/ℓ", "long_name": "learning rate over the mean squared norm of the first layer's filters"}
    return xr.Dataset(
        {
            "loss": (("start", "seed", "step"), gather("train_loss"), {"units": "ℓ", "long_name": "training loss"}),
            "effective_learning_rate": (("start", "seed", "step"), learning_rate / squared_norm, effective),
        },
        coords={
            "start": ["as initialized", "filters × 10", "learning rate of the filters ÷ 100"],
            "seed": seeds,
            "step": records[0]["evaluation_step"].values,
        },
        attrs={"learning_rate": learning_rate, "momentum": base.momentum, "network": base.network},
    )


def worst_error(data: xr.Dataset) -> float:
    """Largest relative difference between predicted and measured loss, over all seeds and steps."""
    measured, slower = data["loss"].values[1:]
    return float(np.abs(slower / measured - 1).max())


def judge(data: xr.Dataset) -> list[Verdict]:
    """Filters multiplied by c learn as the original ones at their learning rate over c²."""
    worst = worst_error(data)
    return rule([
        Evidence(
            "effective-learning-rate",
            "Losses of networks with filters ten times longer, and of the original ones with the filters' learning "
            f"rate divided by {FACTOR**2:g}, differ by at most {power_above(worst)} of their value over "
            f"{int(data['step'][-1])} steps and {data.sizes['seed']} seeds.",
            checks={"same losses": covers(data)},
        )
    ])  # fmt: skip


def covers(data: xr.Dataset) -> bool:
    """Whether the predicted losses lie on the measured ones to a hundredth, throughout."""
    return worst_error(data) < 0.01


def draw(data: xr.Dataset):
    """Losses on the left, effective learning rates of the first layer on the right."""
    figure, (losses, rates) = new_figure(1, 2, size=(6.4, 3.0), width_ratios=[1.35, 1])
    step = data["step"].values
    for index, color in ((0, COLOR["original"]), (1, COLOR["transformed"])):
        band(losses, step, data["loss"].values[index], color)
        band(rates, step, data["effective_learning_rate"].values[index], color)
    middle = np.median(data["loss"].values, axis=1)
    losses.plot(step, middle[2], **predicted())
    at = int(0.80 * len(step))
    for label, index, color, height in (("as initialized", 0, "original", -26), ("filters × 10", 1, "transformed", 17)):
        place = (step[at], middle[index, at])
        label_point(losses, label, place, (0, height), color=COLOR[color], ha="center", fontsize=9)
        end = (step[at], np.median(data["effective_learning_rate"].values[index, :, at]))
        label_point(rates, label, end, (0, 12), color=COLOR[color], ha="center", fontsize=9)
    at, leader = int(0.24 * len(step)), {"arrowstyle": "-", "linewidth": 0.8, "color": predicted()["color"]}
    place = (step[at], middle[2, at])
    label_point(losses, "predicted:\nlearning rate ÷ 100", place, (14, 24), fontsize=9, arrowprops=leader)
    losses.set(xlabel="step $n$", ylabel="training loss $f$ [ℓ]", yscale="log", xlim=(0, step[-1]))
    rates.set(
        xlabel="step $n$", ylabel="effective learning rate $\\eta/\\|q\\|^2$ [1/ℓ]", yscale="log", xlim=(0, step[-1])
    )
    return figure


def caption(data: xr.Dataset) -> str:
    first, last = np.median(data["effective_learning_rate"].values[:2, :, [0, -1]], axis=1).T
    short, long = np.median(data["loss"].values[:2, :, -1], axis=1)
    chaos = "" if covers(data) else ", as training at this rate amplifies rounding"
    return (
        "Longer filters are slower filters. **Left:** multiplying every filter of a batch-normalized network by ten "
        f"does not change the loss at step 0, but after {int(data['step'][-1])} steps it is {long:.2g} ℓ instead of "
        f"{short:.2g} ℓ (coloured: medians and ranges over {data.sizes['seed']} seeds). The dashed line is predicted: "
        "the original filters, trained with their learning rate divided by one hundred; over all seeds and steps it "
        f"differs from the measurement by at most {power_above(worst_error(data))} of its value{chaos}. **Right:** the "
        f"effective learning rate of the first layer's filters; at step 0 it is {first[0]:.2g} and {first[1]:.2g} 1/ℓ, "
        f"at the end {last[0]:.2g} and {last[1]:.2g} 1/ℓ. Digits, $\\eta = {data.attrs['learning_rate']:g}$ w²/ℓ, "
        f"$\\beta = {data.attrs['momentum']:g}$, no weight decay."
    )


def alt(data: xr.Dataset) -> str:
    last = np.median(data["loss"].values[:, :, -1], axis=1)
    first, end = np.median(data["effective_learning_rate"].values[:2, :, [0, -1]], axis=1).T
    dashed = "covers the latter" if covers(data) else f"leaves the latter and ends at {last[2]:.2g}"
    return (
        "Left: two training losses that start together and part; after "
        f"{int(data['step'][-1])} steps the original network is at {last[0]:.2g}, the one with longer filters at "
        f"{last[1]:.2g}, and a dashed predicted curve {dashed}. Right: the effective learning rates, at first a factor "
        f"of {first[0] / first[1]:.3g} apart, at the end a factor of {end[0] / end[1]:.2g}."
    )
