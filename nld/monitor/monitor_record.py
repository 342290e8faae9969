"""Records: what a monitor wrote down, as an xarray.Dataset with units, saved as netCDF."""

import os
from collections.abc import Sequence
from pathlib import Path

import h5netcdf
import numpy as np
import xarray as xr

from nld.errors import InvalidInput
from nld.finder.block import Block
from nld.monitor.quantities import QUANTITIES
from nld.monitor.record_format import FORMAT, lacking


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
        values: for each of nld.monitor.quantities.QUANTITIES either (steps, blocks) or (steps, all units), the units of
            all blocks one after the other.
        notes: a remark on each block, empty if there is nothing to say.
        equilibrium: which closed form of the stationary angular step applies to each block; see optimizers.Adapter.
        attributes: provenance.
        unit_means: whether each block has one value, a mean over its units.
    """
    counts = [1 if unit_means else block.units for block in blocks]
    width = max(counts, default=0)
    where = [np.arange(count) + width * i for i, count in enumerate(counts)]
    columns = np.concatenate(where) if where else np.zeros(0, int)
    variables = {}
    for name, quantity in QUANTITIES.items():
        value = values[name]
        if "unit" in quantity.dimensions:
            padded = np.full((len(steps), len(blocks) * width), np.nan, dtype=value.dtype)
            padded[:, columns] = value
            value = padded.reshape(len(steps), len(blocks), width)
        described = {"units": quantity.units, "long_name": quantity.long_name}
        variables[name] = (("step", *quantity.dimensions), value, described)
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
        try:
            lacks = lacking(record)
            if not lazy and not lacks:
                record.load()
        finally:
            if not lazy:
                record.close()
    except Exception as error:
        raise InvalidInput(
            f"expected a whole netCDF record in {path}, got one that cannot be read ({type(error).__name__}: {error}); "
            "it is truncated, still being copied, or not netCDF: write or copy it again"
        ) from error
    if lacks:
        record.close()
        raise InvalidInput(
            f"expected a record of format {FORMAT} or older in {path}, got one with {lacks}; give a file written by "
            "nld.monitor.save, or write it again: nld.monitor.save(monitor.record(), path)"
        )
    return record


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
