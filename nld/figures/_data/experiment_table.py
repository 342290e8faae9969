"""The runs of fig-experiments as one table along ``run``, whatever the scale, and what is read from it."""

from typing import NamedTuple

import numpy as np
import xarray as xr

from nld.experiment import Sweep
from nld.experiment.runs import specs
from nld.results import stored_results
from nld.results.places import ROOTS

SCALES = ("quick", "photographs", "paper")  # where sweeps run: here; elsewhere, on a laptop or on a GPU
# What `nld sweep gather --summary` wrote, below the repository or, in a wheel, below the package.
RESULTS = {"photographs": "results/photographs/*.nc", "paper": "results/paper/*.nc"}
EVALUATED = ("test_accuracy", "test_loss", "train_loss")
VALIDATED = ("validation_accuracy", "validation_loss")  # where images were held out
MODES = ("unconstrained", "constrained")  # norms of filters free, and held at their initial values
CHANCE = {"digits": 1 / 10, "tiny-imagenet": 1 / 200, "tiny-imagenet-20": 1 / 20}


class Panel(NamedTuple):
    """What varies in a panel: the spec's name, the field, its symbol with unit, and its words."""

    spec: str
    field: str
    label: str
    words: str


PANELS = {
    "A": Panel("learning-rate", "learning_rate", "learning rate $\\eta$ [w²/ℓ]", "learning rate"),
    "B": Panel("momentum", "momentum", "momentum $\\beta$", "momentum"),
    "C": Panel("weight-decay", "weight_decay", "weight decay $k$ [ℓ/w²]", "weight decay"),
}


def quick_sweep(panel: str, seed: int = 0, learning_rate: float = 1.0, label_noise: float = 0.0) -> Sweep:
    """The sweep of a panel in the quick profile; `learning_rate` is that of B and C."""
    sweep = specs.sweep(f"quick-{PANELS[panel].spec}", label_noise=label_noise, learning_rate=learning_rate)
    seeds = tuple(seed + s for s in sweep.vary["seed"])
    return Sweep(name=sweep.name, base=sweep.base, vary={**sweep.vary, "seed": seeds})


def gathered(scale: str) -> tuple[list[xr.Dataset], str]:
    """The gathered results of a scale that exist, a table and its hours for each panel, and their origin in words."""
    there = {path.stem: path for root in ROOTS for path in stored_results.matching(root, RESULTS[scale])}
    tables, words = [], ""
    for panel, (spec, *_) in PANELS.items():
        if f"{scale}-{spec}" in there:
            runs = xr.load_dataset(there[f"{scale}-{spec}"], engine="h5netcdf")
            tables.append(table(runs, panel, scale).assign_attrs(hours=runs.attrs["run_seconds"] / 3600))
            words = origin(runs)
    return tables, words


def joined(tables: list[xr.Dataset]) -> xr.Dataset:
    """All runs of several tables; those with fewer evaluations are filled up with NaN."""
    if not tables:
        return xr.Dataset(coords={"panel": ("run", np.array([], dtype=object))})
    widest = max(each.sizes["point"] for each in tables)
    padded = [each.pad(point=(0, widest - each.sizes["point"])) for each in tables]
    runs = xr.concat(padded, "run", combine_attrs="drop")
    return runs.drop_vars([name for name in VALIDATED if not np.isfinite(runs[name]).any()])


def commands(scale: str) -> str:
    """How to run and gather the sweeps of a scale, as MyST text."""
    names = ", ".join(f"{scale}-{panel.spec}" for panel in PANELS.values())
    return (
        f"`nld data fetch tiny-imagenet`, then for each NAME of {names}: `nld sweep run "
        "nld/experiment/runs/specs/NAME.toml --executor pool` and `nld sweep gather "
        f"nld/experiment/runs/specs/NAME.toml --summary --output results/{scale}/NAME.nc`"
    )


def table(gathered: xr.Dataset, panel: str, scale: str) -> xr.Dataset:
    """Runs of one sweep in the form that all share: (run, point)."""
    runs, steps = gathered.sizes["run"], gathered["evaluation_step"].values
    units = {name: gathered[name].attrs for name in EVALUATED}
    columns = {name: gathered[name].values.astype(float) for name in EVALUATED}
    for name in VALIDATED:
        held = name in gathered
        units[name] = {"units": "ℓ" if name.endswith("loss") else "1"}
        columns[name] = gathered[name].values.astype(float) if held else np.full((runs, len(steps)), np.nan)
    growth = {"units": "1", "long_name": "of squared norms, median over filters"}
    seeds = gathered["seed"].values if "seed" in gathered.coords else np.full(runs, gathered.attrs["seed"])
    return xr.Dataset(
        {name: (("run", "point"), column, units[name]) for name, column in columns.items()}
        | {
            "step": (("run", "point"), np.tile(steps.astype(float), (runs, 1)), {"units": "1"}),
            "norm_growth": ("run", _growth(gathered), growth),
            "diverged": ("run", gathered["diverged"].values.astype(int), {"long_name": "whether the loss left bounds"}),
        },
        coords={
            "panel": ("run", np.full(runs, panel, dtype=object)),
            "scale": ("run", np.full(runs, scale, dtype=object)),
            "value": ("run", gathered[PANELS[panel].field].values),
            "constrained": ("run", gathered["constrained"].values.astype(int)),
            "seed": ("run", seeds),
            "chance": ("run", np.full(runs, CHANCE[gathered.attrs["dataset"]])),
        },
    )


