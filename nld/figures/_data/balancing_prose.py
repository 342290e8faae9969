"""Numbers for the caption, the verdicts and the prose about the figure of balancing."""

import numpy as np
import xarray as xr

from nld.figures._render.text import at_most, power_above

OFF = 1e-3  # a product that is off, in w^(D+1)


def last_on(data: xr.Dataset, depth: int) -> tuple[float, float, float]:
    """In the sweep upwards: the last ratio at which the product is on, the first at which it is off, and its norm."""
    norm, ratio = data["norm"].sel(depth=depth, direction="up").values, data["ratio"].values
    last = int(np.flatnonzero(norm > OFF)[-1])
    return float(ratio[last]), float(ratio[min(last + 1, len(ratio) - 1)]), float(norm[last])


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    drift, gap = data["charge_drift"], abs(data["norm"].sel(depth=1) - data["upper_minimum"].sel(depth=1))
    off = abs(data["charge"] / data["charge_predicted"] - 1).isel(time=-1).values
    jumps = [last_on(data, depth) for depth in (2, 3)]
    upper = data["norm"].sel(direction="up") - data["upper_minimum"]
    foreign = drift.sel(flow=2.0, power=[1.0, 1.5]).values
    halves = {name: ", ".join(f"{x:.2f}" for x in data[name].values) for name in ("half_rise", "half_rise_predicted")}
    late = np.abs(data["half_rise"] / data["half_rise_predicted"] - 1).max()
    norms = data["norm_powers"].values
    return {
        "kept": power_above(np.diag(drift.values).max()),
        "moved": " and ".join(f"{x:.2f} {unit}" for x, unit in zip(foreign, ("w", "w¹·⁵"), strict=True)),
        "step-residual": power_above(data["step_residual"]),
        "step-moved": f"{float(data['step_moved']):.2g}",
        "loss-left": at_most(100 * data["loss_ratio"].max()),
        "fix-imbalance": power_above(data["fix_imbalance"].max()),
        "fix-output": power_above(data["fix_output"].max()),
        "fix-norm": f"{float(data['fix_norm'].min()):.2f} to {float(data['fix_norm'].max()):.2f}",
        "fast-diverges": ", ".join(f"({norms[i]})" for i in np.flatnonzero(data["fast_diverges"].values)) or "none",
        "fast-converges": ", ".join(f"({norms[i]})" for i in np.flatnonzero(data["fast_diverges"].values == 0))
        or "none",
        "second-order": power_above(gap.max()),
        "sweep-gap": power_above(np.abs(upper).max()),
        "sweep-imbalance": power_above(data["sweep_imbalance"].max()),
        "last-on": " and ".join(f"{last:g}" for last, _, _ in jumps),
        "first-off": " and ".join(f"{off:g}" for _, off, _ in jumps),
        "last-norm": " and ".join(f"{norm:.2f}" for _, _, norm in jumps),
        "spinodal": " and ".join(f"{x:.3f}" for x in data["spinodal"].values[1:]),
        "charge-falls": f"{1 / float(data['charge_predicted'][-1]):,.0f}",
        "charge-off": " and ".join(at_most(100 * x) for x in off),
        "charge-rates": " and ".join(f"{x:g}" for x in data["charge_rate"].values),
        "threshold-gap": power_above(np.abs(data["left"] - data["left_predicted"]).max()),
        "digits-below": power_above(data["digits"][0], 1),
        "digits-above": power_above(data["digits"][1]),
        "digits-critical": f"{float(data['digits_critical']):.3f}",
        "halves": halves["half_rise"],
        "halves-foreseen": halves["half_rise_predicted"],
        "late": at_most(100 * late),
    }
