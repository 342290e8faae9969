"""Learning rules follow their mechanics to second order in the learning rate, gradient flow only to first.

The modified equation m q'' + μ q' + ∇f + k q = 0 is compared with the iterates, not with another theory. Paper: Eq 3.
"""

import numpy as np
import xarray as xr

from nld.figures._data import orders_of_accuracy as orders
from nld.figures._data.orders_of_accuracy import RESCALED_TIME, START, exponent, gradient
from nld.figures._render.labels import label_point, ticks_at
from nld.figures._render.style import BASELINE, COLOR, new_figure, predicted
from nld.figures._render.text import at_most, power
from nld.inference import Evidence, Verdict, rule
from nld.learning_rules.rules import LearningRule, iterate
from nld.theory.continuum import euler_lagrange_flow, fresh_velocity, gradient_flow

RELAXATIONS = {"quick": (40, 57, 80, 113, 160, 226, 320), "paper": (40, 80, 160, 320, 640, 1280)}  # μ times the steps
COARSE = 30  # steps of the path that the left panel shows


def compute(profile: str, *, momentum: float = 0.9) -> xr.Dataset:
    """Distances at t = 1.2 μ between iterates and both flows, by rule and rate, and one coarse path with its flows.

    The number of steps grows as 1/μ, so that the rules share their values of η/μ², which is what has to be small.
    """
    rules = orders.three_rules(momentum)
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
    rule, steps = orders.rule_and_steps(make, relaxations)
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


def slopes(data: xr.Dataset) -> np.ndarray:
    """Least-squares slopes of log error over log learning rate, shape (rule, flow)."""
    return np.array([[slope(data, errors) for errors in of_rule.T] for of_rule in data["error"].values])


def slope(data: xr.Dataset, error) -> float:
    """Order of an error in the learning rate."""
    return exponent(data["scaled_rate"].values, error)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Orders of the distance to the mechanics (2) and to gradient flow (1), every rule, to a tenth."""
    flow, mechanics = slopes(data).T
    told = numbers(data)
    return rule([
        Evidence(
            "modified-equation-order",
            f"Orders of the distance between iterates and flow at a fixed time: {told['mechanics-slopes']} for the "
            f"mechanics, {told['flow-slopes']} for gradient flow.",
            checks={
                "mechanics": bool(np.abs(mechanics - 2).max() < 0.1),
                "gradient flow": bool(np.abs(flow - 1).max() < 0.1),
            },
        )
    ])  # fmt: skip


def apart(data: xr.Dataset) -> np.ndarray:
    """Largest distance of the coarse run's iterates to gradient flow and to the mechanics at their time, in w."""
    iterates = data["iterates"].values
    share, when = np.linspace(0, 1, data.sizes["time"]), np.linspace(0, 1, len(iterates))
    there = np.array([[np.interp(when, share, x) for x in curve.T] for curve in data["curves"].values])
    return np.linalg.norm(there.swapaxes(1, 2) - iterates, axis=-1).max(1)


def from_rest(data: xr.Dataset) -> str:
    """The order of the mechanics that starts at rest, and whether it is better than gradient flow's."""
    cold, flow = slope(data, data["cold_error"].values), float(slopes(data)[1, 0])
    return f"{cold:.2f}, " + ("no better than gradient flow's" if cold < flow + 0.1 else "better than gradient flow's")


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    flow, mechanics = apart(data)
    (low, high), (steep, steepest) = ((column.min(), column.max()) for column in slopes(data).T)
    descent, ball, _ = data["error"].values[:, :, 0] / data["error"].values[:, :, 1]
    return {
        "flow-slopes": f"{low:.2f} to {high:.2f}",
        "mechanics-slopes": f"{steep:.2f} to {steepest:.2f}",
        "gain-descent": f"{descent.min():.0f} to {descent.max():.0f}",
        "gain-ball": f"{power(ball.min())} to {power(ball.max())}",
        "cold-slope": from_rest(data),
        "apart-flow": f"{flow:.2g}",
        "apart-mechanics": f"{mechanics:.2g}",
    }


