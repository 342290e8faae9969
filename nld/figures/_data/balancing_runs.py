"""What the figure of balancing measures, one function a panel, each with what theory says beside it."""

from itertools import pairwise

import numpy as np

from nld.experiment.studies import decay_sweeps, relu_network, weight_balancing
from nld.experiment.studies.linear_chain import LinearChain
from nld.learning_rules.rules import gradient_descent, iterate, mirror
from nld.theory import linear_networks, mirror_laws

DEPTHS = (1, 2, 3)  # hidden layers
# Of the critical decay; theory lets the upper minimum of two and three hidden layers end at 1.191 and 1.414.
RATIOS = (*(round(0.3 + 0.05 * i, 2) for i in range(14)), 1.05, 1.1, 1.15, 1.18, 1.25, 1.3, 1.38, 1.45, 1.5, 1.55)
POWERS = (1.0, 1.5, 2.0)  # p of a metric |w|^{p-2} and of a charge
NORMS = ((2, 2), (1, 1), (2, 1), (1, 2), (4, 2), (2, 8))  # (p, q)
TARGETS = (3.0, 2.5, 1.6, 1.0, 0.6, 0.25)  # singular values
DECAYS = tuple(round(0.1 * i, 1) for i in range(1, 36) if round(0.1 * i, 1) not in TARGETS)
RISING, START = (3.0, 2.0, 1.2, 0.7), 1e-3  # singular values of the target and of each layer at first
RATE = 0.02


def transitions(seed: int) -> dict:
    """Norm of the product in sweeps of the decay, and the minimum above zero."""
    norms, imbalances, minima = [], [], []
    for depth in DEPTHS:
        critical = linear_networks.critical_decay(hidden_layers=depth, strength=1.0)
        decays = tuple(ratio * critical for ratio in RATIOS)
        swept = decay_sweeps.sweep(decay_sweeps.HysteresisSweep(decays=decays, hidden_layers=depth, seed=seed))
        norms.append(swept["norm"].values)
        imbalances.append(float(swept["imbalance"].max()))
        minima.append([linear_networks.upper_minimum(decay, hidden_layers=depth, strength=1.0) for decay in decays])
    spinodal = [
        linear_networks.spinodal_decay(hidden_layers=depth, strength=1.0)
        / linear_networks.critical_decay(hidden_layers=depth, strength=1.0)
        for depth in DEPTHS
    ]
    return {
        "norm": (("depth", "direction", "ratio"), norms, {"units": "w^(D+1)"}),
        "upper_minimum": (("depth", "ratio"), minima, {"units": "w^(D+1)"}),
        "sweep_imbalance": ("depth", imbalances, {"units": "w²"}),
        "spinodal": ("depth", spinodal, {"units": "1", "long_name": "spinodal over critical decay"}),
        "ratio": ("ratio", list(RATIOS), {"long_name": "decay over critical decay"}),
        "depth": ("depth", list(DEPTHS)),
        "direction": ("direction", ["up", "down"]),
    }


def decaying_charges(seed: int, decay: float = 0.25, end: float = 8.0) -> dict:
    """Size of the charges of a chain with two hidden layers, over their first size, by learning rate."""
    target = np.random.default_rng([seed, 3]).normal(size=(2, 3))
    chain = LinearChain((3, 4, 4, 2), target / np.linalg.norm(target))
    shown, rows = np.linspace(0, end, 81), []
    for rate in (RATE, RATE / 2):
        rule = gradient_descent(rate, 2 * decay)
        path = iterate(rule, chain.gradient, chain.start(seed, 1.0), round(end / rate))
        size = np.sqrt(sum((charge**2).sum((1, 2)) for charge in chain.charges(path.position)))
        rows.append(size[np.searchsorted(path.time, shown - 1e-9)] / size[0])
    return {
        "charge": (("charge_rate", "time"), rows, {"units": "1"}),
        "charge_predicted": ("time", np.exp(-4 * decay * shown), {"units": "1"}),
        "time": ("time", shown, {"units": "w²/ℓ"}),
        "charge_rate": ("charge_rate", [RATE, RATE / 2], {"units": "w²/ℓ"}),
    }


def power_charges(seed: int) -> dict:
    """How far sum |incoming|^p - sum |outgoing|^p moves under the flow of each metric, and in steps of one.

    ``step_residual``: what the law of mirror descent leaves in a step, over the size of the charge.
    """
    network, q = relu_network.taught_network((5, 8, 3), 200, seed)
    paths = [relu_network.mirror_flow(network, q, relu_network.power_potential(q, p), 4.0, 0.01) for p in POWERS]
    first = [network.power_charges(q, p) for p in POWERS]
    drift = [
        [np.abs(network.power_charges(path, p) - charge).max() for p, charge in zip(POWERS, first, strict=True)]
        for path in paths
    ]
    potential, random = relu_network.power_potential(q, 1.5), np.random.default_rng([seed, 4])
    batches = iterate(
        mirror(0.02, potential),
        lambda point: network.batch(random.choice(200, 16, replace=False)).gradient(point),
        q,
        200,
    ).position
    (units,) = network.units(batches)
    before, after = ([part[rows] for part in units] for rows in (slice(None, -1), slice(1, None)))
    moved = np.diff(mirror_laws.rescale_charge(potential, units), axis=0)
    left = np.abs(moved - mirror_laws.rescale_charge_change(potential, before, after))
    return {
        "charge_drift": (("flow", "power"), drift, {"units": "w^p"}),
        "loss_ratio": ("flow", [network.loss(path[-1]) / network.loss(q) for path in paths]),
        "step_residual": left.max() / np.abs(mirror_laws.rescale_charge(potential, units)).max(),
        "step_moved": np.abs(moved.sum(0)).max(),
        "flow": ("flow", list(POWERS)),
        "power": ("power", list(POWERS)),
    }


