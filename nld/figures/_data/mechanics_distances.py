"""Distances between the iterates of a learning rule and its two flows, gradient flow and mechanics."""

import numpy as np
import xarray as xr

from nld.figures._data.orders_of_accuracy import RESCALED_TIME, START, gradient, rule_and_steps, three_rules
from nld.learning_rules.rules import LearningRule, iterate
from nld.theory.continuum import euler_lagrange_flow, fresh_velocity, gradient_flow

RELAXATIONS = {"quick": (40, 57, 80, 113, 160, 226, 320), "paper": (40, 80, 160, 320, 640, 1280)}  # μ times the steps
COARSE = 30  # steps of the path that the left panel shows


def measured(profile: str, momentum: float) -> xr.Dataset:
    """Distances at t = 1.2 μ between iterates and both flows, by rule and rate, and one coarse path with its flows.

    The number of steps grows as 1/μ, so that the rules share their values of η/μ², which is what has to be small.
    """
    rules = three_rules(momentum)
    scaled = RESCALED_TIME / np.array(RELAXATIONS[profile])
    errors = [[distances(make, RESCALED_TIME / x) for x in scaled] for make in rules.values()]
    cold = [distances(rules["heavy ball"], RESCALED_TIME / x, warm=False)[1] for x in scaled]
    distance = {"units": "w", "long_name": "distance to the iterate"}
    data = xr.Dataset(
        {
            "error": (("rule", "scaled_rate", "flow"), np.array(errors), distance),
            "cold_error": (("scaled_rate",), cold, {**distance, "comment": "heavy ball; mechanics starts at rest"}),
        },
        coords={
            "rule": list(rules),
            "scaled_rate": ("scaled_rate", scaled, {"units": "w²/ℓ", "long_name": "learning rate over μ²"}),
            "flow": ["gradient flow", "mechanics"],
        },
        attrs={"momentum": momentum},
    )
    return data.assign(paths(rules["heavy ball"]))


def flows(rule: LearningRule, time, warm: bool = True):
    """Gradient flow and the rule's Euler-Lagrange flow from the start."""
    velocity = fresh_velocity(rule, gradient, START) if warm else np.zeros(2)
    return gradient_flow(rule, gradient, START, time), euler_lagrange_flow(rule, gradient, START, velocity, time)


def distances(make, relaxations: float, warm: bool = True) -> list[float]:
    """Distance of the last iterate to gradient flow and to the Euler-Lagrange flow, in w."""
    rule, steps = rule_and_steps(make, relaxations)
    last = iterate(rule, gradient, START, steps).position[-1]
    ends = flows(rule, [0, steps * rule.learning_rate], warm)
    return [float(np.linalg.norm(last - flow.position[-1])) for flow in ends]


def paths(make) -> dict:
    """Iterates of one coarse run, twice as long, and the two flows."""
    rule = make(RESCALED_TIME * make(1.0).friction / COARSE)
    iterates = iterate(rule, gradient, START, 2 * COARSE)
    fine = np.linspace(0, iterates.time[-1], 240)
    curves = np.stack([flow.position for flow in flows(rule, fine)])
    position = {"units": "w", "long_name": "position"}
    return {
        "iterates": (("step", "axis"), iterates.position, position),
        "curves": (("flow", "time", "axis"), curves, position),
        "coarse_rate": ((), rule.learning_rate, {"units": "w²/ℓ"}),
    }
