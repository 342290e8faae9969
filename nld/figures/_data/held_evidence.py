"""The claims about held norms, and what rules on each."""

import numpy as np
import xarray as xr

from nld.figures._data.held_prose import numbers
from nld.figures._data.held_scores import RULES, seed_rates
from nld.inference import Evidence
from nld.paper import Claim

PLACE = ((), "fig-held-norms", "book/which-weights-may-be-held")
HYPERBALL, MULTIPLIERS = "wen2026fantastic", "velikanov2026learnable"
CLAIMS = (
    Claim("held-norms-train-better", "Holding the norms of hidden matrices trains a language model better than weight "
          "decay on them.", *PLACE, HYPERBALL),
    Claim("the-carrier-stays-free", "If all matrices are held, the one that carries the temperature included, training "
          "ends worse.", *PLACE, HYPERBALL),
    Claim("symmetry-says-which-norms-may-be-held", "The share of the temperature that a class of tensors carries, and "
          "how far it would grow, predict what holding it does (this book's rule).", *PLACE, HYPERBALL),
    Claim("a-gain-carries-what-is-held", "A trained factor on each held tensor takes over what its norm carried.",
          *PLACE, MULTIPLIERS),
)  # fmt: skip


def estimands(data: xr.Dataset) -> dict[str, np.ndarray]:
    """Per judging seed, in the units of their registration."""
    texts = data["is_text"].values > 0
    own = data["own_scale"].values > 0
    rates = {rule: seed_rates(data, rule) for rule in RULES}
    held = data["judged_change"].sel(unit=data["carrier"].values).values.mean(1)
    return {
        "chosen": np.median(data["judged_chosen_change"].values[:, texts], axis=1),
        "all": np.median(data["judged_all_change"].values, axis=1),
        "better than own scale or not": rates[RULES[0]] - rates[RULES[1]],
        "better than all harmless": rates[RULES[0]] - rates[RULES[2]],
        "own scale": data["judged_change"].values[:, own].mean(1),
        "half the harm": held / 2 - data["judged_gained_change"].values.mean(1),
    }


def evidence(data: xr.Dataset) -> list[Evidence]:
    """Each claim by the numbers that it states."""
    told, samples = numbers(data), estimands(data)
    rule = ("better than own scale or not", "better than all harmless", "own scale")
    return [
        Evidence("held-norms-train-better",
                 f"With all held that the rule allows, the loss of {told['texts']} language models changes by "
                 f"{told['chosen']} ℓ in the median, from {told['chosen-least']} to {told['chosen-most']} ℓ.",
                 {"chosen": samples["chosen"]}),
        Evidence("the-carrier-stays-free",
                 f"With all matrices held the loss of {told['architectures']} networks changes by {told['all']} ℓ in "
                 "the median.", {"all": samples["all"]}),
        Evidence("symmetry-says-which-norms-may-be-held",
                 f"Right for {told['rule']} of {told['units']} classes ({told['rule-interval']}); own scale or not "
                 f"{told['own']} ({told['own-interval']}), all harmless {told['none']} ({told['none-interval']}). "
                 f"Classes with a scale of their own change the loss by {told['own-change']} ℓ on average.",
                 {part: samples[part] for part in rule}),
        Evidence("a-gain-carries-what-is-held",
                 f"Held classes that carry the temperature cost {told['carrier-held']} ℓ on average, with a trained "
                 f"factor {told['carrier-gained']} ℓ.", {"half the harm": samples["half the harm"]}),
    ]  # fmt: skip