def fixes(seed: int, updates: int = 300) -> dict:
    """Balancing of a network with rows of very different sizes, for six norms: rise, imbalance, change of outputs."""
    random, widths = np.random.default_rng([seed, 5]), (40, 100, 50, 10)
    shapes = [(m, n) for n, m in pairwise(widths)]
    weights = [np.exp(random.normal(size=(m, 1))) * np.sqrt(2 / n) * random.normal(size=(m, n)) for m, n in shapes]
    x = random.normal(size=(32, widths[0]))
    outputs = relu_network.activations(weights, x)[-1]
    rows = []
    for p, q in NORMS:
        fixed = weight_balancing.balance(weights, p, q, updates)
        moved = relu_network.activations(fixed.weights, x)[-1] - outputs
        with np.errstate(all="ignore"):  # it diverges for some, which is what is asked
            fast = weight_balancing.balance(weights, p, q, updates, power=1 / max(p, q))
        rows.append((
            np.diff(fixed.norm).max() / fixed.norm[0], fixed.imbalance[-1], np.abs(moved).max() / np.abs(outputs).max(),
            fixed.norm[-1] / fixed.norm[0], not fast.imbalance[-1] < 1e-3,
        ))  # fmt: skip
    names = ("fix_rise", "fix_imbalance", "fix_output", "fix_norm", "fast_diverges")
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return {name: ("norm_powers", np.array(column, float)) for name, column in columns} | {
        "norm_powers": ("norm_powers", [f"{p}, {q}" for p, q in NORMS])
    }


def thresholds(seed: int) -> dict:
    """Singular values of the product of two layers at each decay, the target's soft-thresholded ones, and digits."""
    chain = _rotated((6, 6, 6), TARGETS, 1.0, seed)
    found = decay_sweeps.singular_values(chain, DECAYS, 0.05, 3000, seed)
    digits = decay_sweeps.digits_chain(1)
    critical = np.linalg.svd(digits.target @ digits.covariance, compute_uv=False)[0]
    beside = decay_sweeps.singular_values(digits, critical * np.array([0.95, 1.05]), 0.05, 6000, seed)[:, 0]
    return {
        "left": (("decay", "mode"), found, {"units": "w²"}),
        "left_predicted": (("decay", "mode"), linear_networks.thresholded(TARGETS, np.array(DECAYS)[:, None])),
        "digits": ("side", beside, {"units": "w²"}),
        "digits_critical": critical,
        "decay": ("decay", list(DECAYS)),
        "mode": ("mode", list(TARGETS)),
        "side": ("side", ["below", "above"]),
    }


def rises(seed: int, end: float = 14.0) -> dict:
    """Singular values of the product of two layers that start small and balanced, and when each is half risen."""
    chain = _rotated((8, 8, 8), RISING, 0.5, seed)
    path = iterate(gradient_descent(RATE), chain.gradient, chain.balanced_start(START), round(end / RATE))
    found = np.linalg.svd(chain.product(path.position), compute_uv=False)[:, : len(RISING)]
    shown = slice(None, None, 7)
    halves = [np.interp(m / 2, found[:, i], path.time) for i, m in enumerate(RISING)]
    return {
        "risen": (("rise_time", "rising"), found[shown], {"units": "w²"}),
        "risen_predicted": (
            ("rise_time", "rising"),
            np.stack([linear_networks.rising(m, START, path.time[shown]) for m in RISING], axis=1),
        ),
        "half_rise": ("rising", halves, {"units": "w²/ℓ"}),
        "half_rise_predicted": ("rising", [linear_networks.half_rise_time(m, START) for m in RISING]),
        "rise_time": ("rise_time", path.time[shown], {"units": "w²/ℓ"}),
        "rising": ("rising", list(RISING)),
    }


def _rotated(widths: tuple[int, ...], strengths: tuple[float, ...], covariance: float, seed: int) -> LinearChain:
    """A chain whose target has these singular values and random singular vectors."""
    random, rank = np.random.default_rng([seed, 6]), len(strengths)
    left, right = (np.linalg.qr(random.normal(size=(n, rank)))[0] for n in (widths[-1], widths[0]))
    return LinearChain(widths, left * strengths @ right.T, covariance)