def draw(data: xr.Dataset):
    """A coarse path with its two flows on the left, errors over the learning rate on the right."""
    figure, (plane, errors) = new_figure(1, 2, size=(6.4, 3.4), width_ratios=[1, 1.1])
    _draw_paths(data, plane)
    colors = (COLOR["gradient_descent"], COLOR["heavy_ball"], COLOR["nesterov"])
    rate, order = data["scaled_rate"].values, slopes(data)
    for error, color, marker, name in zip(data["error"].values, colors, "os^", data["rule"].values, strict=True):
        errors.plot(rate, error[:, 0], ":", color=color, marker=marker, markerfacecolor="none", markersize=4)
        errors.plot(rate, error[:, 1], color=color, marker=marker, markersize=4, linewidth=1.1)
        shift, side = ((-8, 4), "right") if name == "Nesterov" else ((12, -7), "left")  # heavy ball runs close below it
        label_point(errors, name, (rate[3], error[3, 1]), shift, color=color, ha=side)
    for index, (text, shift) in enumerate((("to gradient flow", -20), ("to mechanics", 26))):
        beside = data["error"].values[:, 3, index].max() if shift > 0 else data["error"].values[:, 3, index].min()
        label, place = f"{text}: slope {order[:, index].mean():.2f}", (rate[3], beside)
        label_point(errors, label, place, (0, shift), ha="center", fontsize=9)
    errors.set(xscale="log", yscale="log", ylabel="distance of the iterates [w]")
    ticks_at(errors.xaxis, [x for x in (0.005, 0.01, 0.02, 0.05, 0.1) if rate.min() <= x <= rate.max()])
    errors.set_xlabel("learning rate $\\eta/(1-\\beta)^2$ [w²/ℓ]")
    return figure


def _draw_paths(data, plane) -> None:
    x, y = np.meshgrid(np.linspace(0.4, 1.85, 121), np.linspace(-0.05, 1.0, 121))
    values = orders.potential(np.stack([x, y], -1))
    levels = values.min() + np.array([0.005, 0.03, 0.1, 0.25, 0.5, 0.9])
    plane.contour(x, y, values, levels=levels, colors="#999999", linewidths=0.5, linestyles="solid", alpha=0.6)
    descent, mechanics = data["curves"].values
    iterates = data["iterates"].values
    plane.plot(*iterates.T, "o", color=COLOR["heavy_ball"], markersize=3.5)
    plane.plot(*descent.T, **BASELINE)
    plane.plot(*mechanics.T, **predicted())
    label_point(plane, "gradient flow", descent[50], (-12, 12), color="#888888", ha="right", fontsize=9)
    label_point(plane, "heavy ball\nand its mechanics", iterates[20], (4, -28), color=COLOR["heavy_ball"], fontsize=9)
    plane.set(xlabel="parameter $q_1$ [w]", ylabel="parameter $q_2$ [w]")


def caption(data: xr.Dataset) -> str:
    flow, mechanics = (", ".join(f"{x:.2f}" for x in column) for column in slopes(data).T)
    return (
        "A learning rule follows its mechanics to second order in the learning rate, and gradient flow to first. "
        f"**Left:** heavy ball at $\\eta = {float(data['coarse_rate']):.2g}$ w²/ℓ and "
        f"$\\beta = {data.attrs['momentum']:g}$ (dots), the solution of its Euler–Lagrange equation (dashed) and "
        f"gradient flow (dotted). **Right:** distance of the iterates at $t = {RESCALED_TIME:g}\\,(1-\\beta)$ to "
        f"gradient flow (open symbols; slopes {flow}) and to the Euler–Lagrange solution (filled; slopes {mechanics}) "
        "for gradient descent, heavy ball and Nesterov. Slopes are fitted by least squares."
    )


def alt(data: xr.Dataset) -> str:
    last = data["error"].values[:, -1]
    ratio = last[:, 0] / last[:, 1]
    told, (flow, mechanics) = numbers(data), apart(data)
    return (
        f"Left: dots that turn into a valley, with a dashed curve at most {at_most(mechanics)} w from them and a "
        f"dotted one up to {at_most(flow)} w. Right: errors over the learning rate on logarithmic axes; three lines of "
        f"slope {told['flow-slopes']} for gradient flow and three of slope {told['mechanics-slopes']} for mechanics, "
        f"which at the smallest rates are {power(ratio.min())} to {power(ratio.max())} times lower."
    )
