"""The Noether charge from underdamped to overdamped, without and with kinetic symmetry breaking. Paper: Figure 2.

(a) A rotation charge, which nothing breaks, decays as e^{-μt/m}. (b) A scale charge is driven by the kinetic energy.
"""

import numpy as np
import xarray as xr

from nld.figures._data.ring_valley import gradient as ring_gradient
from nld.figures._render.labels import label_panel
from nld.figures._render.style import BASELINE, new_figure, predicted
from nld.figures._render.text import at_most
from nld.inference import Evidence, Verdict, rule
from nld.learning_rules.rules import LearningRule, heavy_ball, iterate
from nld.symmetry import Symmetry, rotation, scale
from nld.theory.continuum import euler_lagrange_flow, fresh_velocity

MOMENTA = (0.999, 0.99, 0.9, 0.5)
COLORS = ("#0072B2", "#56B4E9", "#009E73", "#D55E00")
END = 10.0  # last time shown, in w²/ℓ
RING, PUSH = np.array([1.3, 0.0]), np.array([0.0, 0.5])  # start in (a), and the velocity it is pushed with
CONE = np.array([0.35, 0.95])  # start in (b), at rest


def compute(profile: str, *, learning_rate: float = 0.02) -> xr.Dataset:
    """Charges of heavy-ball runs at several momenta, measured between iterates, and what the theory says they are.

    Args:
        learning_rate: η in w²/ℓ, one for all runs and profiles.
    """
    steps = round(END / learning_rate)
    time = (np.arange(steps) + 0.5) * learning_rate
    columns: dict[str, list] = {"rotation": [], "rotation_predicted": [], "scale": [], "scale_predicted": []}
    rules = [heavy_ball(learning_rate, momentum) for momentum in MOMENTA]
    for momentum, ball in zip(MOMENTA, rules, strict=True):
        charge = measured_charge(ball, ring_gradient, RING, -PUSH / momentum, steps, rotation())
        columns["rotation"].append(charge / charge[0])
        columns["rotation_predicted"].append(np.exp(-ball.friction / ball.mass * (time - time[0])))
        columns["scale"].append(measured_charge(ball, scale_gradient, CONE, np.zeros(2), steps, scale()))
        columns["scale_predicted"].append(predicted_scale_charge(ball, time))
    units = {"rotation": {"units": "1", "long_name": "charge over its first value"}, "scale": {"units": "w²"}}
    return xr.Dataset(
        {
            name: (("momentum", "time"), np.array(values), units[name.removesuffix("_predicted")])
            for name, values in columns.items()
        },
        coords={
            "time": ("time", time, {"units": "w²/ℓ"}),
            "momentum": list(MOMENTA),
            "relaxation": ("momentum", [ball.mass / ball.friction for ball in rules], {"units": "w²/ℓ"}),
        },
        attrs={"learning_rate": learning_rate},
    )


def scale_gradient(q):
    """Gradient of -2 q_1²/|q|², which a scaling leaves alone; shape (..., 2)."""
    x, y = q[..., 0], q[..., 1]
    factor = -4 * x * y / (x * x + y * y) ** 2
    return np.stack([factor * y, -factor * x], -1)


def measured_charge(ball: LearningRule, gradient, start, buffer, steps: int, symmetry: Symmetry) -> np.ndarray:
    """m <q', A(q)> half-way between iterates, by its definition: (m/η) <Δq, A(mean of both ends)>; shape (steps,)."""
    path = iterate(ball, gradient, start, steps, (buffer,)).position
    step, middle = np.diff(path, axis=0), (path[1:] + path[:-1]) / 2
    return ball.mass / ball.learning_rate * (step * np.stack(symmetry.generator(list(middle.T)), -1)).sum(-1)


def predicted_scale_charge(ball: LearningRule, time) -> np.ndarray:
    """m <q', q> on the Euler-Lagrange flow of the same start, by Eq 12 the memory of m |q'|²."""
    velocity = fresh_velocity(ball, scale_gradient, CONE)
    flow = euler_lagrange_flow(ball, scale_gradient, CONE, velocity, time)
    return ball.mass * (np.asarray(flow.velocity) * flow.position).sum(-1)


def worst_difference(data: xr.Dataset, name: str) -> np.ndarray:
    """Largest distance of the rotation or scale charge from theory over its own largest value; shape (momentum,)."""
    return np.abs(differences(data, name)).max(-1)


