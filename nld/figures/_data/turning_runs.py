"""The runs of fig-turning: which weights a cosine projects, what a warm-up does to angles, and how neurons turn."""

import numpy as np
import xarray as xr

from nld.experiment.studies import neuron_rotation, projection_criterion, warm_up
from nld.figures.evidence import judged
from nld.learning_rules.rules import adam, heavy_ball
from nld.theory import equilibrium
from nld.theory.neuron_rotation import chance_of_projection, squared_turn

EVIDENCE = "results/evidence/fig-turning.nc"
THRESHOLD = 0.1  # delta of the criterion, as its authors set it
CRITERION = heavy_ball(0.1, 0.9, 1e-4), 200  # rule and steps
NEURONS = heavy_ball(0.1, 0.9, 0.01)
WARMED, WARMED_STEPS, WARM_UP = adam(0.1, 0.9, 0.99, 0.01, 1e-8, decoupled=True), 150, 30
TREATMENTS = {"AdamW": (0, False), "AdamW, warm-up": (WARM_UP, False), "prescribed": (0, True),
              "prescribed, warm-up": (WARM_UP, True)}  # fmt: skip


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """Cosines, angles and neurons of networks of this seed, and what rules; one size for both profiles."""
    ruling = judged(EVIDENCE, measure, seed=seed)
    return xr.merge([_criterion(seed), _warmed(seed), _neurons(seed), ruling]).assign_attrs(
        ruling.attrs | {"seed": seed, "threshold": THRESHOLD}
    )


def measure(seeds) -> xr.Dataset:
    """What rules, one row a seed: shares of projected steps, losses with and without warm-up, spreads of neurons."""
    filters, others = _shares(seeds)
    losses = [_train(seeds, name)["loss"].values for name in TREATMENTS]
    spread = [_spread(neuron_rotation.turn_neurons(NEURONS, kind, seeds)) for kind in neuron_rotation.KINDS]
    return xr.Dataset(
        {
            "judged_filters": ("judging_seed", filters, {"units": "1"}),
            "judged_others": ("judging_seed", others.mean(0), {"units": "1"}),
            "judged_loss": (("judging_seed", "judged_treatment"), np.array(losses).T, {"units": "ℓ"}),
            "judged_spread": (("judging_seed", "judged_kind"), np.array(spread).T, {"units": "1"}),
        },
        coords={"judging_seed": list(seeds), "judged_treatment": list(TREATMENTS),
                "judged_kind": list(neuron_rotation.KINDS)},
    )  # fmt: skip


def _statistics(network: str, seeds) -> dict[str, np.ndarray]:
    """What the criterion compares with its threshold, by name of the weights, (step, seed)."""
    rule, steps = CRITERION
    return {n: rows.min(1) for n, rows in projection_criterion.cosines(rule, network, seeds, steps).items()}


def _shares(seeds) -> tuple[np.ndarray, np.ndarray]:
    """Share of projected steps: filters of a convolutional network (seed), a perceptron's matrices (matrix, seed)."""
    normalized, bare = _statistics("digits_cnn", seeds), _statistics("bare_mlp", seeds)
    filters = [normalized[name] for name in projection_criterion.filters("digits_cnn")]
    share = np.mean([(rows < THRESHOLD).mean(0) for rows in filters], axis=0)
    return share, np.array([(rows < THRESHOLD).mean(0) for rows in bare.values()])


def _criterion(seed: int) -> xr.Dataset:
    rows, names = _statistics("digits_cnn", [seed]), projection_criterion.filters("digits_cnn")
    (read_out,) = [name for name in rows if name not in names]
    filters = np.max([rows[name] for name in names], axis=0)
    _, others = _shares([seed])
    return xr.Dataset(
        {
            "cosine": (("weights", "step"), np.array([filters[:, 0], rows[read_out][:, 0]]), {"units": "1"}),
            "projected": ("matrix", others[:, 0], {"units": "1"}),
            "chance": chance_of_projection(THRESHOLD, 1024),
        },
        coords={"weights": ["filters", "read-out"]},
    )


def _train(seeds, treatment: str) -> xr.Dataset:
    steps, prescribed = TREATMENTS[treatment]
    angle = equilibrium.angular_step(WARMED) if prescribed else None
    return warm_up.train(WARMED, seeds, steps=WARMED_STEPS, warm_up=steps, angle=angle)


def _warmed(seed: int) -> xr.Dataset:
    shown = list(TREATMENTS)[:3]
    angle = [np.sqrt(_train([seed], name)["squared_angle"].values[:, 0]) for name in shown]
    factor = [warm_up.rate_factor(step, WARMED_STEPS, 0) for step in range(WARMED_STEPS)]
    return xr.Dataset(
        {
            "angle": (("treatment", "warm_step"), np.array(angle), {"units": "rad"}),
            "angle_law": ("warm_step", equilibrium.angular_step(WARMED) * np.array(factor), {"units": "rad"}),
        },
        coords={"treatment": shown},
    )


def _angles(run: xr.Dataset) -> np.ndarray:
    """Root of mean squared step over mean squared norm, (seed, layer, neuron)."""
    return np.sqrt((run["squared_step"] / run["squared_norm"]).values)


def _spread(run: xr.Dataset) -> np.ndarray:
    """Standard deviation of the logarithm of the neurons' angles, mean over layers, (seed)."""
    return np.log(_angles(run)).std(-1).mean(-1)


def _neurons(seed: int) -> xr.Dataset:
    runs = [neuron_rotation.turn_neurons(NEURONS, kind, [seed]) for kind in neuron_rotation.KINDS]
    forces = [(run["radial_gradient"] / run["squared_norm"]).values for run in runs]
    law = [np.sqrt(squared_turn(NEURONS, force)).ravel() for force in forces]
    return xr.Dataset(
        {
            "neuron_angle": (("kind", "neuron"), np.array([_angles(run).ravel() for run in runs]), {"units": "rad"}),
            "neuron_law": (("kind", "neuron"), np.array(law), {"units": "rad"}),
            "unit_law": ((), float(np.sqrt(squared_turn(NEURONS))), {"units": "rad"}),
        },
        coords={"kind": list(neuron_rotation.KINDS)},
    )
