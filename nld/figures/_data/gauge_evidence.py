"""The claims about gauge symmetry, what rules on each, and the numbers that caption and prose tell."""

import numpy as np
import xarray as xr

from nld.figures._render.text import power, power_above
from nld.inference import Evidence
from nld.paper import Claim

PLACE = ((), "fig-gauge", "book/gauge-symmetry")
CLAIMS = (
    Claim("gauge-keeps-the-map", "Transformations that depend on the depth and vanish at both ends, and other clocks, "
          "change the weights of a linear neural ODE and not its map.", *PLACE, "hashimoto2024unification"),
    Claim("gauge-has-a-charge-density", "Ours, from this symmetry: gradient flow conserves a charge at each depth of a "
          "linear neural ODE; residual layers conserve theirs exactly, and the density to first order in their "
          "thickness.", *PLACE, "hashimoto2024unification"),
    Claim("decay-fixes-the-gauge", "Weight decay picks one point of a gauge orbit; in a linear neural ODE it is where "
          r"the derivative of $W$ by the depth is $WW^{\mathsf T} - W^{\mathsf T}W + bb^{\mathsf T}$.",
          *PLACE, "hashimoto2024unification"),
    Claim("attention-charges-hold-biases", "Gradient flow conserves the charges of query and key and of value and "
          "output if biases count as weights, and not without them.", *PLACE, "marcotte2025transformative"),
    Claim("key-bias-is-gauge", "The bias of the key has no gradient, and shifting it changes no step of training.",
          *PLACE, "marcotte2025transformative"),
    Claim("value-bias-has-no-law", "The bias of the value can be moved into that of the output; no conservation law "
          "belongs to this symmetry, and training notices.", *PLACE, "marcotte2025transformative"),
)  # fmt: skip


def slopes(data: xr.Dataset) -> dict[str, float]:
    """Order in the thickness of a layer to which the density is conserved, and the corrected one."""
    thickness = np.log(1 / data["layers"].values)
    names = {"density": "density_drift", "corrected": "corrected_drift"}
    return {key: float(np.polyfit(thickness, np.log(data[name].values), 1)[0]) for key, name in names.items()}


def apart(data: xr.Dataset, name: str) -> float:
    """Largest difference of the losses from a shifted start and from the first one."""
    losses = data["shifted_loss"]
    return float(np.abs(losses.sel(shifted=name) - losses.sel(shifted="none")).max())


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    order, residual, count = slopes(data), data["gauge_residual"], data["law_count"]
    drift, lost = data["charge_drift_end"], data["charge_drift"].sel(biases="without").isel(time=-1)
    ratios = drift.values[0] / drift.values[1]
    return {
        "slope": f"{order['density']:.2f}",
        "corrected": f"{order['corrected']:.2f}",
        "layer-drift": power_above(data["layer_drift"].max()),
        "drifts": ", ".join(f"{100 * float(x):.1f}" for x in data["density_drift"]),
        "moved": f"{100 * float(data['weights_moved']):.0f}",
        "losses": " to ".join(f"{float(x):.2g}" for x in data["loss"]),
        "field": " and ".join(f"{float(x):.1f}" for x in data["field_changed"]),
        "map": power_above(data["map_error"].max()),
        "kept": power_above(drift.values[1].max()),
        "ratio": " and ".join(f"{x:.1f}" for x in ratios),
        "lost": " and ".join(f"{float(x):.2g}" for x in lost),
        "key-gradient": power_above(data["key_gradient"]),
        "outputs": power_above(data["shifted_outputs"].max()),
        "key-apart": power_above(apart(data, "key")),
        "value-apart": f"{apart(data, 'value'):.2g}",
        "value-end": f"{float(data['shifted_loss'].sel(shifted='value')[-1]):.3f}",
        "plain-end": f"{float(data['shifted_loss'].sel(shifted='none')[-1]):.3f}",
        "fixed": power(residual[1, 0] / residual[1, -1]),
        "residual": power_above(residual[1, -1]),
        "free": f"{float(residual[0, -1]):.1f}",
        "single": f"{float(data['rounding_moved'][0]):.2g}",
        "double": power(data["rounding_moved"][1]),
        "others-moved": f"{float(data['all_moved']):.2g}",
        "decay": f"{float(data['decay'][1]):g}",
        "laws": ", ".join(str(int(x)) for x in count.sel(flow="gradient")),
        "momentum-laws": ", ".join(str(int(x)) for x in count.sel(flow="momentum")),
        "directions": ", ".join(str(int(x)) for x in data["direction_count"]),
    }


def evidence(data: xr.Dataset) -> list[Evidence]:
    """Each claim by the numbers that it states."""
    told, order = numbers(data), slopes(data)
    drift, lost = data["charge_drift_end"].values, data["charge_drift"].sel(biases="without").isel(time=-1)
    error = data["map_error"]
    same = ((error < 1e-10) & (data["field_changed"] > 0.5)).values
    residual, directions = data["gauge_residual"], data["direction_count"]
    count = data["law_count"].sel(flow="gradient")
    equal = bool((data["shifted_outputs"] < 1e-12).all())
    return [
        Evidence("gauge-keeps-the-map", f"W and b change by up to {told['field']}, the map by at most {told['map']}.",
                 checks={"gauge": bool(same[0]), "clock": bool(same[1])}),
        Evidence("gauge-has-a-charge-density",
                 f"Layers: {told['layer-drift']}. Density: order {told['slope']}, corrected {told['corrected']}.",
                 checks={"layers": bool((data["layer_drift"] < 1e-6).all()),
                         "density": abs(order["density"] - 1) < 0.15,
                         "corrected": abs(order["corrected"] - 2) < 0.3}),
        Evidence("decay-fixes-the-gauge",
                 f"The condition's residual falls {told['fixed']}-fold; without decay it ends at {told['free']} w.",
                 checks={"fixed": bool(residual[1, -1] < 1e-2 * residual[1, 0]),
                         "free": bool(residual[0, -1] > 0.1 * residual[0, 0])}),
        Evidence("attention-charges-hold-biases",
                 f"With biases {told['kept']}, falling {told['ratio']}-fold when the integrator's step halves; without "
                 f"{told['lost']}.",
                 checks={"kept": bool((drift[0] > 14 * drift[1]).all() and (drift[1] < 1e-6).all()),
                         "lost": bool((lost > 1e-3).all())}),
        Evidence("key-bias-is-gauge",
                 f"Gradient: {told['key-gradient']} of the largest. Losses from a shifted start: {told['key-apart']}.",
                 checks={"gradient": bool(data["key_gradient"] < 1e-12),
                         "training": apart(data, "key") < 1e-12 and equal}),
        Evidence("value-bias-has-no-law",
                 f"Outputs equal to {told['outputs']}; directions {told['directions']}, laws {told['laws']}; losses up "
                 f"to {told['value-apart']} apart.",
                 checks={"symmetry": equal and bool(directions[2] == directions[0] + 1),
                         "no law": bool(count[2] == count[0] and count[3] == count[1]),
                         "training": apart(data, "value") > 1e-3}),
    ]  # fmt: skip
