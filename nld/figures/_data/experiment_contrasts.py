"""What rules on the paper's findings A, B and C: judging seeds at few settings, and the contrasts between them.

A setting is named by its panel and its value, such as ("B", 0.9). Values that were selected, the large learning rate of
A and the weight decay of C, were chosen on validation images with other seeds; test images and judging seeds rule.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import xarray as xr

from nld.experiment import run_sweep
from nld.experiment.runs import specs
from nld.experiment.runs.ensemble import needs_plain_loop
from nld.experiment.runs.spec import Experiment
from nld.figures._data.experiment_table import CHANCE, MODES, PANELS, results
from nld.figures._render.text import number
from nld.inference import Evidence
from nld.inference.registration import registered_for

CLAIMS = {"A": "finite-learning-rate", "B": "momentum-advantage", "C": "weight-decay-helps"}


Quantities = Callable[[xr.Dataset], Mapping[str, np.ndarray]]


def settings(chosen: dict[str, float], scale: str = "quick") -> list[tuple[str, float]]:
    """What is judged: the smallest and the chosen rate, every momentum, no weight decay and the chosen one."""
    rates, momenta = (specs.sweep(f"{scale}-{spec}").vary[field] for spec, field, *_ in (PANELS["A"], PANELS["B"]))
    return [("A", rates[0]), ("A", chosen["A"]), *(("B", m) for m in momenta), ("C", 0.0), ("C", chosen["C"])]


def run(
    seeds: Sequence[int], chosen: dict[str, float], scale: str = "quick", more: Quantities | None = None, **base
) -> xr.Dataset:
    """Final test accuracy and loss of every setting, free and held, (judging_seed, setting, constrained).

    A run that diverged counts as one that guesses.

    Args:
        more: further quantities of gathered runs by name, each (run), which are kept beside the two.
        base: learning rate of B and C, and label noise.
    """
    places = settings(chosen, scale)
    grid = [(seed, *place, held) for seed in seeds for place in places for held in (False, True)]
    runs = [_experiment(scale, *each, **base) for each in grid]
    distinct = list(dict.fromkeys(runs))
    # An ensemble keeps its core busy by itself; runs of the plain loop go one to a core.
    gathered = run_sweep(distinct, executor="pool" if any(map(needs_plain_loop, distinct)) else "ensemble")
    at = [distinct.index(each) for each in runs]
    chance, end = CHANCE[runs[0].dataset], gathered.isel(evaluation_step=-1)
    diverged = gathered["diverged"].values
    shape = (len(seeds), len(places), len(MODES))
    accuracy = np.where(diverged, chance, end["test_accuracy"].values)[at].reshape(shape)
    loss = np.where(diverged, -np.log(chance), end["test_loss"].values)[at].reshape(shape)
    judged = _judged(accuracy, loss, [setting_name(*place) for place in places], {"judging_seed": list(seeds)})
    extra = more(gathered) if more else {}
    return judged.assign({name: (judged["judged_loss"].dims, v[at].reshape(shape)) for name, v in extra.items()})


def _judged(accuracy: np.ndarray, loss: np.ndarray, names: list[str], coords: dict) -> xr.Dataset:
    dims = ("judging_seed", "setting", "constrained_norm")
    return xr.Dataset(
        {"judged_accuracy": (dims, accuracy, {"units": "1"}), "judged_loss": (dims, loss, {"units": "ℓ"})},
        coords={**coords, "setting": names, "constrained_norm": list(MODES)},
    )


def from_table(data: xr.Dataset, scale: str, chosen: dict[str, float]) -> xr.Dataset:
    """The same numbers from runs that were gathered elsewhere, in the order of their seeds."""
    rows: dict[str, list] = {"test_accuracy": [], "test_loss": []}
    names = []
    for panel in PANELS:
        grids = {quantity: results(data, panel, quantity, scale) for quantity in rows}
        values = [float(v) for v in grids["test_loss"]["value"].values]
        for value in values if panel == "B" else (values[0], chosen[panel]):
            names.append(setting_name(panel, value))
            for quantity, grid in grids.items():
                rows[quantity].append(grid.sel(value=value).transpose("seed", "constrained").values)
    return _judged(np.stack(rows["test_accuracy"], 1), np.stack(rows["test_loss"], 1), names, {})


def setting_name(panel: str, value: float) -> str:
    """Such as "B 0.9"."""
    return f"{panel} {value:g}"


def _experiment(scale: str, seed: int, panel: str, value: float, held: bool, **base) -> Experiment:
    fields = {"seed": int(seed), "constrained": held, PANELS[panel].field: value}
    return specs.sweep(f"{scale}-{PANELS[panel].spec}", **base).base.replace(**fields)


def lead(data: xr.Dataset, setting: str, quantity: str = "judged_accuracy") -> np.ndarray:
    """Free minus held, seed by seed; accuracies in percentage points."""
    values = data[quantity].sel(setting=setting).values
    return (values[:, 0] - values[:, 1]) * (100 if quantity == "judged_accuracy" else 1)


def evidence(data: xr.Dataset, suffix: str = "") -> list[Evidence]:
    """What the judged settings say of A, B and C.

    Args:
        data: with judged_accuracy and judged_loss, (judging_seed, setting, constrained_norm).
        suffix: of the registered claims, such as "@photographs".
    """
    names = [str(name) for name in data["setting"].values]
    panels = {panel: [name for name in names if name[0] == panel] for panel in PANELS}
    return [rates(data, panels["A"], suffix), momenta(data, panels["B"], suffix), decay(data, panels["C"], suffix)]


def rates(data: xr.Dataset, names: list[str], suffix: str = "") -> Evidence:
    """A: agreement at the smallest rate, a lead at the large one."""
    low, high = names
    loss = data["judged_loss"].sel(setting=low).values
    samples = {
        "agreement in accuracy": lead(data, low),
        "agreement in loss": np.log(loss[:, 0] / loss[:, 1]),
        "lead at the large rate": lead(data, high),
    }
    end = data["judged_accuracy"].sel(setting=high).mean("judging_seed").values
    numbers = (
        f"At learning rate {low[2:]} free and held norms differ by {number(lead(data, low).mean(), '.2f')} points of "
        f"accuracy and by {number(100 * samples['agreement in loss'].mean(), '.1f')} % in loss; at {high[2:]} they "
        f"reach {100 * end[0]:.1f} and {100 * end[1]:.1f} %."
    )
    return Evidence(CLAIMS["A"] + suffix, numbers, samples)


def momenta(data: xr.Dataset, names: list[str], suffix: str = "") -> Evidence:
    """B: the lead grows from every momentum to the next."""
    leads = {name: lead(data, name) for name in names}
    samples = {f"from {one[2:]} to {two[2:]}": leads[two] - leads[one] for one, two in pairwise(names)}
    listed = ", ".join(f"{number(values.mean(), '.2f')} at {name[2:]}" for name, values in leads.items())
    return Evidence(CLAIMS["B"] + suffix, f"Lead of free norms in points of accuracy, by momentum: {listed}.", samples)


def decay(data: xr.Dataset, names: list[str], suffix: str = "") -> Evidence:
    """C: weight decay improves accuracy and loss with free norms, and more than with held ones."""
    without, with_decay = (data["judged_accuracy"].sel(setting=name).values for name in names)
    gains = 100 * (with_decay - without)
    loss = [data["judged_loss"].sel(setting=name).values[:, 0] for name in names]
    samples = {
        "accuracy, free norms": gains[:, 0],
        "loss, free norms": np.log(loss[0] / loss[1]),
        "more than with held norms": gains[:, 0] - gains[:, 1],
    }
    free, held = (number(gains[:, mode].mean(), ".2f") for mode in (0, 1))
    numbers = (
        f"Weight decay {names[1][2:]} against none adds {free} points of accuracy with free norms and {held} with held "
        f"ones; with free norms it divides the loss by {float(np.exp(samples['loss, free norms'].mean())):.3g}."
    )
    return Evidence(CLAIMS["C"] + suffix, numbers, samples)


def registered_values(scale: str = "digits") -> dict[str, float]:
    """The values that the registered selection gave, by panel."""
    return {panel: registered_for(CLAIMS[panel], scale).selected for panel in ("A", "C")}
