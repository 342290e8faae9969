"""Records: what a monitor wrote down, as an xarray.Dataset with units, saved as netCDF."""

import os
from collections.abc import Sequence
from pathlib import Path

import h5netcdf
import numpy as np
import xarray as xr

from nld.errors import InvalidInput
from nld.finder.block import Block
from nld.monitor.audit import lacking

FORMAT = "nld monitor record 1"

# name: (dimensions beyond step, units, what it is). w is the unit of weights, l of the loss.
VARIABLES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "charge": (("block", "unit"), "l (translation: l/w)", "Noether charge <pi_{n+1}, A(q_n)>"),
    "dissipation": (("block", "unit"), "l (translation: l/w)", "(beta - 1) <pi_n, A(q_{n-1})>"),
    "kinetic_symmetry_breaking": (("block", "unit"), "l (translation: l/w)", "beta <pi_n, DA (q_n - q_{n-1})>"),
    "weight_decay_term": (("block", "unit"), "l (translation: l/w)", "c k <q_n, A(q_n)>, coupled decay only"),
    "residual": (("block", "unit"), "l (translation: l/w)", "charge minus its prediction"),
    "relative_residual": (
        ("block", "unit"),
        "1",
        "|residual| / (|pi_{n+1}| |A(q_n)|); of one-entry units with a typical |pi|",
    ),
    "violation": (("block", "unit"), "1", "|<g_n, A(q_n)>| / (|g_n| |A(q_n)|)"),
    "squared_norm": (("block", "unit"), "w^2", "|q_n|^2"),
    "squared_step": (("block", "unit"), "w^2", "|q_{n+1} - q_n|^2"),
    "squared_gradient": (("block", "unit"), "l^2/w^2", "|g_n|^2"),
    "angular_step": (("block", "unit"), "rad", "angle between q_n and q_{n+1}"),
    "effective_learning_rate": (("block", "unit"), "1/l", "eta / |q_n|^2"),
    "gradient_autocorrelation": (
        ("block", "unit"),
        "1",
        "chi: (1 - beta^2) mean |pi|^2 / (c^2 mean |g|^2) over the last 5/(1 - beta) steps",
    ),
    "learning_rate": (("block",), "w^2/l", "eta of the block's first member"),
    "momentum": (("block",), "1", "beta of the block's first member"),
    "coefficient": (("block",), "1", "c of the block's first member"),
    "weight_decay": (("block",), "l/w^2 (decoupled: as learning_rate^-1)", "k of the block's first member"),
}


def labels(blocks: Sequence[Block]) -> list[str]:
    """One distinct name a block."""
    names = [block.name for block in blocks]
    named = [f"{b.name} ({b.kind})" if names.count(b.name) > 1 else b.name for b in blocks]
    return [f"{name} #{named[:i].count(name) + 1}" if named.count(name) > 1 else name for i, name in enumerate(named)]


def dataset(
    steps: np.ndarray,
    values: dict[str, np.ndarray],
    blocks: Sequence[Block],
    notes: Sequence[str],
    equilibrium: Sequence[str],
    attributes: dict,
    unit_means: bool = False,
) -> xr.Dataset:
    """A record of the given steps.

    Args:
        steps: (steps,) numbers of the optimizer's steps, counted from 0.
        values: for each of VARIABLES either (steps, blocks) or (steps, all units), the units of
            all blocks one after the other.
        notes: a remark on each block, empty if there is nothing to say.
        equilibrium: which closed form of the stationary angular step applies to each block; see adapters.Adapter.
        attributes: provenance.
        unit_means: whether each block has one value, a mean over its units.
    """
    counts = [1 if unit_means else block.units for block in blocks]
    width = max(counts, default=0)
    where = [np.arange(count) + width * i for i, count in enumerate(counts)]
    columns = np.concatenate(where) if where else np.zeros(0, int)
    variables = {}
    for name, (dimensions, units, meaning) in VARIABLES.items():
        value = values[name]
        if "unit" in dimensions:
            padded = np.full((len(steps), len(blocks) * width), np.nan, dtype=value.dtype)
            padded[:, columns] = value
            value = padded.reshape(len(steps), len(blocks), width)
        variables[name] = (("step", *dimensions), value, {"units": units, "long_name": meaning})
    text = {
        "block": labels(blocks),
        "kind": [block.kind for block in blocks],
        "parameters": [", ".join(block.parameters) for block in blocks],
        "reason": [block.reason for block in blocks],
        "note": list(notes),
        "equilibrium": list(equilibrium),
    }
    coordinates: dict[str, tuple] = {name: ("block", np.array(value, dtype=object)) for name, value in text.items()}
    coordinates["units"] = ("block", np.array([block.units for block in blocks], dtype=np.int64))
    coordinates["matrix_size"] = ("block", np.array([block.size for block in blocks], dtype=np.int64))
    coordinates["step"] = ("step", np.asarray(steps, dtype=np.int64), {"units": "1", "long_name": "optimizer step n"})
    coordinates["unit"] = ("unit", np.arange(width, dtype=np.int64))
    return xr.Dataset(variables, coords=coordinates, attrs={"format": FORMAT, **attributes})


