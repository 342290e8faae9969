"""The description beside a figure's table: a tabular data package (v1 of specifications.frictionlessdata.io).

It says what each column holds, in which unit and of which type, and what a table cannot say: the sizes of dimensions,
the types and attributes of variables. From both together the data can be rebuilt exactly.
"""

import hashlib
import json
import re
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nld.figures.recording.long_table import Column, columns, in_rows_of_their_own, kind

FILE = "datapackage.json"
LICENSE = {
    "name": "CC-BY-4.0",
    "path": "https://creativecommons.org/licenses/by/4.0/",
    "title": "Creative Commons Attribution 4.0",
}


def describe(data: xr.Dataset, folder: Path, origin: dict) -> dict:
    """The description of ``data.csv`` and ``data.nc`` in a figure's folder.

    Args:
        data: what both hold.
        folder: where they lie.
        origin: figure, profile, parameters, source_hash, caption, alt and nld_version, as in its provenance.
    """
    own = in_rows_of_their_own(data)
    parameters = "".join(f", {name} = {value!r}" for name, value in origin["parameters"].items())
    source = f"nld {origin['nld_version']}, {origin['figure']} in the {origin['profile']} profile{parameters}, "
    table = {
        "profile": "tabular-data-resource",
        "name": "data",
        **_file(folder / "data.csv"),
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "dialect": {"delimiter": ",", "lineTerminator": "\n", "quoteChar": '"', "doubleQuote": True, "header": True},
        "schema": {"fields": _fields(data, own), "missingValues": [""]},
    }
    held = {name: [_variable(n, v) for n, v in getattr(data, name).items()] for name in ("data_vars", "coords")}
    return {
        "profile": "tabular-data-package",
        "name": origin["figure"],
        "title": title(origin["caption"]),
        "description": origin["alt"],
        "version": origin["nld_version"],
        "licenses": [LICENSE],
        "sources": [{"title": f"{source}sources {origin['source_hash']}", "path": "provenance.json"}],
        "resources": [table],
        "netcdf": _file(folder / "data.nc"),
        "attributes": {str(name): _plain(value) for name, value in data.attrs.items()},
        "dimensions": [{"name": str(name), "size": size} for name, size in data.sizes.items()],
        "variables": held["data_vars"],
        "coordinates": [{**each, "rows": each["name"] in own} for each in held["coords"]],
    }


def write(data: xr.Dataset, folder: Path, origin: dict) -> None:
    """Write the description into the figure's folder, in which the data lie."""
    text = json.dumps(describe(data, folder, origin), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / FILE).write_text(text + "\n", "utf-8")


def exported_name(figure: str, file: str) -> str:
    """What a figure's file is called outside its folder: "figure-dark.svg" of fig-1 is "fig-1-dark.svg"."""
    ending = re.sub(r"^(figure|data)(?=[.-])", "", file)
    return f"{figure}{'' if ending != file else '.'}{ending}"


def exported(text: str) -> str:
    """A description that names the figure's files as they are called outside its folder."""
    described = json.loads(text)
    for each in (*described["resources"], *described["sources"], described["netcdf"]):
        each["path"] = exported_name(described["name"], each["path"])
    return json.dumps(described, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def title(caption: str) -> str:
    """The first sentence of a caption, without marks of emphasis."""
    return caption.split(". ")[0].replace("*", "")


def _fields(data: xr.Dataset, own: list[str]) -> list[dict]:
    names = [*map(str, data.data_vars), *own]
    constraints = {"required": True, **({"enum": names} if names else {})}
    text = "what the value is of: see variables and coordinates"
    variable = {"name": "variable", "type": "string", "description": text, "constraints": constraints}
    unit = {"name": "unit", "type": "string", "description": "unit of the value: w weight, l loss, 1 a pure number"}
    value = {"name": "value", "type": _common([data[n].values for n in names]), "description": "in the row's unit"}
    return [variable, unit, *(_field(data, column) for column in columns(data)), value]


def _field(data: xr.Dataset, column: Column) -> dict:
    along = ", ".join(column.dims)
    if column.role == "index":
        text = f"position along {along}, counted from 0: the data give this dimension no coordinate"
        return {"name": column.name, "type": "integer", "description": text, "role": column.role, **_of(column)}
    held = data[column.source]
    text = f"coordinate of dimension {along}" if column.role == "dimension" else f"coordinate along {along}"
    text = text if column.dims else "one value for all rows"
    text = f"{held.attrs['long_name']}; {text}" if "long_name" in held.attrs else text
    field = {"name": column.name, "type": kind(column.source, held.values), "description": text}
    units = {"unit": str(held.attrs["units"])} if "units" in held.attrs else {}
    return {**field, **units, "role": column.role, **_of(column)}


def _of(column: Column) -> dict:
    return {"of": column.source, "dimensions": list(column.dims)}


def _variable(name, variable: xr.DataArray) -> dict:
    attributes = {str(key): _plain(value) for key, value in variable.attrs.items()}
    dimensions, text = list(map(str, variable.dims)), variable.dtype.str
    return {"name": str(name), "dimensions": dimensions, "dtype": text, "attributes": attributes}


def _common(values: list[np.ndarray]) -> str:
    """One type for the values of all variables."""
    found = {kind("data", each) for each in values}
    if len(found) == 1:
        return found.pop()
    return "number" if found == {"integer", "number"} else "any"


def _file(path: Path) -> dict:
    content = path.read_bytes()
    return {"path": path.name, "bytes": len(content), "hash": f"sha256:{hashlib.sha256(content).hexdigest()}"}


def _plain(value) -> Any:
    """An attribute as JSON has it; JSON has no number that is not finite."""
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return {"number": str(value)} if isinstance(value, float) and not isfinite(value) else value
