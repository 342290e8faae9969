"""Every figure has reference data to be verified against: small, readable, and with tolerances that mean something."""

import numpy as np
import pytest
import xarray as xr

from nld import figures
from nld.figures.verify import reference_path
from tests.test_chapters import ROOT

LARGEST = 1_000_000  # bytes
HINT = "look at the figure, then: nld figure verify {} --accept"


@pytest.mark.parametrize("name", figures.names())
def test_a_figure_has_a_small_reference_and_tight_tolerances(name):
    path = reference_path(ROOT, name)
    assert path.exists(), HINT.format(name)
    assert path.stat().st_size <= LARGEST
    reference = xr.load_dataset(path, engine="h5netcdf")
    assert reference.data_vars
    assert all(np.isfinite(v).any() for v in reference.data_vars.values() if np.issubdtype(v.dtype, np.number))
    tolerances = getattr(figures.load(name), "TOLERANCE", {})
    assert set(tolerances) <= {str(variable) for variable in reference.data_vars}
    assert all(0 < tolerance <= 2 for tolerance in tolerances.values())


def test_no_reference_outlives_its_figure():
    stored = {path.stem for path in reference_path(ROOT, "any").parent.glob("*.nc")}
    assert stored <= set(figures.names())
