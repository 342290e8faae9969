"""The claims about balancing, and what rules on each."""

import numpy as np
import xarray as xr

from nld.figures._data.balancing_prose import OFF, last_on, numbers
from nld.inference import Evidence
from nld.paper import Claim

PLACE = ((), "fig-balancing", "book/balancing")
CLAIMS = (
    Claim("metrics-choose-their-charge", "A flow in the metric $|w|^{p-2}$ conserves, at each ReLU unit, the sum of "
          "$|w|^p$ of the incoming minus that of the outgoing weights; flows of other $p$ do not.",
          *PLACE, "saul2023weight"),
    Claim("balancing-needs-no-rate", "Multiplicative balancing of a ReLU network never raises the norm, ends balanced "
          "and leaves the function as it is.", *PLACE, "saul2023weight"),
    Claim("depth-makes-the-transition-first-order", "Under weight decay a network with one hidden layer has a "
          "transition of second order, one with more hidden layers of first order.", *PLACE, "ziyin2022exact"),
    Claim("decay-thresholds-singular-values", "Weight decay on two linear layers leaves the singular values of the "
          "target that exceed it, each lowered by it.", *PLACE, "ziyin2025parameter"),
    Claim("modes-rise-one-by-one", "In a linear network with small balanced weights singular values rise one after the "
          "other, the strongest first, at the times of a logistic function.", *PLACE, "saxe2014exact"),
)  # fmt: skip
KEPT = 1e-4  # a charge that a flow keeps, in w^p


def evidence(data: xr.Dataset) -> list[Evidence]:
    """Each claim by the numbers that it states, in small networks."""
    told, drift = numbers(data), data["charge_drift"]
    matched = np.diag(drift.values)
    foreign = drift.sel(flow=2.0, power=[1.0, 1.5])
    gap = np.abs(data["norm"].sel(depth=1) - data["upper_minimum"].sel(depth=1))
    jumps = {depth: last_on(data, depth) for depth in (2, 3)}
    falling = data["norm"].sel(depth=[2, 3], direction="down")
    left, expected = data["left"], data["left_predicted"]
    ranks = bool(((left > 1e-6).sum("mode") == (expected > 0).sum("mode")).all())
    times = data["half_rise"].values
    return [
        Evidence("metrics-choose-their-charge",
                 f"Kept to {told['kept']} by the flow of their own metric; moved by {told['moved']} by gradient flow.",
                 checks={"kept": bool((matched < KEPT).all()), "lost": bool((foreign > 0.1).all())}),
        Evidence("balancing-needs-no-rate",
                 f"For six norms: imbalance {told['fix-imbalance']} after 300 updates, outputs within "
                 f"{told['fix-output']}, norm {told['fix-norm']} of the first one.",
                 checks={"monotone": bool((data["fix_rise"] < 1e-12).all()),
                         "balanced": bool((data["fix_imbalance"] < 1e-10).all()),
                         "function": bool((data["fix_output"] < 1e-12).all())}),
        Evidence("depth-makes-the-transition-first-order",
                 f"One hidden layer: within {told['second-order']} of the closed form in both directions. Two and "
                 f"three: last on at {told['last-on']} of the critical decay, with a norm of {told['last-norm']}.",
                 checks={"one hidden layer": bool((gap < 1e-3).all()),
                         "two hidden layers": jumps[2][:2] == (1.18, 1.25) and jumps[2][2] > 0.15,
                         "three hidden layers": jumps[3][:2] == (1.38, 1.45) and jumps[3][2] > 0.15,
                         "hysteresis": bool((falling < OFF).all())}),
        Evidence("decay-thresholds-singular-values",
                 f"At {data.sizes['decay']} decays: singular values within {told['threshold-gap']}.",
                 checks={"ranks": ranks, "values": bool(np.abs(left - expected).max() < 1e-8)}),
        Evidence("modes-rise-one-by-one", f"Half risen at {told['halves']}, foreseen {told['halves-foreseen']} w²/ℓ.",
                 checks={"order": bool((np.diff(times) > 0).all()),
                         "times": bool(np.abs(times / data["half_rise_predicted"].values - 1).max() < 0.05)}),
    ]  # fmt: skip