def _growth(gathered: xr.Dataset) -> np.ndarray:
    """Last squared norm over the first, of the median filter or, in a summary, of the median layer (run)."""
    squared = gathered["squared_norm"].transpose("run", "evaluation_step", ...).values
    return np.median(squared[:, -1] / squared[:, 0], axis=-1)


def origin(gathered: xr.Dataset) -> str:
    """What was trained on what, where, by which version: a phrase for the caption."""
    held = gathered.attrs
    noise = f", {100 * held['label_noise']:.0f} % wrong labels" if held["label_noise"] else ""
    width = "" if held["width"] == 1 else f" of width {held['width']:g}"
    size = "" if held["train_size"] == "None" else f"{held['train_size']} training images of "
    stale = ", computed by an earlier version of the code" if held["stale_runs"] else ""
    network = held["network"].replace("_", " ")
    return (
        f"{network}{width} on {size}{held['dataset']}{noise}, batches of {held['batch_size']}, {held['steps']} steps, "
        f"{held['run_device']}, nld {held['run_nld_version']}, torch {held['run_torch']}{stale}"
    )


def scales(data: xr.Dataset) -> list[str]:
    """The scales that the data hold, quick first."""
    return [scale for scale in SCALES if "scale" in data.coords and (data["scale"] == scale).any()]


def results(data: xr.Dataset, panel: str, quantity: str, scale: str, point: int | None = -1) -> xr.DataArray:
    """A quantity of one panel as (constrained, value, seed[, point]); at the end of training unless `point` is None.

    A diverged run ends as one that guesses: at chance, with the loss of equal probabilities.
    """
    runs = data.isel(run=np.flatnonzero((data["panel"] == panel) & (data["scale"] == scale)))
    runs = runs.isel(point=np.flatnonzero(np.isfinite(runs["step"].values).any(0)))
    values = runs[quantity]
    if point is not None:
        end = runs["chance"] if quantity.endswith("accuracy") else -np.log(runs["chance"])
        values = values.isel(point=point).where(runs["diverged"] == 0, end)
    index = values.reset_coords(drop=True).assign_coords({n: runs[n] for n in ("constrained", "value", "seed")})
    grid = index.set_index(run=["constrained", "value", "seed"]).unstack("run")
    return grid.transpose("constrained", "value", "seed", ...)


def final_accuracies(data: xr.Dataset, panel: str, scale: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of a panel; final accuracy of each run, and whether it diverged: (constrained, value, seed)."""
    ends = results(data, panel, "test_accuracy", scale)
    diverged = results(data, panel, "diverged", scale, point=None).values.astype(bool)
    return ends["value"].values, ends.values, diverged


def advantage(data: xr.Dataset, panel: str, quantity: str, scale: str) -> xr.DataArray:
    """Unconstrained minus constrained at the end, seed by seed: (value, seed)."""
    ends = results(data, panel, quantity, scale)
    return ends.sel(constrained=0) - ends.sel(constrained=1)


def selected(data: xr.Dataset, scale: str) -> dict[str, float]:
    """The large learning rate of A and the weight decay of C that the images held out for validation choose.

    A: the largest mean lead in accuracy of the free norms, above the smallest rate. C: the smallest mean loss with free
    norms, among positive decays. Where no images were held out, the largest values: nothing is selected.
    """
    rates, decays = (results(data, panel, "test_loss", scale)["value"].values for panel in ("A", "C"))
    if VALIDATED[0] not in data or not np.isfinite(results(data, "A", VALIDATED[0], scale)).all():
        return {"A": float(rates[-1]), "C": float(decays[-1])}
    accuracy = results(data, "A", VALIDATED[0], scale)
    lead = (accuracy.sel(constrained=0) - accuracy.sel(constrained=1)).mean("seed").values
    loss = results(data, "C", "validation_loss", scale).sel(constrained=0).mean("seed").values
    positive = decays > 0
    return {"A": float(rates[1 + int(lead[1:].argmax())]), "C": float(decays[positive][int(loss[positive].argmin())])}


def decisive(data: xr.Dataset, panel: str, scale: str) -> float:
    """The value of a panel that its picture and caption dwell on: B, momentum 0.9; A and C, the selected one."""
    return 0.9 if panel == "B" else selected(data, scale)[panel]
