"""What the figure on widths shows beside its judging seeds: predicted angles, and weight decay on a sphere."""

import numpy as np
import xarray as xr

from nld.experiment.studies import learnable_multiplier, width_transfer
from nld.experiment.studies.width_transfer import BASE, DECAY, MOMENTUM, PLATEAU, SCHEMES
from nld.figures._data.width_courses import EVIDENCE, LOOKS, RATES, STEPS, WIDTHS, measure
from nld.figures.evidence import judged
from nld.learning_rules.rules import adam
from nld.theory.rotation import rotational_equilibrium
from nld.theory.width_laws import angles

SPHERE_STEPS, SPHERE_DECAY = 20, 1.0
SPHERE_RATES = [2.0**-exponent for exponent in range(9, 17)]


def ruling() -> xr.Dataset:
    """Judging seeds: kept ones, or one that is run here, which takes minutes."""
    return judged(EVIDENCE, measure, live=1)


def predictions() -> dict:
    """Angles that theory predicts at the largest rate, from the start that PyTorch draws: R = C/(3 n)."""
    fade = np.minimum(1, (STEPS - np.arange(STEPS)) / ((1 - PLATEAU) * STEPS))
    table = np.empty((len(SCHEMES), len(WIDTHS), len(LOOKS)))
    for row, scheme in enumerate(SCHEMES):
        for column, width in enumerate(WIDTHS):
            m, held = width / BASE, scheme == "held norms"
            rates = RATES[0] * fade / (m**0.5 if held else m)
            decay = {"coupled decay": DECAY, "independent decay": DECAY * m, "held norms": 0.0}[scheme]
            turned, _ = angles(rates, decay, momentum=MOMENTUM, size=width**2, squared_norm=width / 3, held=held)
            table[row, column] = turned[list(LOOKS)]
    noisy = learnable_multiplier
    rule = adam(noisy.RATE, noisy.MOMENTUM, noisy.SQUARE_DECAY, noisy.DECAY, decoupled=True)
    end = rotational_equilibrium(rule, size=noisy.SIZE**2)
    return {
        "angle_predicted": (("scheme", "width", "look"), table, {"units": "rad"}),
        "norm_predicted": end.squared_norm**0.5,
    }


def sphere(seed: int) -> dict:
    """Angles between held runs with decay and without, by learning rate; and where the second has a larger rate."""
    families = ("AdamW", "heavy ball", "AdamW, larger rate")
    apart = [
        width_transfer.moved_by_decay(family, SPHERE_RATES, SPHERE_DECAY, SPHERE_STEPS, seed) for family in families
    ]
    return {
        "sphere_apart": (("sphere_rule", "sphere_rate"), np.stack(apart[:2]), {"units": "rad"}),
        "sphere_same": ("sphere_rate", apart[2], {"units": "rad"}),
        "sphere_rate": ("sphere_rate", SPHERE_RATES),
        "sphere_rule": ("sphere_rule", list(families[:2])),
    }
