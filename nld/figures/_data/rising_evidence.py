"""The claims about gradients that rise, and what rules on each."""

import numpy as np
import xarray as xr

from nld.figures._data.rising_prose import equilibrium_error, loss_gain, numbers, rise, shrinking, shrinking_law
from nld.figures._data.rising_runs import DIGITS, LANGUAGE
from nld.inference import Evidence
from nld.paper import Claim

PLACE, DEFAZIO = ((), "fig-rising-gradients", "book/why-gradients-rise"), "defazio2025gradients"
RATIO, RISE = "gradient-over-weight-in-equilibrium", "gradients-rise-as-the-rate-falls"
ENDS, ONLY = "corrected-decay-ends-the-rise", "only-scale-symmetric-blocks-need-it"
BEFOREHAND, LOSS = "rise-is-known-beforehand", "corrected-decay-lowers-the-loss"
CLAIMS = (
    Claim(RATIO, r"In equilibrium gradients of scale-invariant weights under SGD have $\lVert g\rVert/\lVert q\rVert="
          r"\sqrt{2k/\eta}$.", *PLACE, DEFAZIO),
    Claim(RISE, "Near the end of training gradients rise, because weight decay, normalization and a falling rate act "
          "together.", *PLACE, DEFAZIO),
    Claim(BEFOREHAND, "What these three do to norms is enough to compute the rise before it happens.", *PLACE, DEFAZIO),
    Claim(ENDS, "Weight decay in proportion to the learning rate ends the rise.", *PLACE, DEFAZIO),
    Claim(ONLY, "Exactly the weights with a scale symmetry need it: elsewhere it changes nothing about the rise.",
          *PLACE, DEFAZIO),
    Claim(LOSS, "The correction lowers the loss.", *PLACE, DEFAZIO),
)  # fmt: skip


def samples(data: xr.Dataset, network: str) -> dict[str, np.ndarray]:
    """Per judging seed, as logarithms of factors: what is asked of each network."""
    log_rise = {str(each): rise(data, network, each) for each in data["corrected"].values}
    plain, ended = log_rise["nothing"], log_rise["scale-symmetric"]
    setting = LANGUAGE if network == "language" else DIGITS
    return {
        "rises": plain,
        "decay does it": plain - ended,
        "ends": -ended,
        "more than half": plain / 2 - ended,
        "others do not": log_rise["others"] - plain,
        "all do as well": log_rise["all"] - ended,
        "forecast": np.log(data[f"{network}_forecast"].sel(schedule="stable").values) - plain,
        "norms": shrinking(data, network) - shrinking_law(setting),
    }


def evidence(data: xr.Dataset) -> list[Evidence]:
    """Each claim by the numbers that it states."""
    told = numbers(data)
    ruled = [
        Evidence(RATIO, f"In the mean over {told['seeds']} seeds off by at most {told['plain-ratio-error']} %.",
                 {"ratio": equilibrium_error(data)}),
        Evidence(LOSS, f"Validation loss falls by {told['gain-scale']} ℓ from {told['loss']} ℓ.",
                 {"loss": loss_gain(data, "scale-symmetric")}),
    ]  # fmt: skip
    for network, at in (("language", ""), ("digits", "@digits")):
        found = samples(data, network)
        here = {key.removeprefix(f"{network}-"): text for key, text in told.items() if key.startswith(network)}
        asked = {
            RISE: (("rises", "decay does it"), f"Gradients rise to {here['nothing']} times what they were, and to "
                   f"{here['scale']} times with the correction."),
            BEFOREHAND: (("forecast", "norms"), f"Forecast {here['forecast']}-fold, measured {here['nothing']}-fold; "
                         f"norms fall to {here['shrunk']}, by the closed form to {here['shrunk-law']}."),
            ENDS: (("ends", "more than half"), f"With the correction {here['scale']} times what they were, without it "
                   f"{here['nothing']} times."),
            ONLY: (("others do not", "all do as well"), f"Corrected elsewhere {here['others']} times, everywhere "
                   f"{here['all']} times; on scale-symmetric blocks {here['scale']} times."),
        }  # fmt: skip
        ruled += [
            Evidence(f"{claim}{at}", words, {part: found[part] for part in parts})
            for claim, (parts, words) in asked.items()
        ]
    return ruled
