"""What is read from the runs of fig-rotation: errors of the laws, spread of angles, leads in accuracy."""

import numpy as np
import xarray as xr


def errors(data: xr.Dataset, name: str, law: str = "closed") -> float:
    """Largest relative error of norm and angle of a rule's walks, against the closed form or (``law``) all orders."""
    rows = data.isel(walk=np.flatnonzero(data["rule"].values == name))
    return max(float(abs(rows[part] / rows[f"{part}_{law}"] - 1).max()) for part in ("norm", "angle"))


def unbalance(data: xr.Dataset, treatment: str) -> float:
    """Largest over smallest angle of the layers, in the second half of a run."""
    course = data["squared_angle"].sel(treatment=treatment)
    late = np.sqrt(course.isel(course_step=slice(course.sizes["course_step"] // 2, None)).mean("course_step"))
    return float(late.max() / late.min())


def lead(data: xr.Dataset, one: str, other: str) -> np.ndarray:
    """Difference of two accuracies in percentage points, seed by seed."""
    accuracy = 100 * data["judged_accuracy"]
    return (accuracy.sel(judged_rule=one) - accuracy.sel(judged_rule=other)).values
