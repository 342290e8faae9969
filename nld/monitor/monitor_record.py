"""Records: what a monitor wrote down, as an xarray.Dataset with units, saved as netCDF.

A record of format 2 and later says its number in its attributes; one that does not is of format 1. Older records stay
readable: nothing is demanded of them that came later, and their files lie as they did; see record_layout.
"""

import datetime
import json
import os
from collections.abc import Sequence
from pathlib import Path

import h5netcdf
import h5py
import numpy as np
import torch
import xarray as xr

from nld.errors import InvalidInput
from nld.finder.block import Block
from nld.finder.wrappers import unwrap
from nld.monitor.finished_steps import FinishedSteps
from nld.monitor.quantities import QUANTITIES
from nld.monitor.record_layout import packed, unpacked
from nld.monitor.significant_digits import with_digits
from nld.monitor.tracked_parameters import TrackedParameters

FORMAT = 6
PACKED = 4  # the first format whose files have no place for units that a block lacks
CHUNK, WIDTH = 64, 1024  # steps and units that are compressed together, at most
_FIRST = "nld monitor record 1"  # what records of format 1 say in place of a number
# What a record has beside QUANTITIES, and the first format that has it.
COORDINATES = dict.fromkeys(
    ("step", "block", "unit", "kind", "parameters", "reason", "note", "equilibrium", "units", "matrix_size"), 1
)
ATTRIBUTES = dict.fromkeys(("model", "optimizer", "precision", "hyperparameters"), 1)


def labels(blocks: Sequence[Block]) -> list[str]:
    """One distinct name a block."""
    names = [block.name for block in blocks]
    named = [f"{b.name} ({b.kind})" if names.count(b.name) > 1 else b.name for b in blocks]
    return [f"{name} #{named[:i].count(name) + 1}" if named.count(name) > 1 else name for i, name in enumerate(named)]


def dataset(finished: FinishedSteps, tracked: TrackedParameters, attributes: dict, unit_means: bool) -> xr.Dataset:
    """A record of finished steps, with ``attributes`` for its provenance.

    Args:
        unit_means: whether each block has one value, a mean over its units.
    """
    blocks, steps = tracked.blocks, finished.steps
    counts = [1 if unit_means else block.units for block in blocks]
    width = max(counts, default=0)
    where = [np.arange(count) + width * i for i, count in enumerate(counts)]
    columns = np.concatenate(where) if where else np.zeros(0, int)
    variables = {}
    for name, quantity in QUANTITIES.items():
        value = finished.values[name]
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
        "note": tracked.notes,
        "equilibrium": [form or "" for form in tracked.equilibrium],
    }
    coordinates: dict[str, tuple] = {name: ("block", np.array(value, dtype=object)) for name, value in text.items()}
    coordinates["units"] = ("block", np.array([block.units for block in blocks], dtype=np.int64))
    coordinates["matrix_size"] = ("block", np.array([block.size for block in blocks], dtype=np.int64))
    coordinates["step"] = ("step", np.asarray(steps, dtype=np.int64), {"units": "1", "long_name": "optimizer step n"})
    coordinates["unit"] = ("unit", np.arange(width, dtype=np.int64))
    return xr.Dataset(variables, coords=coordinates, attrs={"format": FORMAT, **attributes})


