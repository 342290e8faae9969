"""What the figure of the two meanings of symmetry measures, one function a panel, with theory beside it."""

import numpy as np

from nld.experiment.studies import (
    constant_inputs,
    cued_digits,
    driven_probe,
    orbit_regression,
    ring_symmetry,
    time_embedding,
)
from nld.learning_rules.rules import LearningRule, adam, gradient_descent, heavy_ball, iterate
from nld.theory import orbit_kernels

LATER = 37.0  # by which all events are moved
RULES = (gradient_descent(10.0), heavy_ball(2.0, 0.9), adam(0.1))
POINTS, SEPARATIONS = (4, 6, 8, 10, 12, 14, 16), (0.25, 0.5, 1.0, 2.0)
CONSTANTS, VALUE = 192, 0.5  # constant inputs, and what they are
SPEEDS = (0.3, 0.1, 0.03, 0.01, 0.003)
JUDGING = 8  # seeds of cued networks, from 10,000
NETWORKS = ("cued", "tuned", "plain")


def moved_events(seed: int, steps: int = 60) -> dict:
    """Training on events that are all later, from a rotated start, against the rotated training; and the lags found.

    ``path_error``: distance of the two over what training moves.
    """
    events, lags, start = time_embedding.lagged_pairs(seed)
    later = time_embedding.TimeEmbedding(events.happened, LATER)
    turned, errors = time_embedding.rotated(start, LATER), []
    for rule in RULES:
        path = iterate(rule, events.gradient, start, steps).position
        other = iterate(rule, later.gradient, turned, steps).position
        carried = np.stack([time_embedding.rotated(q, LATER) for q in path])
        errors.append(np.linalg.norm(carried - other, axis=1) / np.linalg.norm(path[-1] - path[0]))
    trained = events.vectors(iterate(RULES[-1], events.gradient, start, 150).position[-1])
    tried, pairs = np.arange(60), 2 * len(lags)
    found = time_embedding.distances(trained[0:pairs:2], trained[1:pairs:2], tried)
    others = time_embedding.distances(trained[pairs::2], trained[pairs + 1 :: 2], tried)
    return {
        "path_error": (("rule", "step"), errors, {"units": "1"}),
        "lags_found": int((tried[found.argmin(-1)] == lags).sum()),
        "lag_distance": ("related", [found.min(-1).max(), others.min(-1).min()]),
        "rule": ("rule", [rule.name for rule in RULES]),
        "step": ("step", np.arange(steps + 1)),
        "related": ("related", ["yes, at most", "no, at least"]),
    }


def orbits(seed: int) -> dict:
    """Error at a point that was left out of two rings, by points and separation; measured and from the spectrum."""
    measured = np.empty((len(SEPARATIONS), len(POINTS)))
    foreseen, spread = np.empty_like(measured), np.empty_like(measured)
    for i, separation in enumerate(SEPARATIONS):
        for j, points in enumerate(POINTS):
            kernel = orbit_regression.gaussian_kernel(orbit_regression.two_rings(points, separation))
            errors = orbit_regression.left_out_errors(kernel)
            measured[i, j], foreseen[i, j] = errors.mean(), orbit_kernels.left_out_error(kernel[0])
            spread[i, j] = np.abs(errors - foreseen[i, j]).max()
    return {
        "left_out": (("separation", "points"), measured),
        "left_out_predicted": (("separation", "points"), foreseen),
        "left_out_gap": (("separation", "points"), spread),
        "separation": ("separation", list(SEPARATIONS)),
        "points": ("points", list(POINTS)),
    }


def constants(seed: int, steps: int = 200) -> dict:
    """Networks with constant inputs, with one bias whose rate is larger, and with a plain bias.

    ``constant_gap``: largest difference of weights and biases of the first two, by learning rule.
    """
    many = np.array([VALUE] * CONSTANTS + [1.0])
    expanded = constant_inputs.on_digits(many)
    rules: tuple[tuple[LearningRule, float], ...] = (
        (gradient_descent(0.02), np.sqrt(1 + CONSTANTS * VALUE**2)),
        (adam(1e-4, epsilon=0), 1 + CONSTANTS * VALUE),
    )
    gaps, charges, shown = [], [], []
    for rule, factor in rules:
        alike, plain = (constant_inputs.on_digits([each]) for each in (factor, 1.0))
        path, other, third = (
            iterate(rule, each.gradient, constant_inputs.start(each, many, seed), steps).position
            for each in (expanded, alike, plain)
        )
        first, second = expanded.layers(path), alike.layers(other)
        biases = [expanded.bias(path), alike.bias(other), plain.bias(third)]
        gaps.append(max(np.abs(first[0] - second[0]).max(), np.abs(biases[0] - biases[1]).max()))
        charge = first[1][..., :-1] - VALUE * first[1][..., -1:]
        charges.append(np.abs(charge - charge[0]).max())
        unit = np.abs(biases[0][-1] - biases[0][0]).argmax()
        shown.append([bias[:, unit] - bias[0, unit] for bias in biases])
    return {
        "constant_gap": ("constant_rule", gaps, {"units": "w"}),
        "constant_charge": ("constant_rule", charges, {"units": "w"}),
        "bias": (("network", "constant_step"), shown[0], {"units": "w"}),
        "constant_rule": ("constant_rule", [rule.name for rule, _ in rules]),
        "network": ("network", ["constants", "larger rate", "plain bias"]),
        "constant_step": ("constant_step", np.arange(steps + 1)),
    }


def cues(seed: int) -> dict:
    """Accuracies of the cued, tuned and plain networks without cue and with a random one, and loss barriers."""
    seeds = 10_000 + seed + np.arange(JUDGING)
    runs = cued_digits.runs(seeds)
    accuracy = [[runs[f"{network}_{shown}"] for shown in ("no_cue", "random_cue")] for network in NETWORKS]
    return {
        "accuracy": (("cue_network", "cue", "judging_seed"), accuracy),
        "barrier": (("barrier_to", "judging_seed"), [runs["tuned_barrier"], runs["plain_barrier"]], {"units": "ℓ"}),
        "cue_network": ("cue_network", list(NETWORKS)),
        "cue": ("cue", ["none", "random"]),
        "barrier_to": ("barrier_to", ["tuned", "plain"]),
        "judging_seed": ("judging_seed", seeds),
    }


def hexagon(seed: int) -> dict:
    """Of twelve symmetries, how many maps respect up to the input's; and edges of one colour from equal corners."""
    maps, inputs = ring_symmetry.MAPS, ring_symmetry.INPUTS
    respected = [[ring_symmetry.equivariant(f, x, True) for x in inputs.values()] for f in maps.values()]
    strictly = [[ring_symmetry.equivariant(f, x) for x in inputs.values()] for f in maps.values()]
    equal = np.ones(ring_symmetry.SIZE)
    return {
        "respected": (("map", "symmetries"), respected),
        "strictly_respected": (("map", "symmetries"), strictly),
        "one_coloured": ("map", [ring_symmetry.one_coloured(f, equal) for f in maps.values()]),
        "output_spread": ("map", [np.ptp(f(equal)) for f in maps.values()]),
        "map": ("map", list(maps)),
        "symmetries": ("symmetries", list(inputs)),
    }


def entropies(seed: int) -> dict:
    """Entropy that a particle with friction makes while its spring is stiffened, by the speed of that."""
    gains = [driven_probe.driven(speed) for speed in SPEEDS]
    return {
        "entropy": ("speed", [entropy for entropy, _ in gains], {"units": "1"}),
        "energy_error": ("speed", [abs(error) for _, error in gains]),
        "speed": ("speed", list(SPEEDS)),
    }
