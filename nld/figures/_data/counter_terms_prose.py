"""Numbers for the chapter and the caption of fig-counter-terms."""

import numpy as np
import xarray as xr

from nld.figures._data.bregman_family import STEADY, exponents
from nld.figures._data.flow_distances import orders
from nld.figures._render.text import at_most, power, power_above


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    found = dict(zip(data["case"].values, orders(data), strict=True))

    def of(label: str) -> str:
        values = sorted(found[f"{rule}: {label}"] for rule in ("heavy ball", "Nesterov"))
        return " and ".join(f"{x:.2f}" for x in values)

    descent = [found[f"gradient descent: {x}"] for x in ("gradient flow", "1 counter term", "2 counter terms")]
    net = [found[f"network: {x}"] for x in ("gradient flow", "1 counter term", "2 counter terms")]
    error = data["error"].sel(case="heavy ball: gradient flow").values
    better = data["error"].sel(case="heavy ball: 2 counter terms").values
    growth = float(data["energy_growth"].max())
    return {
        "descent-orders": ", ".join(f"{x:.2f}" for x in descent),
        "network-orders": ", ".join(f"{x:.2f}" for x in net),
        "cold-orders": of("1 term, empty buffer"),
        "delayed-orders": of("the same, delay taken off"),
        "damped-order": f"{found['mirror descent: scaling of Table 1']:.2f}",
        "ideal-order": f"{found['mirror descent: ideal scaling']:.2f}",
        "accelerated-order": f"{found['Bregman, p = 2: accelerated gradient']:.2f}",
        "finest-gain": power((error / better)[np.isfinite(error)][-1]),
        "attraction": f"{float(data['attraction'][0]):.3f}",
        "exponents": ", ".join(f"{x:.2f}" for x in exponents(data)),
        "dilation": power_above(data["dilation"].max()),
        "energy": "never grows" if growth <= STEADY else f"grows by up to {power_above(growth)} of itself in a step",
        "bound": at_most(data["bound"].max()),
        "furthest-order": at_most(np.abs(orders(data) - data["predicted_order"].values).max()),
    }
