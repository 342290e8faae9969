"""Whether a figure of this build differs from the published one by more than training repeats elsewhere."""

from pathlib import Path

import xarray as xr

from nld import figures
from nld.figures.verification.verify import compare_with_reference, moved_verdicts, reference_path
from nld.inference.verdict import REVERSED
from nld.results import stored_results


def has_moved(root: Path, name: str, data: xr.Dataset) -> bool:
    """Whether a number is further from the reference than its own arithmetics are from each other, or a verdict turned.

    False where the checkout holds no reference: then there is nothing to differ from.
    """
    path = reference_path(root, name)
    if not path.is_file():
        return False
    reference, module = xr.load_dataset(stored_results.whole(path), engine="h5netcdf"), figures.load(name)
    if any(not row.holds for row in compare_with_reference(module, data, reference)):
        return True
    return any(how == REVERSED for how, _ in moved_verdicts(module, data, reference))
