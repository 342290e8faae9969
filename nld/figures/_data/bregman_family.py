"""The polynomial Bregman family on an ill-conditioned quadratic: losses, energies and time dilation.

References: Wibisono, Wilson and Jordan 2016.
"""

from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from nld.figures._data.orders_of_accuracy import exponent
from nld.figures._render.text import power, power_above
from nld.inference import Evidence
from nld.learning_rules import potentials
from nld.paper import Claim
from nld.theory import bregman, continuum

EXPONENTS = (1.5, 2, 3, 4)
CURVATURES = np.logspace(-4, 0, 41)  # ℓ/w² of the quadratic on which the Bregman family runs
STEADY = 1e-8  # relative growth of an energy in a step that is the integrator's
WINDOW = (6, 60)  # clock of p = 2 within which every curvature scale is in play, where exponents are fitted

PLACE = ((), "fig-counter-terms", "book/between-the-steps", "wibisono2016variational")
CLAIMS = (
    Claim("bregman-rate", r"Along the motion of an ideally scaled Bregman Lagrangian "
          r"$D_h(q^\ast, q + e^{-\alpha}\dot q) + e^{\beta} (f - f^\ast)$ never grows, so the loss falls at least as "
          r"$e^{-\beta}$.", *PLACE),
    Claim("bregman-time-dilation", "All motions of the polynomial family are one curve, travelled at different speeds.",
          *PLACE),
)  # fmt: skip


def measured() -> dict:
    """Losses of q'' + (p + 1)/t q' + p² t^{p-2}/4 f' = 0 from rest, read at times with equal clocks t^p."""
    clock = np.geomspace(0.01, 100, 301)
    start, constant = np.ones_like(CURVATURES), 0.25
    rows = []
    for p in EXPONENTS:
        time = clock ** (2 / p)
        scaling = partial(bregman.polynomial_scaling, p, constant)
        path = continuum.bregman_flow(potentials.euclidean, scaling, lambda q: CURVATURES * q, start, 0 * start, time)
        loss = (CURVATURES * path.position**2).sum(1) / 2
        velocity: Any = path.velocity
        ahead = path.position + velocity * time[:, None] / p
        rows.append((time, loss, (ahead**2).sum(1) / 2 + constant * time**p * loss, path.position))
    time, loss, energy, position = (np.array(column) for column in zip(*rows, strict=True))
    bound = constant * time ** np.array(EXPONENTS)[:, None] * loss / energy[:, :1]
    same = np.abs(position - position[EXPONENTS.index(2)])
    return {
        "exponent": ("exponent", list(EXPONENTS)),
        "time": (("exponent", "moment"), time, {"units": "(w²/ℓ)^(1/p)", "long_name": "time of the Bregman motion"}),
        "loss": (("exponent", "moment"), loss, {"units": "ℓ", "long_name": "loss above its minimum"}),
        "energy_growth": (("exponent",), np.diff(energy).max(1) / energy[:, 0], {"long_name": "largest, relative"}),
        "bound": (("exponent",), bound.max(1), {"long_name": "C t^p f/E(0)"}),
        "dilation": (("exponent",), same.max((1, 2)), {"units": "w", "long_name": "distance to p = 2, same clock"}),
    }


def exponents(data: xr.Dataset) -> np.ndarray:
    """Measured p of a loss that falls as t^-p, shape (exponent,)."""
    clock = data["time"].sel(exponent=2).values
    inside = (clock > WINDOW[0]) & (clock < WINDOW[1])
    pairs = zip(data["time"].values, data["loss"].values, strict=True)
    return np.array([-exponent(time[inside], loss[inside]) for time, loss in pairs])


def evidence(data: xr.Dataset) -> list[Evidence]:
    """The energy that never grows, and the one curve of all motions."""
    growth, bound, dilation = (float(data[name].max()) for name in ("energy_growth", "bound", "dilation"))
    return [
        Evidence(
            "bregman-rate",
            f"Largest relative growth of the energy in a step {power(growth)}; largest $C t^p f/E(0)$ {bound:.2f}.",
            checks={"energy never grows": growth <= STEADY, "bound": bound <= 1},
        ),
        Evidence(
            "bregman-time-dilation",
            f"Motions of p = {', '.join(f'{p:g}' for p in data['exponent'].values)} at equal $t^p$ differ by at most "
            f"{power_above(dilation)} w.",
            checks={"one curve": dilation < 1e-8},
        ),
    ]