def differences(data: xr.Dataset, name: str) -> np.ndarray:
    """Measured minus predicted charge over the largest measured one, shape (momentum, time)."""
    charge = data[name].values
    return (charge - data[f"{name}_predicted"].values) / charge.max(-1, keepdims=True)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Whether the rotation charge decays as predicted, to 5 % of its first value, at every momentum."""
    worst = worst_difference(data, "rotation")
    numbers = (
        f"From momentum {MOMENTA[0]:g} to {MOMENTA[-1]:g} the measured rotation charge differs from "
        f"$e^{{-\\mu t/m}}$ by at most {at_most(100 * worst.max())} % of its first value."
    )
    return rule([Evidence("charge-decays", numbers, checks={"every momentum": bool(worst.max() < 0.05)})])


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure: times in w²/ℓ, differences in percent, rates of decay per step."""
    kept, driven = (100 * worst_difference(data, name) for name in ("rotation", "scale"))
    ball, moment = np.unravel_index(np.abs(differences(data, "scale")).argmax(), data["scale"].shape)
    heavy, *others = 100 * np.abs(data["rotation"].values[:, -1])
    time, last = data["relaxation"].values, MOMENTA[-1]
    return {
        "longest": f"{time[0]:.2g}",
        "shortest": f"{time[-1]:.2g}",
        "rotation-light": at_most(kept[2]),
        "rotation-heavy": at_most(kept[-1]),
        "scale-worst": at_most(driven.max()),
        "scale-worst-place": f"in step {moment + 1} of the ball with β = {data['momentum'].values[ball]:g}",
        "heaviest-left": f"{heavy:.2g}",
        "others-left": at_most(max(others)),
        "rise": rise(data),
        "rate-exact": f"{-np.log(last):.4f}",
        "rate-smooth": f"{2 * (1 - last) / (1 + last):.4f}",
    }


def rise(data: xr.Dataset) -> str:
    """How far the scale charges rise by mass, and how many fall again: the end of a sentence about them."""
    charge = data["scale"].values
    peaks = charge.max(1)  # the heaviest ball first
    order = "the more the heavier the ball" if (np.diff(peaks) < 0).all() else "though not in the order of the masses"
    return f"{order}, and {(charge[:, -1] < peaks).sum()} of the {len(charge)} fall again before the figure ends"


def draw(data: xr.Dataset):
    """Charges above, their distance from theory below; (a) rotation, (b) scale."""
    figure, axes = new_figure(2, 2, size=(6.4, 4.4), height_ratios=[3, 1], sharex=True)
    time = data["time"].values
    for column, name in enumerate(("rotation", "scale")):
        above, below = axes[:, column]
        for index, color in enumerate(COLORS):
            above.plot(time, data[name].values[index], color=color, linewidth=2.4)
            above.plot(time, data[f"{name}_predicted"].values[index], **predicted())
            below.plot(time, 100 * differences(data, name)[index], color=color, linewidth=1)
        below.axhline(0, **BASELINE)
        below.set(xlabel="time $t$ [w²/ℓ]", xscale="log", xlim=(time[0], END))
    axes[0, 0].set(ylabel="charge $C/C(0)$ [1]", ylim=(0, 1.05))
    axes[0, 0].set_title("(a) rotation: nothing breaks it")
    axes[0, 1].set(ylabel="charge $C$ [w²]", yscale="log", ylim=(1e-6, 40))
    axes[0, 1].set_title("(b) scale: the kinetic energy drives it")
    axes[1, 0].set_ylabel("difference [%]")
    for index, color in enumerate(COLORS):
        lag = float(data["relaxation"][index])
        text = f"$\\beta = {MOMENTA[index]:g}$: $m/\\mu = {lag:.2g}$ w²/ℓ"
        label_panel(axes[0, 1], text, 0.03, 0.24 - 0.07 * index, color=color)
    return figure


def caption(data: xr.Dataset) -> str:
    worst = [100 * worst_difference(data, name) for name in ("rotation", "scale")]
    time = data["relaxation"].values
    return (
        "A charge dies in the time $m/\\mu$ unless the kinetic energy feeds it. Heavy-ball runs (coloured) from "
        f"underdamped to overdamped at $\\eta = {data.attrs['learning_rate']:g}$ w²/ℓ, and theory (dashed). **(a)** "
        f"The rotation charge in a round valley decays as $e^{{-\\mu t/m}}$, in a time $m/\\mu$ from {time[0]:.2g} "
        f"w²/ℓ at $\\beta = {MOMENTA[0]:g}$ to {time[-1]:.2g} w²/ℓ at $\\beta = {MOMENTA[-1]:g}$. **(b)** The scale "
        "charge of a scale-invariant loss starts at zero and is driven by kinetic symmetry breaking, $m\\|\\dot "
        "q\\|^2$. Below, measurement minus theory in percent of each curve's maximum: at most "
        f"{at_most(worst[0].max())} % in (a) and {at_most(worst[1].max())} % in (b)."
    )


def alt(data: xr.Dataset) -> str:
    late = np.abs(data["time"].values - 1).argmin()
    left = ", ".join(f"{max(0.0, x):.2g}" for x in data["rotation"].values[:, late].round(3))
    charge = data["scale"].values
    peaks = ", ".join(f"{x:.2g}" for x in charge.max(1))
    falls = (charge[:, -1] < charge.max(1)).sum()
    worst = 100 * max(worst_difference(data, name).max() for name in ("rotation", "scale"))
    return (
        f"Left: rotation charges that at time 1 have fallen to {left} of their first value for momenta "
        f"{', '.join(f'{b:g}' for b in MOMENTA)}. Right: scale charges that rise from zero to {peaks} w²; "
        f"{falls} of the {len(charge)} fall again. Dashed predicted curves are within {at_most(worst)} percent of the "
        "largest charge of the measured ones."
    )
