"""How a record lies in a file: the units of all blocks side by side, with no place for units that a block lacks.

In memory each block has as many places as the largest, and those beyond its own are NaN. In a file the last two
dimensions are one, ``entry``. It is the first: the steps of a unit lie side by side, of which neighbours are more alike
than units are, and what is alike takes less room once compressed. In files of formats 4 and 5 the step is the first.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

ENTRY = "entry"


def _counts(record: xr.Dataset) -> np.ndarray:
    """How many values each block has at a step."""
    return np.minimum(record["units"].values, record.sizes["unit"]).astype(int)


def packed(record: xr.Dataset) -> xr.Dataset:
    """A record as it lies in a file."""
    counts, width = _counts(record), record.sizes["unit"]
    columns = np.concatenate([np.arange(count) + width * block for block, count in enumerate(counts)] or [[]])
    variables = {}
    for name, variable in record.data_vars.items():
        if variable.dims[1:] == ("block", "unit"):
            entries = variable.values.reshape(len(variable), width * len(counts))[:, columns.astype(int)]
            variables[name] = ((ENTRY, "step"), entries.T, variable.attrs)
        else:
            variables[name] = variable.variable
    return xr.Dataset(variables, record.coords, record.attrs)


def unpacked(record: xr.Dataset) -> xr.Dataset:
    """A record that was opened from a file as ``monitor.record()`` has it; values stay in the file until needed."""
    if ENTRY not in record.dims:
        return record
    counts, width = _counts(record), record.sizes["unit"]
    variables = {}
    for name, variable in record.data_vars.items():
        if ENTRY in variable.dims:
            entries = variable.variable.transpose("step", ENTRY)
            values = indexing.LazilyIndexedArray(_Padded(entries, counts, width))
            variables[name] = xr.Variable(("step", "block", "unit"), values, variable.attrs)
        else:
            variables[name] = variable.variable
    whole = xr.Dataset(variables, record.coords, record.attrs)
    whole.set_close(record.close)
    return whole


class _Padded(BackendArray):
    """Entries, (steps, entries), as (steps, blocks, units) with NaN where a block has no unit."""

    def __init__(self, entries: xr.Variable, counts: Sequence[int] | np.ndarray, width: int):
        self._entries, self._counts, self._edges = entries, counts, np.cumsum([0, *counts])
        self.shape, self.dtype = (len(entries), len(counts), width), entries.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple) -> np.ndarray:
        steps, chosen, units = key
        blocks = np.atleast_1d(np.arange(self.shape[1])[chosen])
        first, last = (self._edges[[blocks.min(), blocks.max() + 1]]) if len(blocks) else (0, 0)
        entries = np.atleast_2d(self._entries[steps, slice(int(first), int(last))].values)
        out = np.full((len(entries), len(blocks), self.shape[2]), np.nan, self.dtype)
        for place, block in enumerate(blocks):
            begin = self._edges[block] - first
            out[:, place, : self._counts[block]] = entries[:, begin : begin + self._counts[block]]
        single = tuple(0 if isinstance(each, (int, np.integer)) else slice(None) for each in (steps, chosen))
        return out[(*single, units)]
