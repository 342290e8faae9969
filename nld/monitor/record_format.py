"""Formats of records: which variables came with which, and what a record lacks of what its format has.

A record of format 2 and later says its number in its attributes; one that does not is of format 1. Older records stay
readable: nothing is demanded of them that came later.
"""

import json

import xarray as xr

from nld.errors import InvalidInput
from nld.monitor.quantities import QUANTITIES

FORMAT = 2
_FIRST = "nld monitor record 1"  # what records of format 1 say in place of a number
# What a record has beside QUANTITIES, and the first format that has it.
COORDINATES = dict.fromkeys(
    ("step", "block", "unit", "kind", "parameters", "reason", "note", "equilibrium", "units", "matrix_size"), 1
)
ATTRIBUTES = dict.fromkeys(("model", "optimizer", "precision", "hyperparameters"), 1)


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
