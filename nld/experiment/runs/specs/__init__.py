"""The sweeps of fig-experiments as TOML files, one for each panel and profile, and what keeps their results small."""

import dataclasses
from pathlib import Path

import numpy as np
import xarray as xr

from nld.errors import InvalidInput
from nld.experiment.runs.spec import Sweep, load

FOLDER = Path(__file__).parent
POINTS = 21  # evaluations that a summary keeps of each run


def names() -> list[str]:
    """Names of all specs, such as "paper-momentum"."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def sweep(name: str, **base) -> Sweep:
    """The sweep of that name, with some fields of its base changed.

    Raises:
        ValueError: no such spec, or it is not a sweep.
    """
    if name not in names():
        raise InvalidInput(f"expected a spec among {', '.join(names())}, got {name!r}")
    found = load(FOLDER / f"{name}.toml")
    if not isinstance(found, Sweep):
        raise InvalidInput(f"expected {name}.toml to be a sweep: give it a table [vary]")
    return dataclasses.replace(found, base=found.base.replace(**base))


def summary(gathered: xr.Dataset, points: int = POINTS) -> xr.Dataset:
    """What a figure needs of gathered runs, small enough to commit: medians over the filters of each layer, few steps.

    Of batch losses only the evaluated steps are left; all values are single precision, attributes and coordinates stay.

    Args:
        gathered: as `nld.experiment.gather` gives it.
        points: evaluations that are kept, the first and the last among them.

    Returns:
        Dataset with the evaluated quantities (run, evaluation_step), ``squared_norm`` (run, evaluation_step, layer),
        ``diverged`` and ``last_step`` (run).
    """
    total = gathered.sizes["evaluation_step"]
    kept = np.unique(np.linspace(0, total - 1, min(points, total)).round().astype(int))
    small = gathered.isel(evaluation_step=kept).drop_dims("step")
    if gathered.sizes["filter"]:
        layers = list(dict.fromkeys(small["layer"].values))
        medians = small["squared_norm"].groupby("layer").median().sel(layer=layers)
        medians.attrs = {"units": "w²", "long_name": "median over a layer's filters of the squared norm"}
        small = small.drop_dims("filter").drop_vars("layer", errors="ignore")
        small["squared_norm"] = medians.transpose("run", "evaluation_step", "layer")
    single = {name: values.astype("float32") for name, values in small.data_vars.items() if values.dtype == "float64"}
    return small.assign({name: values.assign_attrs(small[name].attrs) for name, values in single.items()})
