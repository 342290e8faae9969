"""The claims about flat minima, and what rules on each."""

import numpy as np
import xarray as xr

from nld.figures._data.flat_minima_prose import numbers, slopes, start_errors
from nld.inference import Evidence
from nld.paper import Claim

PLACE = ((), "fig-flat-minima", "book/flat-minima")
ZHAO, KREISLER, COHEN = "zhao2023symmetries", "kreisler2023gradient", "cohen2025understanding"
CLAIMS = (
    Claim("activations-have-charges", "On orthogonal inputs gradient flow of two layers with an element-wise "
          "activation conserves a charge of each hidden unit.", *PLACE, ZHAO),
    Claim("drift-of-charges-is-foreseen", "Gradient descent moves these charges in proportion to the learning rate, by "
          "what the gradient flow from the same start foretells.", *PLACE, ZHAO),
    Claim("charge-sets-the-sharpness", "With one hidden unit the charge at the start decides how sharp the minimum is "
          "at which gradient flow ends.", *PLACE, ZHAO),
    Claim("starts-fill-a-thin-slice", "Usual random starts have charges in a narrow range, so that gradient flow ends "
          "in a thin slice of all minima.", *PLACE, ZHAO),
    Claim("large-steps-lower-the-charge", "In a product of scalars a step of gradient descent lowers the size of "
          "every charge, the difference of two squared factors, unless the residual is too large for the rate.",
          *PLACE, KREISLER),
    Claim("descent-ends-below-the-edge", "Gradient descent that converges in a product of scalars ends where the rate "
          "times the sharpness is at most two.", *PLACE, KREISLER),
    Claim("edge-moves-the-charge", "At the edge of stability the oscillation along the sharpest direction moves the "
          "charge of two layers, from the sharp layer to the other one, as fast as the valley foretells.",
          *PLACE, COHEN),
)  # fmt: skip


def evidence(data: xr.Dataset) -> list[Evidence]:
    """Each claim by the numbers that it states, in small networks."""
    told = numbers(data)
    smooth = data["flow_drift"].sel(activation=["linear", "tanh", "sigmoid"])
    kinked = data["flow_drift"].sel(activation=["ReLU", "leaky ReLU"])
    off, left = data["drift_off"].values, data["step_left"]
    mean, deviation = start_errors(data)
    sharpness_off = np.abs(data["valley_sharpness"] / data["valley_sharpness_predicted"] - 1)
    width, size = data["start_measured"].values[:3, 1], np.abs(data["start_measured"].values[:3, 0])
    return [
        Evidence("activations-have-charges",
                 f"Drifts of at most {told['smooth-kept']} w² along the flow of smooth units, {told['kinked-kept']} w² "
                 "with kinks.",
                 checks={"smooth": bool((smooth <= 1e-7).all()), "with kinks": bool((kinked <= 1e-5).all())}),
        Evidence("drift-of-charges-is-foreseen",
                 f"Slopes of {told['slopes']}; at the smallest rate the flow's forecast is off by at most "
                 f"{told['forecast-off']} % of the largest drift.",
                 checks={"slope": bool((np.abs(slopes(data) - 1) <= 0.15).all()),
                         "forecast": bool((off[:, -1] < 0.05).all()),
                         "quadratic": bool((left.sel(activation=["linear", "ReLU", "leaky ReLU"]) < 1e-10).all())}),
        Evidence("charge-sets-the-sharpness",
                 f"Within {told['valley-off']} of the closed form in {data['valley_charge'].size} runs.",
                 checks={"values": bool((sharpness_off < 1e-4).all())}),
        Evidence("starts-fill-a-thin-slice",
                 f"Means and deviations within {told['start-errors']} sampling errors; a deviation of "
                 f"{told['slice']} % of the mean.",
                 checks={"moments": bool(max(mean.max(), deviation.max()) < 4),
                         "thin": bool((width < 0.1 * size).all())}),
        Evidence("large-steps-lower-the-charge",
                 f"{told['rises']} rises in {told['steps-within']} steps; the law leaves {told['law-left']}.",
                 checks={"law": bool((data["law_left"] < 1e-12).all()), "no rise": bool((data["rises"] == 0).all())}),
        Evidence("descent-ends-below-the-edge",
                 f"{told['converged']} runs of two, three and four factors converged, at most at "
                 f"{told['edge-sharpness']}; the loss rose on the way in {told['not-monotone']}.",
                 checks={"edge": bool((data["end_sharpness"] <= 2 + 1e-4).all()),
                         "not monotone": bool((data["not_monotone"] > 0).all())}),
        Evidence("edge-moves-the-charge",
                 f"Relative errors of the drift: {told['central-errors']} from the valley, {told['direction-errors']} "
                 f"from the measured oscillation; the charge fell by {told['moved']} w².",
                 samples={"from the valley": data["judged_central"].values,
                          "one direction": data["judged_direction"].values,
                          "towards the flat layer": data["judged_moved"].values}),
    ]  # fmt: skip
