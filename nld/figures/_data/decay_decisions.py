"""Monitored runs of a network under AdamW at the default weight decay, at the one decided on, and at others."""

import numpy as np
import xarray as xr

from nld.experiment.studies import monitored
from nld.experiment.training.evaluation import accuracy_on_test_images
from nld.monitor.diagnosis import equilibrium_step, steps_to_equilibrium

STEPS = 300
SEEDS = 2
RATE = 3e-3
DEFAULT = 0.01  # torch.optim.AdamW's weight decay
OTHERS = (0.3, 10.0)  # weight decays tried beside the two decisions


def decided(learning_rate: float = RATE, steps: int = STEPS) -> float:
    """Weight decay with which AdamW's norms forget within a fifth of the run: 1/(2 η k) = steps/5, to one digit."""
    return float(f"{5 / (2 * learning_rate * steps):.0e}")


def train(
    weight_decay: float, *, seed: int = 0, label_noise: float = 0.4, filters_only: bool = False, steps: int = STEPS
) -> tuple[xr.Dataset, float]:
    """One monitored run of the digits CNN under AdamW: its record and its accuracy on the clean test images.

    With ``filters_only`` all that is not scale invariant keeps the default weight decay.
    """
    model, blocks = monitored.setup("digits_cnn", seed=seed)
    other_decay = DEFAULT if filters_only else None
    record = monitored.train_with_monitor(
        model, blocks, "AdamW", learning_rate=RATE, steps=steps, weight_decay=weight_decay, other_decay=other_decay,
        seed=seed, label_noise=label_noise,
    )  # fmt: skip
    return record, accuracy_on_test_images(model)


def runs(seed: int, label_noise: float) -> xr.Dataset:
    decays = sorted({DEFAULT, decided(), *OTHERS})
    seeds = range(seed, seed + SEEDS)
    trained = [[train(k, seed=s, label_noise=label_noise) for s in seeds] for k in decays]
    filters = [train(decided(), seed=s, label_noise=label_noise, filters_only=True)[1] for s in seeds]
    shown = [trained[decays.index(k)][0][0] for k in (DEFAULT, decided())]
    shown = [record.sel(block=(record.kind == "scale").values) for record in shown]
    angle = np.array([np.sqrt((record.angular_step**2).mean("unit")).values for record in shown])
    law = np.array([float(equilibrium_step(record).isel(step=-1, block=0)) for record in shown])
    ahead = np.array([steps_to_equilibrium(record).values for record in shown])
    return xr.Dataset(
        {
            "accuracy": (("weight_decay", "seed"), np.array([[a for _, a in row] for row in trained]), {"units": "1"}),
            "accuracy_filters_only": (("seed",), np.array(filters), {"units": "1"}),
            "angular_step": (("decision", "step", "block"), angle, {"units": "rad"}),
            "equilibrium_step": (("decision",), law, {"units": "rad"}),
            "steps_to_equilibrium": (("decision", "block"), ahead, {"units": "1"}),
        },
        coords={
            "weight_decay": decays,
            "seed": list(seeds),
            "decision": [DEFAULT, decided()],
            "step": np.arange(STEPS),
            "block": [str(name) for name in shown[0].block.values],
        },
        attrs={"label_noise": label_noise, "learning_rate": RATE},
    )
