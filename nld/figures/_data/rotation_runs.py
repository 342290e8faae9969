"""The runs that fig-rotation shows: walks of random gradients, and a small network under every learning rule."""

import math

import numpy as np
import xarray as xr

from nld.experiment.studies.filter_rotation import turn_filters
from nld.experiment.studies.random_walk import squared_norms, walk
from nld.figures.evidence import judged
from nld.learning_rules.decoupled import adamp, lion, sgdp, turned
from nld.learning_rules.rules import LearningRule, adam, heavy_ball
from nld.theory import equilibrium
from nld.theory.rotation import rotational_equilibrium

SIZE = 500
NETWORK = "digits_cnn"
STEPS = 600
MEAN_OVER = 10  # steps
EVIDENCE = "results/evidence/fig-rotation.nc"
JUDGED = ("AdamW", "Adam", "turned")
GROWTH = (0.9, 800)  # momentum and steps of the walks without decay


def adamw(rate: float, beta: float, decay: float, memory: float = 0.99, epsilon: float = 0) -> LearningRule:
    """AdamW, all its numbers named."""
    return adam(rate, beta, memory, decay, epsilon, decoupled=True)


# Rule, squared gradient at unit norm, steps.
WALKS: tuple[tuple[LearningRule, float, int], ...] = (
    (heavy_ball(0.1, 0.0, 0.02), 1.0, 1200),
    (heavy_ball(0.1, 0.5, 5e-3), 4.0, 2000),
    (heavy_ball(0.1, 0.9, 5e-3), 1.0, 1000),
    (adamw(0.01, 0.0, 0.1, 0.998), 1.0, 7000),
    (adamw(0.003, 0.5, 0.5, 0.998), 1.0, 5000),
    (adamw(0.01, 0.9, 0.1, 0.998), 1.0, 7000),
    (adam(0.02, 0.9, 0.998, 0.002, 0), 1.0, 5000),
    (adam(0.02, 0.9, 0.998, 0.002, 0), 16.0, 5000),
    (lion(0.003, 0.9, 0.99, 0.3), 1.0, 4500),
    (lion(0.01, 0.95, 0.98, 0.05), 1.0, 6000),
    (sgdp(0.1, 0.0, 0.05), 1.0, 3000),
    (sgdp(0.1, 0.9, 0.02), 1.0, 1500),
    (adamp(0.01, 0.0, 0.998, 2.0, 0), 1.0, 5000),
    (adamp(0.01, 0.9, 0.998, 1.0, 0), 1.0, 6000),
)


def network_rules(weight_decay: float, coupled_decay: float) -> tuple[tuple[LearningRule, float], ...]:
    """What trains the network, each with the factor that brings the filters near their equilibrium at the start."""
    return (
        (heavy_ball(0.03, 0.9, 0.02), 1.0),
        (adamw(0.003, 0.9, weight_decay, epsilon=1e-8), 1.0),
        (adam(0.003, 0.9, 0.99, coupled_decay, 1e-8), 1.0),
        (lion(0.001, 0.9, 0.95, 6.0), 0.7),
        (lion(0.001, 0.9, 0.99, 6.0), 0.7),
        (sgdp(0.02, 0.8, 0.2), 0.4),
        (adamp(0.003, 0.9, 0.99, 13.0, 1e-8), 0.1),
    )


def compute(
    profile: str, *, seed: int = 0, weight_decay: float = 3.0, coupled_decay: float = 0.1, label_noise: float = 0.4
) -> xr.Dataset:
    """Predicted and measured norms and angles of walks and of a small network; one size for all profiles."""
    walks = [_walk(rule, square, steps, seed) for rule, square, steps in WALKS]
    rules = network_rules(weight_decay, coupled_decay)
    shared = {"network": NETWORK, "steps": STEPS, "label_noise": label_noise}
    seeds = range(seed, seed + 3)  # of the rules that are compared; one seed for the others
    compared = ("AdamW", "Adam")
    runs = [
        turn_filters(rule, seeds=seeds if rule.name in compared else seeds[:1], filter_scale=scale, **shared)
        for rule, scale in rules
    ]
    ruling = judged(
        EVIDENCE,
        lambda judging: measure(judging, weight_decay, coupled_decay, label_noise),
        seed=seed,
        registered=(weight_decay, coupled_decay, label_noise) == (3.0, 0.1, 0.4),
    )
    courses = [run["squared_angle"].coarsen(step=MEAN_OVER).mean().values for run in runs[1:3]]  # type: ignore[attr-defined]
    tables = [_network(rule, run) for (rule, _), run in zip(rules, runs, strict=True)]
    growth, projected = (_growth(make(0.1, GROWTH[0]), seed) for make in (heavy_ball, sgdp))
    columns = ("norm", "angle", "norm_law", "angle_law", "norm_closed", "angle_closed", "norm_uncharged")
    data = xr.Dataset(
        {
            **{name: (("walk",), [row[name] for row in walks]) for name in columns},
            **{f"network_{name}": (("run", "layer"), [row[name] for row in tables]) for name in columns[:4]},
            "squared_angle": (("treatment", "course_step", "layer"), np.array(courses), {"units": "rad²"}),
            "layer_law": (("treatment", "layer"), [tables[1]["angle_law"], tables[2]["angle_law"]], {"units": "rad"}),
            "growth": (("grown",), [growth, projected], {"units": "w⁴", "long_name": "slope of |q|⁴ a step"}),
        },
        coords={
            "rule": ("walk", [rule.name for rule, _, _ in WALKS]),
            "momentum": ("walk", [rule.momentum for rule, _, _ in WALKS]),
            "network_rule": ("run", [rule.name for rule, _ in rules]),
            "network_momentum": ("run", [rule.momentum for rule, _ in rules]),
            "size": ("layer", runs[0]["size"].values),
            "course_step": np.arange(len(courses[0])) * MEAN_OVER + MEAN_OVER / 2,
            "treatment": list(compared),
            "grown": ["heavy ball", "SGDP"],
            "seed": list(seeds),
        },
        attrs={"label_noise": label_noise, "weight_decay": weight_decay, "coupled_decay": coupled_decay},
    )
    return data.merge(ruling, combine_attrs="no_conflicts")


