"""Every counter term adds one order: what a discrete rule does between gradient flow and itself, term by term.

Iterates are compared with their slow flow, gradient flow plus counter terms (Barrett and Dherin 2021, Miyagawa 2022;
Kovachki and Stuart 2021 with momentum), mirror descent with its Bregman motion, and the Bregman family with its rates
(Wibisono, Wilson and Jordan 2016).
"""

import numpy as np
import xarray as xr

from nld.figures._data import bregman_family, flow_distances
from nld.figures._data.bregman_family import WINDOW, exponents
from nld.figures._data.counter_terms_prose import numbers
from nld.figures._data.flow_distances import orders
from nld.figures._data.orders_of_accuracy import RESCALED_TIME
from nld.figures._render.labels import label_point, ticks_at
from nld.figures._render.style import COLOR, new_mosaic, predicted
from nld.inference import Evidence, Verdict, rule
from nld.paper import Claim

GROUP_COLOR = {"network": "gradient_descent", "mirror descent": "entropy", "Bregman, p = 2": "nesterov"}
PLACE, KOVACHKI = ((), "fig-counter-terms", "book/between-the-steps"), "kovachki2021continuous"
CLAIMS = (
    Claim("implicit-gradient-regularization", r"Gradient descent follows gradient flow on "
          r"$f + \frac{\eta}{4}\lVert\nabla f\rVert^2$ to order $\eta^3$ a step, $\eta^2$ in a fixed time.", *PLACE,
          "barrett2021implicit"),
    Claim("counter-terms-cancel-the-discretization", r"With counter terms up to $\eta^{k+1}$ the equation of motion of "
          r"gradient descent has an error of $\eta^{k+2}$.", *PLACE, "miyagawa2022toward"),
    Claim("momentum-is-a-rescaled-flow", r"Heavy ball and Nesterov with fixed momentum follow gradient flow at the "
          r"rate $\eta/(1-\beta)$ to order $\eta$.", *PLACE, KOVACHKI),
    Claim("momentum-has-a-slow-manifold", "They are attracted exponentially by a manifold on which they follow "
          r"gradient flow of a modified loss to order $\eta^2$.", *PLACE, KOVACHKI),
    *bregman_family.CLAIMS,
)  # fmt: skip


def compute(profile: str, *, momentum: float = 0.9, seed: int = 0) -> xr.Dataset:
    """Distances of iterates to their flows over the step, by case, and the Bregman family's losses over time.

    Args:
        momentum: beta of heavy ball and Nesterov.
        seed: of the small network and its data.
    """
    data = flow_distances.measured(profile, momentum, seed)
    return data.assign(bregman_family.measured())


def judge(data: xr.Dataset) -> list[Verdict]:
    """Measured orders within a quarter of the claimed ones (0.15 for momentum); attraction within 3 %."""
    measured = dict(zip(data["case"].values, orders(data), strict=True))

    def of(claim: str, labels: dict[str, int], tolerance: float, also: str = "", **more: bool) -> Evidence:
        holds = all(abs(measured[label] - order) < tolerance for label, order in labels.items())
        listed = "; ".join(f"{label} {measured[label]:.2f} ({order})" for label, order in labels.items())
        return Evidence(claim, f"Measured orders (claimed): {listed}.{also}", checks={"orders": holds, **more})

    descent, ball, look = "gradient descent: ", "heavy ball: ", "Nesterov: "
    beta, attraction = data.attrs["momentum"], data["attraction"].values
    return rule([
        of(
            "implicit-gradient-regularization",
            {f"{descent}1 counter term": 2, "network: 1 counter term": 2, f"{descent}gradient flow": 1},
            0.2,
        ),
        of(
            "counter-terms-cancel-the-discretization",
            {f"{descent}gradient flow": 1, f"{descent}1 counter term": 2, f"{descent}2 counter terms": 3},
            0.25,
        ),
        of("momentum-is-a-rescaled-flow", {f"{ball}gradient flow": 1, f"{look}gradient flow": 1}, 0.15),
        of(
            "momentum-has-a-slow-manifold",
            {f"{ball}1 counter term": 2, f"{look}1 counter term": 2},
            0.15,
            f" The distance to the manifold shrinks by {attraction[0]:.3f} and {attraction[1]:.3f} a step; "
            rf"$\beta$ is {beta:g}.",
            attraction=bool(np.abs(attraction / beta - 1).max() < 0.03),
        ),
        *bregman_family.evidence(data),
    ])  # fmt: skip


def draw(data: xr.Dataset):
    """Errors of heavy ball and losses of the Bregman family on the left, all measured orders on the right."""
    figure, axes = new_mosaic([["errors", "orders"], ["losses", "orders"]], (6.4, 5.9), width_ratios=[1, 0.62])
    _draw_errors(data, axes["errors"])
    _draw_losses(data, axes["losses"])
    _draw_orders(data, axes["orders"])
    return figure


