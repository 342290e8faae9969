"""What the figure of noise on orbits measures, with what theory says beside it."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nld.experiment.studies import noisy_linear_pair, noisy_relu, noisy_steps

STARTS = ((2.6, 0.35), (0.3, 2.4), (1.5, -0.5), (-0.4, -2.2), (-2.0, 0.3))  # of two weights
VALLEY_RATE, VALLEY_NOISE, VALLEY_DECAY, VALLEY_STEPS = 0.03, 0.5, 0.002, 4000
TASK, FIRST_TWO = noisy_linear_pair.PairTask(), 2
PAIR_RATES = (0.03, 0.045)
PAIR_TIMES = (0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 4.5, 6.0, 9.0, 12.0, 15.0, 18.0, 21.0, 24.0)  # eta^2 N
RELU_RATE = 0.02
RELU_TIMES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 3.6, 4.2, 4.8, 5.4, 6.0)
FACTORS = tuple(round(-1.5 + 0.1 * i, 1) for i in range(31))  # log factors along an orbit
NORM_RATE, NORM_NOISE, NORM_DECAY, NORM_STEPS, DIMENSION = 0.05, 0.5, 0.0015, 16_000, 6
NORM_CASES = {"no decay": (1.0, 0.0), "decay, short": (1.0, NORM_DECAY), "decay, long": (3.0, NORM_DECAY)}
AVERAGED_FROM = 2 / 3  # of the run: over the rest squared norms are averaged


def valley(seed: int) -> dict:
    """Two weights under single samples, under the mean loss, and with decay; charges by law."""
    start = np.array(STARTS)
    setting = {"noise": VALLEY_NOISE, "seed": seed}
    sgd = noisy_steps.valley(start, VALLEY_RATE, VALLEY_STEPS, **setting)
    decayed = noisy_steps.valley(start, VALLEY_RATE, VALLEY_STEPS, decay=VALLEY_DECAY, **setting)
    descent = noisy_steps.valley(start, VALLEY_RATE, VALLEY_STEPS, full=True, **setting)
    errors, laws = [], []
    for runs, decay in ((sgd, 0.0), (decayed, VALLEY_DECAY)):
        factors = (1 - 2 * VALLEY_RATE * decay) ** 2 - (VALLEY_RATE * runs.slope) ** 2
        law = np.concatenate([runs.charge[:1], runs.charge[0] * np.cumprod(factors, 0)])
        errors.append(np.abs(law - runs.charge).max() / (runs.position**2).sum(-1).max())
        laws.append(law[::20, 0])
    fall = -np.log(np.abs(sgd.charge[-1] / sgd.charge[0])).mean() / VALLEY_STEPS
    methods = ["SGD", "SGD with decay", "gradient descent"]
    every = slice(None, None, 20)
    return {
        "valley": (("method", "valley_step", "run", "weight"), [r.position[every] for r in (sgd, decayed, descent)]),
        "charge_law": (("law_method", "valley_step"), laws, {"units": "w²"}),
        "law_error": ("law_method", errors),
        "charge_rate": fall,
        "charge_rate_at_minimum": 4 * (VALLEY_RATE * VALLEY_NOISE) ** 2,
        "charge_rate_measured": VALLEY_RATE**2 * (sgd.slope**2).mean(),
        "method": ("method", methods),
        "law_method": ("law_method", methods[:2]),
        "valley_step": ("valley_step", np.arange(VALLEY_STEPS + 1)[every]),
        "weight": ("weight", ["u", "w"]),
    }


def linear_pairs(seeds: Sequence[int]) -> dict:
    """Two linear layers from two starts a seed: imbalances, singular values, and where these should rest."""
    shape = (len(PAIR_TIMES), len(seeds), FIRST_TWO)
    runs = [
        noisy_linear_pair.train(TASK, seeds, FIRST_TWO, rate, [round(t / rate**2) for t in PAIR_TIMES])
        for rate in PAIR_RATES
    ]
    counts = [round(t / PAIR_RATES[-1] ** 2) for t in PAIR_TIMES]
    descent = noisy_linear_pair.train(TASK, seeds, FIRST_TWO, PAIR_RATES[-1], counts, full=True)
    telescoped = [
        np.abs(rate**2 * (run.noise_outer - run.noise_inner) - run.moved).max() / np.abs(run.moved).max()
        for rate, run in zip(PAIR_RATES, runs, strict=True)
    ]
    dims = ("pair_time", "judging_seed", "start")
    return {
        "imbalance": (("pair_rate", *dims), [run.imbalance.reshape(shape) for run in runs]),
        "descent_imbalance": (dims, descent.imbalance.reshape(shape)),
        "norm_imbalance": (dims, runs[0].norm_imbalance.reshape(shape)),
        "values": (("pair_rate", *dims, "mode"), [run.singular_values.reshape(*shape, -1) for run in runs]),
        "descent_values": ((*dims, "mode"), descent.singular_values.reshape(*shape, -1)),
        "resting_values": (("judging_seed", "mode"), [noisy_linear_pair.resting_values(TASK, s) for s in seeds]),
        "telescoped": ("pair_rate", telescoped),
        "pair_rate": ("pair_rate", list(PAIR_RATES), {"units": "w²/ℓ"}),
        "pair_time": ("pair_time", list(PAIR_TIMES), {"long_name": "steps times squared learning rate"}),
    }


def relu_networks(seeds: Sequence[int]) -> dict:
    """Mean |s*| of ReLU networks in training; one of them along its orbits, and at its optimum."""
    counts = [round(t / RELU_RATE**2) for t in RELU_TIMES]
    first = noisy_relu.start(seeds)
    distances = [
        [networks.distances() for networks in noisy_relu.train(first, RELU_RATE, counts, seeds, full)]
        for full in (False, True)
    ]
    optima = [first.optimum(run) for run in range(len(seeds))]
    least, rest = (np.stack([getattr(o, name).numpy() for o in optima]) for name in ("least", "log_factor"))
    curve = np.stack([np.add(*first.rescaled(s).squared_gradients()) / 2 for s in FACTORS])
    foreseen = least * np.cosh(2 * (np.array(FACTORS)[:, None, None] - rest))
    moved = first.at_optimum()
    inner, outer = moved.squared_gradients()
    return {
        "distance": (("relu_method", "relu_time", "judging_seed"), distances),
        "curve_error": np.abs(curve / foreseen - 1).max(),
        "curvature": np.diff(curve, 2, axis=0).min() / curve.max(),
        "source_left": np.abs(inner - outer).max() / inner.max(),
        "source_before": np.abs(np.subtract(*first.squared_gradients())).max() / inner.max(),
        "loss_moved": np.abs(moved.losses() / first.losses() - 1).max(),
        "relu_method": ("relu_method", ["SGD", "gradient descent"]),
        "relu_time": ("relu_time", list(RELU_TIMES)),
    }


def norms(seeds: Sequence[int]) -> dict:
    """A normalized neuron with and without decay: fourth powers of its norm, and what theory expects of them."""
    lengths, decays = (np.tile(each, len(seeds)) for each in zip(*NORM_CASES.values(), strict=True))
    directions = np.stack([np.random.default_rng([seed, 7]).normal(size=DIMENSION) for seed in seeds])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    start = lengths[:, None] * np.repeat(directions, len(NORM_CASES), 0)
    squared, gradients = noisy_steps.normalized(
        start, NORM_RATE, NORM_STEPS, noise=NORM_NOISE, decay=decays, seeds=[seed for seed in seeds for _ in NORM_CASES]
    )
    law = (1 - 2 * NORM_RATE * decays) ** 2 * squared[:-1] + NORM_RATE**2 * gradients
    shape, every = (-1, len(seeds), len(NORM_CASES)), slice(None, None, 80)
    fourth = squared.reshape(shape) ** 2
    dims = ("norm_step", "judging_seed", "norm_case")
    steps = np.arange(NORM_STEPS + 1)
    return {
        "fourth_power": (dims, fourth[every], {"units": "w⁴"}),
        "fourth_power_law": (("norm_step", "norm_case"), fourth_power(steps[every]), {"units": "w⁴"}),
        "fourth_power_late": (("judging_seed", "norm_case"), fourth[round(AVERAGED_FROM * NORM_STEPS) :].mean(0)),
        "norm_law_error": np.abs(law / squared[1:] - 1).max(),
        "norm_fall": np.diff(squared.reshape(shape)[..., 0], axis=0).min(),
        "norm_step": ("norm_step", steps[every]),
        "norm_case": ("norm_case", list(NORM_CASES)),
    }


def fourth_power(steps: np.ndarray) -> np.ndarray:
    """|q|^4 of each case after these steps, to leading order in the rate, with the noise at the minimum.

    With G = E|g|^2 |q|^2 = noise^2 (dimension - 1): G eta/(4 gamma) is approached as e^{-8 eta gamma n}; without decay
    it grows by 2 eta^2 G a step.
    """
    strength = NORM_NOISE**2 * (DIMENSION - 1)
    rows = []
    for length, decay in NORM_CASES.values():
        if decay:
            rest = NORM_RATE * strength / (4 * decay)
            rows.append(rest + (length**4 - rest) * np.exp(-8 * NORM_RATE * decay * steps))
        else:
            rows.append(length**4 + 2 * NORM_RATE**2 * strength * steps)
    return np.stack(rows, 1)


def measure(seeds: Sequence[int]) -> xr.Dataset:
    """Everything that depends on the judging seeds."""
    seeds = list(seeds)
    parts = {**linear_pairs(seeds), **relu_networks(seeds), **norms(seeds), "judging_seed": seeds}
    return xr.Dataset(parts)