def provenance(model: torch.nn.Module, tracked: TrackedParameters) -> dict[str, str]:
    """Where a record comes from, as plain strings."""
    from nld import __version__

    groups = [
        {key: value for key, value in group.items() if key != "params"} | {"parameters": len(group["params"])}
        for optimizer in tracked.optimizers
        for group in optimizer.param_groups
    ]
    return {
        "nld_version": __version__,
        "torch_version": str(torch.__version__),
        "model": type(unwrap(model)[0]).__qualname__,
        "optimizer": " and ".join(dict.fromkeys(type(optimizer).__name__ for optimizer in tracked.optimizers)),
        "hyperparameters": json.dumps(groups, default=_plain),
        "device": ", ".join(sorted({str(products.device) for products in tracked.inner_products})),
        "precision": ", ".join(sorted({str(p.dtype).removeprefix("torch.") for p in tracked.parameters})),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def of_search(blocks: Sequence[Block]) -> dict[str, str]:
    """What ``find_symmetries`` said beside its blocks: the output that was taken, and the part of the gradient that
    epsilons make along some of them, in JSON by the blocks' labels."""
    said = {}
    if output := getattr(blocks, "output", ""):
        said["output"] = output
    if broken := getattr(blocks, "broken_by_epsilon", {}):
        named = zip(labels(blocks), blocks, strict=True)
        said["broken_by_epsilon"] = json.dumps({name: broken[block] for name, block in named if block in broken})
    return said


def _plain(value):
    return value.tolist() if isinstance(value, (torch.Tensor, np.ndarray)) else str(value)


def format_of(record: xr.Dataset) -> int | None:
    """The number of a record's format; None if it is none that this version of nld reads."""
    number = record.attrs.get("format", _FIRST)
    return 1 if number == _FIRST else int(number) if number in range(1, FORMAT + 1) else None


def lacking(record: xr.Dataset) -> str:
    """What a record lacks of what its format has, or another format, in words; empty if nothing."""
    number = format_of(record)
    if number is None:
        return f"format {str(record.attrs['format'])!r}, of which this version of nld does not know"
    since = {quantity.name: quantity.since for quantity in QUANTITIES.values()} | COORDINATES
    missing = [name for name, first in since.items() if first <= number and name not in record.variables]
    attributes = [name for name, first in ATTRIBUTES.items() if first <= number and name not in record.attrs]
    said = [f"no {', '.join(missing)}"] if missing else []
    said += [f"no attribute {', '.join(attributes)}"] if attributes else []
    if "hyperparameters" in record.attrs:
        try:
            groups = json.loads(str(record.attrs["hyperparameters"]))
        except ValueError:
            groups = None
        if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
            said.append("hyperparameters that are no list of parameter groups in JSON")
    return " and ".join(said)


def require(record: xr.Dataset) -> None:
    """See that a record in memory is whole.

    Raises:
        ValueError: it lacks something; the message says what.
    """
    if lacks := lacking(record):
        raise InvalidInput(
            f"expected a monitor's record, got a data set with {lacks}; give what monitor.record() returns"
        )


def save(record: xr.Dataset, path: str | os.PathLike, appended: bool = False, *, digits: int | None = None) -> Path:
    """Write a record as netCDF; the file appears whole or not at all.

    Numbers are compressed byte by byte, all first bytes together, then all second: of noise only the first ones repeat.

    Args:
        appended: whether more steps will be; the file then keeps account of the room that rewritten chunks leave.
        digits: significant digits to keep, or None for every bit. Three take less than half the room; see
            nld.monitor.significant_digits.

    Returns:
        The path.

    Raises:
        ValueError: ``digits`` is no number of digits.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    record = with_digits(record, digits)
    if (format_of(record) or 0) >= PACKED:
        record = packed(record)
    encoding: dict = {}
    steps = max(record.sizes["step"], 1)
    sizes = {"step": CHUNK if appended else -(-steps // -(-steps // CHUNK))}  # all chunks alike, none half empty
    for name, variable in record.data_vars.items():
        chunk = tuple(sizes.get(str(each), min(max(size, 1), WIDTH)) for each, size in variable.sizes.items())
        encoding[name] = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunk}
    room = {"fs_strategy": "fsm", "fs_persist": True} if appended else {}
    h5py.File(partial, "w", **room).close()
    grows = ["step"] if appended else []  # what has no such dimension is read three times as fast
    record.to_netcdf(partial, mode="a", engine="h5netcdf", encoding=encoding, unlimited_dims=grows)
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
            if not lacks:
                record = unpacked(record)
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


def append(record: xr.Dataset, path: str | os.PathLike, digits: int | None = None) -> None:
    """Add a record's steps to the end of a file, which is whole again when this returns.

    The first call creates the file. Nothing is kept in memory. Steps that an interrupted call has left in the file are
    written over.

    Args:
        digits: see ``save``.
    """
    path = Path(path)
    if not path.exists():
        save(record, path, appended=True, digits=digits)
        return
    record = packed(with_digits(record, digits))
    count = record.sizes["step"]
    with h5netcdf.File(path, "a") as file:
        file.attrs.update(record.attrs)
        size = file.dimensions["step"].size
        last = file.variables["step"][max(0, size - count) : size]
        begin = size - int((last >= record["step"].values[:1]).sum())
        try:
            file.resize_dimension("step", begin + count)
            for name in ("step", *record.data_vars):
                place = [slice(begin, begin + count) if each == "step" else slice(None) for each in record[name].dims]
                file.variables[name][tuple(place)] = record[name].values
        except BaseException:
            file.resize_dimension("step", begin)  # whole again, so that the same steps can be added later
            raise
