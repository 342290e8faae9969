"""Distances between iterates and the flows that model them, over the step, case by case, for ``fig_counter_terms``."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from nld.figures._data.orders_of_accuracy import START, exponent, gradient, rule_and_steps, three_rules
from nld.learning_rules import potentials, rules
from nld.learning_rules.rules import LearningRule, iterate
from nld.results import arithmetic
from nld.theory import bregman, continuum
from nld.theory.counter_terms import slow_flow, startup_delay, state_on_manifold

RELAXATIONS = {"quick": (40, 67, 113, 190, 320), "paper": (40, 67, 113, 190, 320, 538)}  # mu times the steps
NETWORK_TIME, NETWORK_STEPS = 4, (40, 80, 160, 320)
ACCELERATED_TIME, ACCELERATED_STEPS = 2.0, (40, 80, 160, 320, 640)
MIRROR_MOMENTUM: Any = 0.5

Case = tuple[str, str, int, Any, Any]  # group, label, predicted order, steps, errors


def cases(profile: str, momentum: float, seed: int) -> list[Case]:
    """Every case of the figure; steps are eta/mu^2, in w^2/ℓ, but for the accelerated gradient its root."""
    return [*_network_cases(seed), *_euclidean_cases(profile, momentum), *_mirror_cases(profile), _accelerated_case()]


def measured(profile: str, momentum: float, seed: int) -> xr.Dataset:
    """Distances of iterates to their flows over the step, by case, and attractions by rule."""
    rows = cases(profile, momentum, seed)
    with_buffer = ("heavy ball", "Nesterov")
    attractions = [_attraction(three_rules(momentum)[name]) for name in with_buffer]
    longest = max(len(steps) for *_, steps, _ in rows)
    step, error = (
        np.array([[*row, *[np.nan] * (longest - len(row))] for row in column])
        for column in zip(*(case[3:] for case in rows), strict=True)
    )
    rate = {"units": "w²/ℓ", "long_name": "learning rate over μ² (last case: root)"}
    return xr.Dataset(
        {
            "error": (("case", "point"), error, {"units": "w", "long_name": "distance of the iterates to the flow"}),
            "step": (("case", "point"), step, rate),
            "predicted_order": (("case",), [case[2] for case in rows]),
            "group": (("case",), [case[0] for case in rows]),
            "attraction": (("rule",), attractions),
        },
        coords={"case": [case[1] for case in rows], "rule": list(with_buffer)},
        attrs={"momentum": momentum, "mirror_momentum": MIRROR_MOMENTUM},
    )


def _euclidean_cases(profile: str, momentum: float) -> Iterator[Case]:
    """The three rules on the loss of fig-orders."""
    for group, make in three_rules(momentum).items():
        labels = [("gradient flow", 1), ("1 counter term", 2), ("2 counter terms", 3)]
        measures = [distances]
        if group != "gradient descent":  # without a buffer there is nothing to fill
            labels += [("1 term, empty buffer", 1), ("the same, delay taken off", 2)]
            measures += [cold_distances]
        runs = [rule_and_steps(make, relaxations) for relaxations in RELAXATIONS[profile]]
        scale = [rule.learning_rate / rule.friction**2 for rule, _ in runs]
        rows = [[x for measure in measures for x in measure(rule, gradient, START, steps)] for rule, steps in runs]
        for (label, order), error in zip(labels, np.array(rows).T, strict=True):
            yield group, f"{group}: {label}", order, scale, error


def distances(rule: LearningRule, slope, start, steps: int, orders=(0, 1, 2)) -> list[float]:
    """Last iterate of a run that begins on the slow manifold to the flows with so many counter terms."""
    last = iterate(rule, slope, start, steps, state_on_manifold(rule, slope, start)).position[-1]
    end = [0, steps * rule.learning_rate]
    return [float(np.linalg.norm(last - slow_flow(rule, slope, start, end, n).position[-1])) for n in orders]


def cold_distances(rule: LearningRule, slope, start, steps: int) -> list[float]:
    """Last iterate from an empty buffer to the flow with one term, and to the same ``startup_delay`` steps earlier."""
    last, late = iterate(rule, slope, start, steps).position[-1], startup_delay(rule)
    ends = [[0, n * rule.learning_rate] for n in (steps, steps - late)]
    return [float(np.linalg.norm(last - slow_flow(rule, slope, start, end).position[-1])) for end in ends]


def _attraction(make: Callable[[float], LearningRule]) -> float:
    """Factor by which a step shrinks the distance of iterates from an empty buffer to the slow flow they end on."""
    rule, _ = rule_and_steps(make, 3200)
    count = round(2 / rule.friction)
    fresh = iterate(rule, gradient, START, count).position
    late = startup_delay(rule) * rule.learning_rate
    early = slow_flow(rule, gradient, START, [0, -late], 2).position[-1]
    flow = slow_flow(rule, gradient, early, np.arange(count + 1) * rule.learning_rate, 2).position
    gap = np.linalg.norm(fresh - flow, axis=1)
    return float(np.exp(np.polyfit(np.arange(count + 1), np.log(gap), 1)[0]))


def _network_cases(seed: int) -> Iterator[Case]:
    """Gradient descent on a small tanh network: full batch, mean squared error."""
    slope, start = network(seed)
    rates = [NETWORK_TIME / n for n in NETWORK_STEPS]
    errors = np.array(
        [distances(rules.gradient_descent(r), slope, start, n) for r, n in zip(rates, NETWORK_STEPS, strict=True)]
    )
    for order, label in enumerate(("gradient flow", "1 counter term", "2 counter terms"), 1):
        yield "network", f"network: {label}", order, rates, errors[:, order - 1]


def network(seed: int) -> tuple[Callable, np.ndarray]:
    """Gradient of the loss of a 3-8-1 tanh network on 32 points, and parameters to start from, shape (41,)."""
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(32, 3))
    targets = np.sin(inputs.sum(1))

    def slope(q):
        weights, bias, out, shift = q[:24].reshape(8, 3), q[24:32], q[32:40], q[40]
        hidden = np.tanh(inputs @ weights.T + bias)
        error = (hidden @ out + shift - targets) / len(targets)
        back = np.outer(error, out) * (1 - hidden**2)
        return np.concatenate([(back.T @ inputs).ravel(), back.sum(0), hidden.T @ error, [error.sum()]])

    return slope, arithmetic.moved(0.7 * draw.normal(size=41))


def _mirror_cases(profile: str) -> Iterator[Case]:
    """Mirror descent with momentum under entropy: natural gradient flow, Table 1's scaling, the ideal one."""
    rows = []
    for relaxations in RELAXATIONS[profile]:
        rule, steps = rule_and_steps(lambda rate: rules.mirror(rate, potentials.entropy, MIRROR_MOMENTUM), relaxations)
        end = [0, steps * rule.learning_rate]
        flows = [continuum.gradient_flow(rule, gradient, START, end)]
        velocity = continuum.fresh_velocity(rule, gradient, START)
        for scaling in (bregman.damped_scaling, bregman.ideal_scaling):
            motion = partial(scaling, rule.mass, rule.friction)
            flows.append(continuum.bregman_flow(potentials.entropy, motion, gradient, START, velocity, end))
        last = iterate(rule, gradient, START, steps).position[-1]
        rows.append([rule.learning_rate / rule.friction**2, *(np.linalg.norm(last - x.position[-1]) for x in flows)])
    scale, *errors = np.array(rows).T
    labels = (("natural gradient flow", 1), ("scaling of Table 1", 1), ("ideal scaling", 2))
    for (label, order), error in zip(labels, errors, strict=True):
        yield "mirror descent", f"mirror descent: {label}", order, scale, error


def _accelerated_case() -> Case:
    """Nesterov's method of 1983, momentum (n - 1)/(n + 2), against the Bregman motion p = 2, where t = n sqrt(eta)."""
    start, roots = np.array(START), ACCELERATED_TIME / np.array(ACCELERATED_STEPS)
    motion = continuum.bregman_flow(
        potentials.euclidean, bregman.nesterov_scaling, gradient, start, 0 * start, [1e-6, ACCELERATED_TIME]
    )
    errors = []
    for root, steps in zip(roots, ACCELERATED_STEPS, strict=True):
        before = now = start
        for n in range(1, steps + 1):
            ahead = now + (n - 1) / (n + 2) * (now - before)
            before, now = now, ahead - root**2 * gradient(ahead)
        errors.append(np.linalg.norm(now - motion.position[-1]))
    return "Bregman, p = 2", "Bregman, p = 2: accelerated gradient", 1, roots, errors


def orders(data: xr.Dataset) -> np.ndarray:
    """Least-squares slopes of log error over log step, shape (case,)."""
    pairs = zip(data["step"].values, data["error"].values, strict=True)
    return np.array([exponent(*(row[np.isfinite(row)] for row in pair)) for pair in pairs])
