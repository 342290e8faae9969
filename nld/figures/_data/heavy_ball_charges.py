"""Noether charges of heavy-ball runs, measured between iterates: of a rotation, and of a scaling that is broken."""

import numpy as np
import xarray as xr

from nld.learning_rules.rules import LearningRule, heavy_ball, iterate
from nld.theory.continuum import euler_lagrange_flow, fresh_velocity

MOMENTA = (0.999, 0.99, 0.9, 0.5)
END = 10.0  # last time shown, in w²/ℓ
RING, PUSH = np.array([1.3, 0.0]), np.array([0.0, 0.5])  # start in (a), and the velocity it is pushed with
CONE = np.array([0.35, 0.95])  # start in (b), at rest


def ring_gradient(q):
    """Gradient of (|q|² - 1)²/4, which a rotation leaves alone; shape (..., 2)."""
    return ((q**2).sum(-1, keepdims=True) - 1) * q


def scale_gradient(q):
    """Gradient of -2 q_1²/|q|², which a scaling leaves alone; shape (..., 2)."""
    x, y = q[..., 0], q[..., 1]
    factor = -4 * x * y / (x * x + y * y) ** 2
    return np.stack([factor * y, -factor * x], -1)


def charges(learning_rate: float) -> xr.Dataset:
    """Charges of heavy-ball runs at several momenta, measured between iterates, and what the theory says they are.

    Args:
        learning_rate: η in w²/ℓ, one for all runs.
    """
    steps = round(END / learning_rate)
    time = (np.arange(steps) + 0.5) * learning_rate
    columns: dict[str, list] = {"rotation": [], "rotation_predicted": [], "scale": [], "scale_predicted": []}
    for momentum in MOMENTA:
        rule = heavy_ball(learning_rate, momentum)
        charge = measured_charge(rule, ring_gradient, RING, -PUSH / momentum, steps, turn)
        columns["rotation"].append(charge / charge[0])
        columns["rotation_predicted"].append(np.exp(-rule.friction / rule.mass * (time - time[0])))
        columns["scale"].append(measured_charge(rule, scale_gradient, CONE, np.zeros(2), steps, stretch))
        columns["scale_predicted"].append(predicted_scale_charge(rule, time))
    units = {"rotation": {"units": "1", "long_name": "charge over its first value"}, "scale": {"units": "w²"}}
    return xr.Dataset(
        {
            name: (("momentum", "time"), np.array(values), units[name.removesuffix("_predicted")])
            for name, values in columns.items()
        },
        coords={
            "time": ("time", time, {"units": "w²/ℓ"}),
            "momentum": list(MOMENTA),
            "relaxation": ("momentum", [relaxation(learning_rate, b) for b in MOMENTA], {"units": "w²/ℓ"}),
        },
        attrs={"learning_rate": learning_rate},
    )


def relaxation(learning_rate: float, momentum: float) -> float:
    """m/μ, the time in which a charge decays."""
    rule = heavy_ball(learning_rate, momentum)
    return rule.mass / rule.friction


def turn(q):
    """Generator of rotations, (-q_2, q_1)."""
    return np.stack([-q[..., 1], q[..., 0]], -1)


def stretch(q):
    """Generator of scalings, q."""
    return q


def measured_charge(rule: LearningRule, gradient, start, buffer, steps: int, generator) -> np.ndarray:
    """m <q', A(q)> half-way between iterates, by its definition: (m/η) <Δq, A(mean of both ends)>; shape (steps,)."""
    path = iterate(rule, gradient, start, steps, (buffer,)).position
    step, middle = np.diff(path, axis=0), (path[1:] + path[:-1]) / 2
    return rule.mass / rule.learning_rate * (step * generator(middle)).sum(-1)


def predicted_scale_charge(rule: LearningRule, time) -> np.ndarray:
    """m <q', q> on the Euler-Lagrange flow of the same start, by Eq 12 the memory of m |q'|²."""
    velocity = fresh_velocity(rule, scale_gradient, CONE)
    flow = euler_lagrange_flow(rule, scale_gradient, CONE, velocity, time)
    return rule.mass * (np.asarray(flow.velocity) * flow.position).sum(-1)
