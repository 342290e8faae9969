"""What large steps do by themselves, done by small steps on a loss with a penalty: explicit gradient regularization."""

import numpy as np
import xarray as xr

from nld.figures._data import flow_distances
from nld.figures._data.two_parameter_valley import PATH_RATES, PATH_TIME, START, gradient
from nld.inference import Evidence
from nld.learning_rules.rules import Gradient, gradient_descent, iterate
from nld.paper import Claim
from nld.theory.counter_terms import with_gradient_penalty

CLAIM = Claim("implicit-penalty-can-be-explicit", "The penalty that large steps imply can be added to the loss as a "
              "regularizer, which controls it directly.", (), "fig-flattening", "book/between-the-steps",
              "barrett2021implicit")  # fmt: skip
FINER = 8  # small steps in the place of a large one
SHOWN = slice(0, 2000, 5)  # steps of the path that are drawn


def distances(slope: Gradient, start, rate: float, steps: int) -> tuple[float, float]:
    """From the last iterate at ``rate`` to that of small steps on the loss alone, and on the loss with the penalty."""
    last = iterate(gradient_descent(rate), slope, start, steps).position[-1]
    small = gradient_descent(rate / FINER)
    penalized = with_gradient_penalty(slope, (rate - rate / FINER) / 4)
    alone, helped = (iterate(small, force, start, FINER * steps).position[-1] for force in (slope, penalized))
    return float(np.linalg.norm(last - alone)), float(np.linalg.norm(last - helped))


def measured(seed: int) -> dict:
    """Variables of fig-flattening: where small steps with the penalty of each rate end in the two-parameter valley, and
    orders of the distance in a small network, drawn with the seed."""
    small = min(PATH_RATES)
    forces = [with_gradient_penalty(gradient, (rate - small) / 4) for rate in PATH_RATES]
    paths = [iterate(gradient_descent(small), force, START, round(PATH_TIME / small)).position for force in forces]
    network, begin = flow_distances.network(seed)
    counts = np.array(flow_distances.NETWORK_STEPS)
    table = [distances(network, begin, flow_distances.NETWORK_TIME / n, n) for n in counts]
    orders = -np.polyfit(np.log(counts), np.log(table), 1)[0]
    place = {"units": "w", "long_name": "position"}
    return {
        "penalized_path": (("penalized_step", "axis"), paths[-1][SHOWN], place),
        "penalized_end": (("path_rate", "axis"), np.array([path[-1] for path in paths]), place),
        "penalty_order": (("loss",), orders, {"long_name": "order of the distance between small steps and large"}),
        "loss": ["alone", "with penalty"],
    }


def evidence(data: xr.Dataset) -> Evidence:
    """The penalty buys small steps an order, and in the valley a stronger one ends flatter, as large steps do."""
    alone, helped = data["penalty_order"].values
    steps, penalty = ((data[name].values ** 2).sum(1) for name in ("end", "penalized_end"))
    buys = abs(alone - 1) < 0.2 and abs(helped - 2) < 0.2
    listed = ", ".join(
        f"{penalty[i]:.3f} with the penalty of {rate:g}, {steps[i]:.3f} with its steps"
        for i, rate in enumerate(data["path_rate"].values[1:], 1)
    )
    return Evidence(
        CLAIM.name,
        f"In a network of 41 weights small steps leave large ones at order {alone:.2f}, with the penalty at order "
        f"{helped:.2f}. In the valley the trace of the Hessian ends at {steps[0]:.3f} with small steps; {listed}.",
        checks={"buys an order": bool(buys), "ends flatter": bool((np.diff(penalty) < 0).all())},
    )


def reach(data: xr.Dataset) -> str:
    """Whether small steps with the penalty of the largest rate end as flat as its own steps."""
    penalized, steps = ((data[name].values[-1] ** 2).sum() for name in ("penalized_end", "end"))
    return "and as far" if penalized <= steps else "only not as far"
