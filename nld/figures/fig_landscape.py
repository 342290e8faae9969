"""A scale-invariant loss in the plane: every finite step leaves the circle outward. Paper: Section 4, Eq 14 to 16.

f(q) = 1 - q_1/|q|, one minus the cosine of the angle: a valley along the positive first axis.
"""

import numpy as np
import xarray as xr

from nld.figures._render.labels import label_point
from nld.figures._render.style import BASELINE, COLOR, new_figure, predicted
from nld.figures._render.text import power_above
from nld.inference import Evidence, Verdict, rule
from nld.learning_rules.rules import LearningRule, gradient_descent, heavy_ball, iterate
from nld.theory.continuum import gradient_flow
from nld.theory.discrete import predict_squared_norm_from_steps

START = np.deg2rad(165.0)  # angle of the first point, near the ridge
STEPS = 60


def loss(q):
    """f = 1 - q_1/|q|; shape (..., 2) to (...)."""
    return 1 - q[..., 0] / np.sqrt((q * q).sum(-1))


def gradient(q):
    """Gradient of ``loss``: sin(angle)/|q| along the circle, orthogonal to q."""
    squared = (q * q).sum(-1, keepdims=True)
    around = np.stack([-q[..., 1], q[..., 0]], -1)
    return q[..., 1:] * around / squared**1.5


def rules(learning_rate: float, momentum: float) -> dict[str, LearningRule]:
    """The two rules of the picture; both move by eta/(1 - beta) g in the long run, so their flows are one."""
    return {
        "gradient descent": gradient_descent(learning_rate),
        "heavy ball": heavy_ball(learning_rate * (1 - momentum), momentum),
    }


def compute(profile: str, *, learning_rate: float = 0.3, momentum: float = 0.8) -> xr.Dataset:
    """Iterates of both rules and the flow; both profiles are the same."""
    start = np.array([np.cos(START), np.sin(START)])
    found = rules(learning_rate, momentum)
    path = np.stack([iterate(rule, gradient, start, STEPS).position for rule in found.values()])
    squared = (path**2).sum(-1)
    steps = (np.diff(path, axis=1) ** 2).sum(-1)
    exact = [predict_squared_norm_from_steps(rule, p, 1.0).value for rule, p in zip(found.values(), steps, strict=True)]
    time = np.linspace(0, 9, 200)
    flow = gradient_flow(gradient_descent(learning_rate), gradient, start, time).position
    return xr.Dataset(
        {
            "path": (("rule", "step", "axis"), path, {"units": "w"}),
            "squared_norm": (("rule", "step"), squared, {"units": "w²"}),
            "predicted_squared_norm": (("rule", "step"), np.stack(exact), {"units": "w²"}),
            "flow": (("time", "axis"), flow, {"units": "w"}),
            "loss": (("rule", "step"), loss(path), {"units": "ℓ"}),
        },
        coords={"rule": list(found), "step": np.arange(STEPS + 1), "time": ("time", time, {"units": "w²/ℓ"})},
        attrs={"learning_rate": learning_rate, "momentum": momentum},
    )


def judge(data: xr.Dataset) -> list[Verdict]:
    """Norms grow with every step of gradient descent, and as the exact law says under both rules."""
    grown = np.diff(data["squared_norm"].sel(rule="gradient descent").values)
    moving = np.abs(np.diff(data["path"].sel(rule="gradient descent").values, axis=0)).max(1) > 0
    error = float(np.abs(data["predicted_squared_norm"] / data["squared_norm"] - 1).max())
    return rule([
        Evidence(
            "finite-steps-grow-norms",
            f"In {int((grown < 0).sum())} of {int(moving.sum())} steps of gradient descent the squared norm falls; the "
            f"squared lengths of the steps predict it to {power_above(error)}.",
            checks={"never falls": bool((grown >= 0).all()), "by the steps' squares": error < 1e-12},
        )
    ])  # fmt: skip


def draw(data: xr.Dataset):
    """The landscape with trajectories on the left, squared norms over steps on the right."""
    figure, (plane, norms) = new_figure(1, 2, size=(6.4, 3.4), width_ratios=[1.25, 1])
    colors = {"gradient descent": COLOR["gradient_descent"], "heavy ball": COLOR["heavy_ball"]}
    first, second = np.linspace(-1.6, 2.8, 240), np.linspace(-1.3, 2.3, 200)
    values = loss(np.stack(np.meshgrid(first, second), -1))
    plane.contourf(first, second, values, levels=np.linspace(0, 2, 13), cmap="Greys", alpha=0.45, antialiased=True)
    plane.plot(*data["flow"].values.T, **BASELINE)
    label_point(plane, "gradient flow", (0.05, 0.55), ha="center")
    for name, color in colors.items():
        path = data["path"].sel(rule=name).values
        plane.plot(*path.T, color=color, linewidth=1.1, marker="o", markersize=2)
        norm = data["squared_norm"].sel(rule=name).values
        norms.plot(data["step"], norm, color=color)
        norms.plot(data["step"], data["predicted_squared_norm"].sel(rule=name), **predicted())
        label_point(norms, name, (STEPS, norm[-1]), (-2, 6), color=color, ha="right", fontsize=9)
    plane.plot(*data["path"].values[0, 0], "o", color=predicted()["color"], markersize=4)
    label_point(plane, "start", data["path"].values[0, 0], (-4, -12), ha="center", fontsize=9)
    plane.set(aspect="equal", xlabel="parameter $q_1$ [w]", ylabel="parameter $q_2$ [w]")
    norms.axhline(1, **BASELINE)
    label_point(norms, "gradient flow", (STEPS, 1), (-2, -12), color="#888888", ha="right", fontsize=9)
    norms.set(xlabel="step $n$", ylabel="squared norm $r^2$ [w²]", xlim=(0, STEPS),
              ylim=(0, 1.15 * float(data["squared_norm"].max())))  # fmt: skip
    return figure


def caption(data: xr.Dataset) -> str:
    last = data["squared_norm"].isel(step=-1).values
    error = np.abs(data["predicted_squared_norm"] / data["squared_norm"] - 1).max()
    return (
        "A scale-invariant loss only ever pushes along the circle, and every finite step leaves the circle outward. "
        "**Left:** the loss $f = 1 - q_1/\\|q\\|$ (dark is high) does not change along a ray. Gradient flow "
        "(dotted) stays on its circle; gradient descent and heavy ball, with the same step in the long run, do not. "
        f"**Right:** their squared norms grow from 1 to {last[0]:.3g} and {last[1]:.3g} w². Dashed: the exact discrete "
        "law, which uses the lengths of the steps and nothing else; it misses the measurement by at most "
        f"{power_above(error)} of its value. $\\eta = {data.attrs['learning_rate']:g}$ w²/ℓ for gradient descent and "
        f"${data.attrs['learning_rate'] * (1 - data.attrs['momentum']):.2g}$ for heavy ball, "
        f"$\\beta = {data.attrs['momentum']:g}$, $k = 0$."
    )


def alt(data: xr.Dataset) -> str:
    last = data["squared_norm"].isel(step=-1).values
    return (
        "Left, a plane whose grey shade depends on direction only, darkest to the left. A dotted arc follows a circle "
        "from the dark side to the light side; two dotted chains start with it and end further from the origin. Right, "
        f"their squared norms rise from 1 to {last[0]:.3g} with gradient descent and {last[1]:.3g} with heavy ball; "
        "dashed predictions lie on them."
    )
