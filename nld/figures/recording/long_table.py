"""The data of a figure as one table in long form, a row for each value, from which they can be rebuilt exactly.

Each row says which variable it is of, in which unit, where along each dimension, the value of every coordinate there,
and the value. What a table cannot say, the order and size of dimensions and all attributes, is in the description
beside it (`nld.figures.recording.data_package`).
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite, isnan

import numpy as np
import xarray as xr

from nld.errors import InvalidInput

FIRST, LAST = ("variable", "unit"), ("value",)  # columns that every table has
TYPES = {"b": "boolean", "i": "integer", "u": "integer", "f": "number", "U": "string", "O": "string"}


@dataclass(frozen=True)
class Column:
    """One column between unit and value.

    Args:
        name: in the table's first line.
        source: the dimension or coordinate.
        dims: dimensions that its values depend on; it is empty in the rows of variables without one of them.
        role: "dimension" for its labels, "index" for positions along one without labels, or "coordinate".
    """

    name: str
    source: str
    dims: tuple[str, ...]
    role: str


def columns(data: xr.Dataset) -> list[Column]:
    """A column for each dimension, then one for each further coordinate.

    A coordinate may be called as one of the columns that every table has: then it is "coordinate_" and its name.
    """
    found: list[Column] = []
    sources = [*map(str, data.dims), *(str(name) for name in data.coords if name not in data.dims)]
    taken = {*FIRST, *LAST}
    free = set(sources) - taken
    for source in sources:
        name = source
        while name in taken or (name != source and name in free):
            name = f"coordinate_{name}"
        taken.add(name)
        if source not in data.coords:
            found.append(Column(name, source, (source,), "index"))
        else:
            role = "dimension" if source in data.dims else "coordinate"
            found.append(Column(name, source, tuple(map(str, data[source].dims)), role))
    return found


def in_rows_of_their_own(data: xr.Dataset) -> list[str]:
    """Coordinates that depend on dimensions no variable has together, so that no variable's rows can carry them."""
    carriers = [set(variable.dims) for variable in data.data_vars.values() if variable.size]
    return [
        str(name)
        for name, coordinate in data.coords.items()
        if coordinate.size and not any(set(coordinate.dims) <= dims for dims in carriers)
    ]


def long_table(data: xr.Dataset) -> str:
    """The data as CSV.

    Raises:
        ValueError: there are values that are no numbers, truth values or texts, or a text that would end its line.
    """
    between = columns(data)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([*FIRST, *(column.name for column in between), *LAST])
    for name in [*map(str, data.data_vars), *in_rows_of_their_own(data)]:
        variable = data[name].variable
        unit = str(variable.attrs.get("units", ""))
        cells = [list(_cells(data, column, variable)) for column in between]
        values = _words(name, variable.values)
        writer.writerows([name, unit, *row] for row in zip(*cells, values, strict=True))
    return table.getvalue()


def kind(name: str, values: np.ndarray) -> str:
    """The type of values in the words of a table schema.

    Raises:
        ValueError: they have none.
    """
    found = TYPES.get(values.dtype.kind)
    if found is None or (values.dtype.kind == "O" and not all(isinstance(value, str) for value in values.ravel())):
        raise InvalidInput(f"expected numbers, truth values or texts in {name}, got {values.dtype}: convert them")
    return found


def _cells(data: xr.Dataset, column: Column, variable: xr.Variable) -> Iterator[str]:
    """The entries of a column in a variable's rows."""
    if not set(column.dims) <= set(variable.dims):
        yield from [""] * variable.size
        return
    if column.role == "index":
        labels = xr.Variable(column.dims, np.arange(data.sizes[column.source]))
    else:
        labels = data[column.source].variable.to_base_variable()
    spread = labels.set_dims({str(d): s for d, s in variable.sizes.items()})
    yield from _words(column.source, spread.values)


def _words(name: str, values: np.ndarray) -> Iterator[str]:
    """Values as texts that give the same values back; numbers that are not finite as a table schema spells them."""
    of = kind(name, values)
    for value in values.ravel().tolist():
        if of == "number" and not isfinite(value):
            yield "NaN" if isnan(value) else "INF" if value > 0 else "-INF"
        elif of == "boolean":
            yield "true" if value else "false"
        elif of == "string" and ("\r" in value or "\0" in value):
            raise InvalidInput(f"expected texts in {name} without carriage returns and null characters, got {value!r}")
        else:
            yield str(value)
