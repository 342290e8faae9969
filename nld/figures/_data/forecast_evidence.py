"""The claims about forecasts, and what rules on each."""

import numpy as np
import xarray as xr

from nld.figures._data.forecast_prose import numbers
from nld.inference import Evidence
from nld.paper import Claim

PLACE = ((), "fig-forecast", "book/a-forecast-judged", "nld2026companion")
BOUNDS = {"AdamW": 5, "Muon": 10, "SGD": 15}  # per cent, asked for before there was a forecast
CLAIMS = (
    *(
        Claim(f"first-fifth-foretells-{rule.lower()}", f"From the first fifth of a run under {words} the final norms "
              f"and angles of scale-symmetric blocks are forecast with a median error of at most {bound} %.", *PLACE)
        for (rule, bound), words in zip(BOUNDS.items(), ("AdamW", "Muon", "SGD with momentum"), strict=True)
    ),
    Claim("drift-beats-a-constant-source", "Letting the measured source drift forecasts better than keeping it "
          "constant.", *PLACE),
    Claim("forecast-intervals-cover", "Intervals of 90 % hold the final values of unseen runs in 80 to 97 % of the "
          "cases.", *PLACE),
)  # fmt: skip
CENTRE = 88.5  # per cent, of 80 and 97
JUDGED = ("norm", "angle")


def errors(data: xr.Dataset, rule: str, quantity: str) -> np.ndarray:
    """Per cent, seed by seed: median relative error of a rule's blocks, mean over the schedules."""
    return 100 * data["error"].sel(rule=rule, quantity=quantity).mean("schedule").values


def gain(data: xr.Dataset, rule: str) -> np.ndarray:
    """Points, seed by seed: error with a constant source minus that of the forecast, mean of norms and angles."""
    difference = (data["constant_error"] - data["error"]).sel(rule=rule, quantity=list(JUDGED))
    return 100 * difference.mean(["schedule", "quantity"]).values


def coverage(data: xr.Dataset, quantity: str) -> np.ndarray:
    """Per cent, seed by seed: final values inside their intervals, mean over the six settings."""
    return 100 * data["inside"].sel(quantity=quantity).mean(["rule", "schedule"]).values


def evidence(data: xr.Dataset) -> list[Evidence]:
    """Each claim by the numbers that it states."""
    told = numbers(data)
    return [
        *(
            Evidence(f"first-fifth-foretells-{rule.lower()}",
                     f"Median error at the end: norms {told[f'norm-{rule.lower()}']} %, angles "
                     f"{told[f'angle-{rule.lower()}']} %.",
                     {f"{name}s": errors(data, rule, name) for name in JUDGED})
            for rule in BOUNDS
        ),
        Evidence("drift-beats-a-constant-source",
                 "Points by which a constant source is further off, mean of norms and angles: "
                 + ", ".join(f"{rule} {told[f'gain-{rule.lower()}']}" for rule in BOUNDS) + ".",
                 {"AdamW": gain(data, "AdamW"), "SGD": gain(data, "SGD"), "Muon, no worse": gain(data, "Muon")}),
        Evidence("forecast-intervals-cover",
                 f"Inside: norms {told['inside-norm']} %, angles {told['inside-angle']} %, gradients "
                 f"{told['inside-gradient']} %.",
                 {f"{name}s": coverage(data, name) - CENTRE for name in ("norm", "angle", "gradient")}),
    ]  # fmt: skip