def save(record: xr.Dataset, path: str | os.PathLike) -> Path:
    """Write a record as netCDF; the file appears whole or not at all.

    Returns:
        The path.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    encoding = {name: {"zlib": True, "complevel": 1} for name in record.data_vars}
    record.to_netcdf(partial, engine="h5netcdf", encoding=encoding, unlimited_dims=["step"])
    os.replace(partial, path)
    return path


def load(path: str | os.PathLike, lazy: bool = False) -> xr.Dataset:
    """Read a record that ``save`` or a streaming monitor wrote.

    Args:
        lazy: leave the values on disk until they are needed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or is no record of a monitor.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"expected a monitor's record at {path}, got {'a folder' if path.is_dir() else 'nothing there'}; "
            "write one with nld.monitor.save"
        )
    try:
        record = xr.open_dataset(path, engine="h5netcdf")
        if record.attrs.get("format") != FORMAT:
            record.close()
            raise _Foreign(f"format {record.attrs.get('format')!r}")
        if lacks := lacking(record, list(VARIABLES)):
            raise _Foreign(f"one with {lacks}")
        return record if lazy else record.load()
    except _Foreign as error:
        raise InvalidInput(
            f"expected a record of format {FORMAT!r} in {path}, got {error}; give a file written by nld.monitor.save, "
            "or write it again: nld.monitor.save(monitor.record(), path)"
        ) from None
    except Exception as error:
        raise InvalidInput(
            f"expected a whole netCDF record in {path}, got one that cannot be read ({type(error).__name__}: {error}); "
            "it is truncated, still being copied, or not netCDF: write or copy it again"
        ) from error
    finally:
        if "record" in locals() and not lazy:
            record.close()


class _Foreign(Exception):
    """A readable file that is no record."""


def require(record: xr.Dataset) -> None:
    """See that a record in memory is whole.

    Raises:
        ValueError: it lacks something; the message says what.
    """
    if lacks := lacking(record, list(VARIABLES)):
        raise InvalidInput(
            f"expected a monitor's record, got a data set with {lacks}; give what monitor.record() returns"
        )


def append(record: xr.Dataset, path: str | os.PathLike) -> None:
    """Add a record's steps to the end of a file, which is whole again when this returns.

    The first call creates the file. Nothing is kept in memory. Steps that an interrupted call has left in the file are
    written over.
    """
    path = Path(path)
    if not path.exists():
        save(record, path)
        return
    count = record.sizes["step"]
    with h5netcdf.File(path, "a") as file:
        size = file.dimensions["step"].size
        last = file.variables["step"][max(0, size - count) : size]
        begin = size - int((last >= record["step"].values[:1]).sum())
        try:
            file.resize_dimension("step", begin + count)
            for name in ("step", *record.data_vars):
                file.variables[name][begin : begin + count] = record[name].values
        except BaseException:
            file.resize_dimension("step", begin)  # whole again, so that the same steps can be added later
            raise
