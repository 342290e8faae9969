"""References of figures, each read once: HDF5 takes tenths of a second for what a copy takes milliseconds."""

from functools import cache

import xarray as xr

from nld.figures.verification.verify import reference_path
from tests.test_chapters import ROOT


@cache
def _read(name: str) -> xr.Dataset:
    return xr.load_dataset(reference_path(ROOT, name), engine="h5netcdf")


def whole_reference(name: str) -> xr.Dataset:
    """The reference of a figure with all its arithmetics, to change at will."""
    return _read(name).copy(deep=True)