def _draw_errors(data, axes) -> None:
    color = COLOR["heavy_ball"]
    labels = {
        "gradient flow": ("gradient flow", (-4, 8)),
        "1 counter term": ("+ 1 counter term", (-4, 8)),
        "2 counter terms": ("+ 2 counter terms", (4, -12)),
    }
    for case, (label, shift) in labels.items():
        chosen = data.sel(case=f"heavy ball: {case}")
        step, error, order = chosen["step"].values, chosen["error"].values, int(chosen["predicted_order"])
        inside = np.isfinite(step)
        step, error = step[inside], error[inside]
        axes.plot(step, error, "o", color=color, markersize=4.5)
        axes.plot(step, error[-1] * (step / step[-1]) ** order, **predicted())
        right = shift[1] < 0
        label_point(axes, label, (step[2], error[2]), shift, color=color, ha="left" if right else "right")
    axes.set(xscale="log", yscale="log", ylabel="distance to the iterates [w]")
    axes.set_xlabel("learning rate $\\eta/(1-\\beta)^2$ [w²/ℓ]")
    ticks_at(axes.xaxis, [0.005, 0.01, 0.02])
    axes.set_title("(a) heavy ball and its flows")


def _draw_losses(data, axes) -> None:
    color = COLOR["nesterov"]
    for p, time, loss in zip(data["exponent"].values, data["time"].values, data["loss"].values, strict=True):
        late = time > 0.3
        axes.plot(time[late], loss[late], color=color, linewidth=1.3)
        inside = (time**p > WINDOW[0] ** 2) & (time**p < WINDOW[1] ** 2)
        middle = np.exp(np.log(loss[inside]).mean()) * np.exp(np.log(time[inside]).mean()) ** p
        axes.plot(time[inside], middle * time[inside] ** -p, **predicted())
        side, shift = ("right", 3) if p == 4 else ("left", -3)
        label_point(axes, f"$p$ = {p:g}", (time[-1], loss[-1]), (shift, -10), color=color, ha=side)
    axes.set(xscale="log", yscale="log", xlim=(0.3, 1500), ylim=(2e-4, 5))
    axes.set(xlabel="time $t$ [(w²/ℓ)$^{1/p}$]", ylabel="loss $f - f^*$ [ℓ]")
    axes.set_title("(b) the Bregman family falls as $t^{-p}$")


def _draw_orders(data, axes) -> None:
    names, found = [], orders(data)
    groups = [str(group) for group in data["group"].values]
    row, place = 0.0, []
    for index, group in enumerate(groups):
        if index == 0 or group != groups[index - 1]:
            row += 1.0 if index else 0.0
            shown = {"network": "gradient descent, network"}.get(group, group)
            axes.text(
                -0.03, row, shown, transform=axes.get_yaxis_transform(), ha="right", va="center", weight="bold", size=8
            )
            row += 1
        place.append(row)
        names.append(str(data["case"].values[index]).split(": ")[1])
        row += 1
    for y, order, value, group in zip(place, data["predicted_order"].values, found, groups, strict=True):
        axes.plot([order, order], [y - 0.42, y + 0.42], **predicted(linestyle="-", linewidth=1.6))
        color = COLOR[GROUP_COLOR.get(group, group.lower().replace(" ", "_"))]
        axes.plot(value, y, "o", color=color, markersize=5)
    axes.set_yticks(place, names)
    axes.set(ylim=(row - 0.3, -0.7), xlim=(0.6, 3.4), xticks=[1, 2, 3], xlabel="order: dot measured,\nbar predicted")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#999999", alpha=0.25, linewidth=0.6)
    axes.set_title("(c) all rules", x=-0.6)


def caption(data: xr.Dataset) -> str:
    text, mirror = numbers(data), data.attrs["mirror_momentum"]
    return (
        "Every counter term adds one order of accuracy, for every rule. **(a)** Distance between heavy ball "
        f"($\\beta = {data.attrs['momentum']:g}$) and flows with no, one and two counter terms, at $t/\\mu = "
        f"{RESCALED_TIME:g}$ w²/ℓ; dashed: powers 1, 2 and 3 through the last dot. **(b)** Loss along "
        "four members of the Bregman family, from rest on a quadratic with curvatures over four decades (solid), and "
        f"$t^{{-p}}$ (dashed); fitted exponents {text['exponents']}. **(c)** Orders measured by such fits as in (a) "
        "(dots) and predicted (bars), for iterates that begin on the slow manifold, or with an empty buffer where it "
        f"says so; the network has 41 parameters, mirror descent the entropy's geometry and momentum {mirror:g}. No "
        f"measured order is further than {text['furthest-order']} from its prediction."
    )


def alt(data: xr.Dataset) -> str:
    found, expected = orders(data), data["predicted_order"].values
    groups = {order: found[expected == order] for order in np.unique(expected)}
    listed = "; ".join(f"{len(x)} near {order}, {x.min():.2f} to {x.max():.2f}" for order, x in groups.items())
    return (
        "Three panels. Top left: errors of heavy ball over the learning rate on logarithmic axes, three straight lines "
        "that get steeper with each counter term. Right: a column of dots on bars, measured and predicted orders of "
        f"{len(found)} comparisons: {listed}. Bottom left: four falling losses over time, the steeper the larger p, "
        f"with exponents {', '.join(f'{x:.2f}' for x in exponents(data))}."
    )
