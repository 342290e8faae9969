"""Numbers for the chapter and the caption of fig-flattening."""

import numpy as np
import xarray as xr

from nld.figures._data.invariant_layers import LAYERS, layer_gap
from nld.figures._data.two_parameter_valley import charge
from nld.figures._render.text import at_most, number, power_above


def deviations(data: xr.Dataset) -> str:
    """What the network's deviations from the prediction do with the strength, the end of a sentence."""
    gap = 100 * np.abs(data["drift"].values / data["prediction"].values - 1).max((0, 2))
    ends = f"at most {at_most(gap[0])} % at the smallest strength and {at_most(gap[-1])} % at the largest"
    return f"grow with the strength, as the next order should: {ends}" if (np.diff(gap) > 0).all() else f"are {ends}"


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    flatness, penalized = ((data[name].values ** 2).sum(1) for name in ("end", "penalized_end"))
    _, ball, look = data["coefficient"].values
    ratio = data["drift"].values / data["prediction"].values
    pair = ratio[2] / ratio[1]
    layer = data["layer"].values
    worst = np.abs(layer[:, 2] / [k for _, k in LAYERS] - 1)
    return {
        "path-rates": ", ".join(f"{x:g}" for x in data["path_rate"].values),
        "layer-strengths": ", ".join(f"{eta * k:g}" for eta, k in LAYERS),
        "flatness": ", ".join(f"{x:.3f}" for x in flatness),
        "penalized-flatness": " and ".join(f"{x:.3f}" for x in penalized[1:]),
        "penalty-share": f"{100 * (flatness[0] - penalized[-1]) / (flatness[0] - flatness[-1]):.0f} %",
        "penalty-orders": " and ".join(f"{x:.2f}" for x in data["penalty_order"].values),
        "charges": ", ".join(number(x, ".3f") for x in charge(data["end"].values)),
        "law-gap": power_above(data["law_gap"].max()),
        "layer-gap": power_above(layer_gap(data)),
        "deviations": deviations(data),
        "a-ball": f"{ball:g}",
        "a-look": f"{look:g}",
        "network-gap": at_most(100 * np.abs(ratio[:, 0] - 1).max()),
        "network-gap-large": at_most(100 * np.abs(ratio[:, -1] - 1).max()),
        "pair-gap": at_most(100 * np.abs(pair - 1).max()),
        "toy-gap": at_most(100 * np.abs(data["toy_drift"].values / data["toy_prediction"].values - 1).max(), 1),
        "cosines": ", ".join(f"{x:.3f}" for x in layer[:, 0]),
        "fourth-powers": ", ".join(f"{x:.5f}" for x in layer[:, 1]),
        "flow-fourth-powers": ", ".join(f"{eta / (2 * k):g}" for eta, k in LAYERS),
        "rate-error": ", ".join(f"{100 * x:.2g}" for x in worst),
    }
