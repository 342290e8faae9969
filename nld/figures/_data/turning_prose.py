"""Numbers and sentences about fig-turning, from its data."""

import numpy as np
import xarray as xr

from nld.figures._render.text import number, power_above
from nld.inference import Verdict
from nld.inference.verdict import NEGLIGIBLE, OPPOSITE, PASSES


def numbers(data: xr.Dataset) -> dict[str, str]:
    """For caption, ruling and chapter."""
    loss = np.log(data["judged_loss"].values)
    cosine, angle = data["cosine"], data["angle"]
    spread = data["judged_spread"].mean("judging_seed")
    neurons, ratio = 1e3 * data["neuron_angle"], data["neuron_angle"] / data["neuron_law"]
    of_layer = neurons.sel(kind="across the layer")
    return {
        "filters": percent(data["judged_filters"].mean()),
        "others": percent(data["judged_others"].mean()),
        "chance": percent(data["chance"]),
        "read-out": percent((cosine.sel(weights="read-out") < data.attrs["threshold"]).mean()),
        "largest-cosine": power_above(cosine.sel(weights="filters").max()),
        "usual-cosine": number(cosine.sel(weights="read-out").median(), ".1f"),
        "gain-free": number(np.exp((loss[:, 0] - loss[:, 1]).mean()), ".2f"),
        "gain-prescribed": number(np.exp((loss[:, 2] - loss[:, 3]).mean()), ".2f"),
        "spread-across": number(spread.sel(judged_kind="across the layer"), ".2f"),
        "spread-standardized": number(spread.sel(judged_kind="standardized"), ".2f"),
        "residual": percent(np.log(ratio).std()),
        "first-angle": number(angle.sel(treatment="AdamW")[0], ".1f"),
        "warm-angle": number(0.01 + angle.sel(treatment="AdamW, warm-up").max(), ".2f"),
        "law-angle": number(data["angle_law"][0], ".3f"),
        "slowest": number(of_layer.min(), ".0f"),
        "fastest": number(of_layer.max(), ".0f"),
        "unit": number(1e3 * data["unit_law"], ".0f"),
        "turning-seeds": f"{data.sizes['judging_seed']}",
    }


def percent(share) -> str:
    return f"{number(100 * share, '.0f' if share > 0.1 else '.1f')} %"


def need_of_warm_up(verdicts: list[Verdict]) -> str:
    """What the interaction says of the need for a warm-up."""
    claim = next(v for v in verdicts if v.claim == "rotation-replaces-warm-up")
    gains, more = (finding.outcome for finding in claim.findings)
    if gains != PASSES:
        return "In this network AdamW does not gain enough from a warm-up to ask whether prescribed angles need less."
    return {
        PASSES: "With prescribed angles there is less to gain.",
        OPPOSITE: "With prescribed angles there is more to gain, not less.",
        NEGLIGIBLE: "With prescribed angles there is as much to gain.",
    }.get(more, "Whether prescribed angles need less of it these seeds do not settle.")


def told_apart(verdicts: list[Verdict]) -> str:
    """Whether the criterion projects weights that it should not."""
    claim = next(v for v in verdicts if v.claim == "cosine-tells-scale-invariance")
    outcomes = {finding.part: finding.outcome for finding in claim.findings}
    return {
        PASSES: "It takes no other weights for such.",
        OPPOSITE: "But it takes other weights for such as well, now and then.",
    }.get(outcomes["no others"], "How often it takes others for such these seeds do not settle.")
