"""The claims about noise on orbits, and what rules on each."""

import numpy as np
import xarray as xr

from nld.figures._data.noise_orbit_prose import (
    LATE,
    distances,
    imbalances,
    late_values,
    norm_errors,
    numbers,
    resting_gap,
    start_gap,
)  # fmt: skip
from nld.inference import Evidence
from nld.paper import Claim

PLACE = ((), "fig-noise-orbit", "book/noise-on-the-orbit")
SOURCE = "ziyin2024parameter"
CLAIMS = (
    Claim("noise-moves-a-charge-by-one-law", "In every step on $(u w x-y)^2$ SGD multiplies $u^2-w^2$ by "
          r"$1-\eta^2 g^2$, $g$ the slope by the product $u w$, and by one more factor with decay.", *PLACE, SOURCE),
    Claim("sgd-balances-noise", "SGD takes two linear layers to one point of the orbit, where the noise of both is in "
          "balance, wherever it starts; gradient descent does not.", *PLACE, SOURCE),
    Claim("noise-equilibrium-is-a-minimum", "Along an orbit the mean squared gradient and the squared norm are convex, "
          "and at the minimum of a weighted sum of the two noise and decay leave the charge where it is.",
          *PLACE, SOURCE),
    Claim("sgd-finds-the-optimum", "SGD takes the units of a ReLU network to the optimum of their orbits, and gradient "
          "descent does not.", *PLACE, SOURCE),
    Claim("scale-rests-only-with-decay", "Noise makes the norm of scale-invariant weights grow without end; with decay "
          "it comes to one length, whatever it was at the start.", *PLACE, SOURCE),
)  # fmt: skip


def evidence(data: xr.Dataset) -> list[Evidence]:
    """Each claim by the numbers that it states."""
    told, balance, distance = numbers(data), imbalances(data), distances(data)
    slow = float(data["pair_rate"][0])
    grown, rested = norm_errors(data)
    errors = data["law_error"]
    return [
        Evidence("noise-moves-a-charge-by-one-law", f"Within {told['law-error']} of the squared weights.",
                 checks={"without decay": bool(errors[0] < 1e-12), "with decay": bool(errors[1] < 1e-10)}),
        Evidence("sgd-balances-noise",
                 f"Imbalance of average noise {told['early']}, then {told['late']}; gradient descent "
                 f"{told['descent']}. Singular values from two starts within {told['start-gap']} %, of the optimum "
                 f"within {told['resting-gap']} %.",
                 {"falls": np.log2(balance["early"] / balance["late"]) - 1,
                  "against gradient descent": 0.25 - balance["late"] / balance["descent"],
                  "forgets the start": 0.1 - start_gap(data, late_values(data, slow)),
                  "foreseen": 0.15 - resting_gap(data, slow),
                  "not of norms": data["norm_imbalance"].sel(pair_time=LATE).mean("start").values - 0.25}),
        Evidence("noise-equilibrium-is-a-minimum",
                 f"A hyperbolic cosine to {told['curve-error']}; at its minimum a source of {told['source-left']} is "
                 f"left, and the loss is moved by {told['loss-moved']}.",
                 checks={"convex": bool(data["curvature"] > 0 and data["curve_error"] < 1e-12),
                         "no source": bool(data["source_left"] < 1e-13 and data["source_before"] > 0.1),
                         "same function": bool(data["loss_moved"] < 1e-14)}),
        Evidence("sgd-finds-the-optimum",
                 f"Mean distance {told['distance-start']}, then {told['distance-late']}; gradient descent "
                 f"{told['distance-descent']}.",
                 {"comes near": np.log(distance["start"] / distance["late"] / 3),
                  "against gradient descent": np.log(distance["descent"] / distance["late"] / 2)}),
        Evidence("scale-rests-only-with-decay",
                 f"Steps as the law says to {told['norm-error']}. Fourth powers within {told['grown-off']} % without "
                 f"and {told['rested-off']} % with decay.",
                 {"without decay": 0.15 - grown, "with decay": 0.15 - rested},
                 {"law in steps": bool(data["norm_law_error"] < 1e-11), "never falls": bool(data["norm_fall"] >= 0)}),
    ]  # fmt: skip
