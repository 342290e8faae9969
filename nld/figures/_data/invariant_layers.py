"""Layers with weight decay whose charges follow an equation of motion in closed form: turning, norm and decay rate.

References: Miyagawa 2022.
"""

import numpy as np
import xarray as xr

from nld.figures._render.text import power_above
from nld.inference import Evidence
from nld.learning_rules import rules
from nld.learning_rules.rules import iterate
from nld.paper import Claim

CLAIM = Claim(
    "equation-of-motion-of-invariant-layers",
    r"With weight decay $k$, a translation-invariant layer decays at $-\log(1-\eta k)/\eta$, and a scale-invariant "
    r"one turns by an angle of cosine $1-\eta k$ at the squared norm "
    r"$\sqrt{\eta\lVert\hat g\rVert^2/(2k-\eta k^2)}$.",
    (), "fig-flattening", "book/between-the-steps", "miyagawa2022toward",
)  # fmt: skip
LAYERS = ((0.1, 0.05), (0.1, 0.5), (0.5, 0.5))  # learning rate and weight decay of the synthetic layers


def measured() -> dict:
    """The variable ``layer`` of fig-flattening, (layer_case, quantity)."""
    return {
        "layer": (("layer_case", "quantity"), [_layer(eta, k) for eta, k in LAYERS]),
        "quantity": ["cosine", "fourth_power", "translation_rate"],
    }


def _layer(eta: float, k: float) -> list[float]:
    """Stationary cosine and |q|^4 of a scale-invariant layer with |g^| = 1; decay rate of a translation charge."""
    q = before = np.array([1.0, 0.0])
    for _ in range(round(40 / (eta * k))):
        tangent = np.array([-q[1], q[0]]) / (q @ q)  # of length |g^|/|q|, here always to the same side
        before, q = q, (1 - eta * k) * q - eta * tangent
    cosine = q @ before / np.sqrt((q @ q) * (before @ before))
    rule, steps = rules.gradient_descent(eta, weight_decay=k), 50
    path = iterate(rule, lambda p: np.sin(p[..., 0] - p[..., 1])[..., None] * [1, -1], [1.0, 0.4], steps)
    sums = path.position.sum(1)
    return [float(cosine), float((q @ q) ** 2), float(-np.log(sums[-1] / sums[0]) / (steps * eta))]


def evidence(data: xr.Dataset) -> Evidence:
    """Angle, norm and decay rate within 1e-6 of the equation of motion's."""
    gap, strengths = layer_gap(data), np.prod(LAYERS, 1)
    return Evidence(
        CLAIM.name,
        f"Angle, norm and decay rate of layers with $\\eta k$ of {', '.join(f'{x:g}' for x in strengths)} agree to "
        f"{power_above(gap)} (relative).",
        checks={"angle, norm and decay": gap < 1e-6},
    )


def layer_gap(data: xr.Dataset) -> float:
    """Largest relative difference of angle, norm and decay rate of the layers from the equation of motion."""
    eta, k = np.array(LAYERS).T
    expected = np.stack([1 - eta * k, eta / (2 * k - eta * k**2), -np.log(1 - eta * k) / eta], 1)
    return float(np.abs(data["layer"].values / expected - 1).max())