def measure(seeds, weight_decay: float = 3.0, coupled_decay: float = 0.1, label_noise: float = 0.4) -> xr.Dataset:
    """What rules: accuracies under AdamW, Adam and a prescribed angle, and how unequal the layers' angles are.

    Each seed is a network of its own, so that ``judged_unbalance`` has one value a seed.
    """
    (_, (plain, _), (coupled, _), *_) = network_rules(weight_decay, coupled_decay)
    shared = {"network": NETWORK, "steps": STEPS, "label_noise": label_noise}
    undecayed = turned(adamw(0.003, 0.9, 0, epsilon=1e-8), equilibrium.angular_step(plain))
    runs = [turn_filters(rule, seeds=seeds, **shared) for rule in (plain, coupled)]
    runs.append(turn_filters(undecayed, others=plain, seeds=seeds, **shared))
    late = slice(STEPS // 2, None)
    angles = [run["member_squared_angle"].isel(step=late).mean("step") ** 0.5 for run in runs[:2]]
    accuracy = np.array([run["accuracy"].values for run in runs]).T
    unbalance = np.array([(a.max("layer") / a.min("layer")).values for a in angles]).T
    return xr.Dataset(
        {
            "judged_accuracy": (("judging_seed", "judged_rule"), accuracy, {"units": "1"}),
            "judged_unbalance": (("judging_seed", "balanced_rule"), unbalance, {"units": "1"}),
        },
        coords={"judging_seed": list(seeds), "judged_rule": list(JUDGED), "balanced_rule": list(JUDGED[:2])},
    )


def _walk(rule: LearningRule, squared_gradient: float, steps: int, seed: int) -> dict[str, float]:
    closed = equilibrium.squared_norm(rule, squared_gradient, SIZE)
    law = rotational_equilibrium(rule, squared_gradient, SIZE)
    found = walk(
        rule, start=1.1 * math.sqrt(closed), steps=steps, settle=int(0.7 * steps),
        squared_gradient=squared_gradient, size=SIZE, units=3, seed=seed,
    )  # fmt: skip
    share = (1 - rule.momentum) / (1 + rule.momentum) if rule.name == "AdamW" and rule.momentum else math.nan
    return {
        "norm": math.sqrt(found.squared_norm),
        "angle": found.angular_step,
        "norm_law": math.sqrt(law.squared_norm),
        "angle_law": law.angular_step,
        "norm_closed": math.sqrt(closed),
        "angle_closed": equilibrium.angular_step(rule, squared_gradient, SIZE),
        "norm_uncharged": math.sqrt(closed * share),
    }


def _network(rule: LearningRule, run: xr.Dataset) -> dict[str, list[float]]:
    """Measured over the second half; predicted from the measured gradients where a rule needs them."""
    late = run.isel(step=slice(run.sizes["step"] // 2, None))
    sizes = [int(size) for size in run["size"].values]
    squares = run["squared_gradient"].values
    if rule.name == "Adam":  # coordinate i settles at eta sigma_i/(2 k): the sum of the sigma_i is what counts
        squares = run["gradient_sum"].values ** 2 / sizes
    laws = [rotational_equilibrium(rule, float(square), size) for square, size in zip(squares, sizes, strict=True)]
    return {
        "norm": list(np.sqrt(late["squared_norm"].mean("step").values)),
        "angle": list(np.sqrt(late["squared_angle"].mean("step").values)),
        "norm_law": [math.sqrt(law.squared_norm) for law in laws],
        "angle_law": [law.angular_step for law in laws],
    }


def _growth(rule: LearningRule, seed: int) -> float:
    """Slope of |q|^4 over the steps, without weight decay, once the buffer is full; small turns within a memory."""
    norms = squared_norms(rule, start=6.0, steps=GROWTH[1], size=SIZE, units=3, seed=seed).mean(1)
    late = np.arange(GROWTH[1] // 4, GROWTH[1] + 1)
    return float(np.polyfit(late, norms[late] ** 2, 1)[0])
