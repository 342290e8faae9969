"""Numbers for the caption, the verdicts and the prose about the figure of rich and lazy learning."""

import numpy as np
import xarray as xr

from nld.figures._render.text import at_most, power, power_above


def ratios(data: xr.Dataset, lesson: str) -> tuple[np.ndarray, np.ndarray]:
    """By judging seed: kernel distance at an imbalance of 1 over that at -1, and the smaller ratio of test losses."""
    distance, loss = (data[f"judged_{name}"].sel(lesson=lesson).values for name in ("kernel_distance", "test_loss"))
    return distance[:, -1] / distance[:, 0], (loss[:, :-1] / loss[:, 1:]).min(1)


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    means = {name: data[f"judged_{name}"].mean("judging_seed") for name in ("kernel_distance", "test_loss", "flipped")}
    relu = {name: mean.sel(lesson="ReLU").values for name, mean in means.items()}
    both, same = ratios(data, "ReLU"), ratios(data, "ReLU, one sign")
    early, late = data["start_distance"].values[:, [0, 3, 6]]
    grid = {name: data[f"grid_{name}"].mean("seed").values for name in ("distance", "loss")}
    seeds = data.sizes["judging_seed"]
    return {
        "seeds": f"{seeds}",
        "judged-time": f"{data.attrs['judged_time']:.0f}",
        "early": _three(early),
        "late": _three(late),
        "final-low": f"{float(data['final_distance'][0]):.3f}",
        "flow-drift": power_above(data["flow_drift"]),
        "flow-gap": power_above(max(data["flow_gap"], data["alignment_gap"])),
        "descent-gap": power_above(data["descent_gap"]),
        "optimality": power_above(data["optimality"].max()),
        "interpolator-gap": power_above(data["interpolator_gap"]),
        "beyond": " to ".join(f"{x:.1f}" for x in (data["beyond_shortest"].min(), data["beyond_shortest"].max())),
        "grid-residual": power_above(data["grid_residual"]),
        "twin-gap": power_above(data["twin_gap"]),
        "plain-drift": f"{float(data['plain_drift']):.2f}",
        "relu-distance-low": f"{relu['kernel_distance'][0]:.3f}",
        "relu-distance-high": f"{relu['kernel_distance'][-1]:.3f}",
        "relu-loss-low": f"{relu['test_loss'][0]:.4f}",
        "relu-loss-high": f"{relu['test_loss'][-1]:.4f}",
        "flipped": ", ".join(f"{100 * x:.0f}" for x in relu["flipped"]),
        "linear-distances": ", ".join(power(x, 1) for x in means["kernel_distance"].sel(lesson="linear").values),
        "rich-seeds": f"{int((both[0] > 1.5).sum())} of {seeds}",
        "fast-seeds": f"{int((both[1] > 1).sum())} of {seeds}",
        "one-sign-rich": " to ".join(f"{x:.2f}" for x in (same[0].min(), same[0].max())),
        "both-signs-rich": " to ".join(f"{x:.1f}" for x in (both[0].min(), both[0].max())),
        "one-sign-fast": f"{int((same[1] > 1).sum())} of {seeds}",
        "grid-distance-small": _three(grid["distance"][0, [0, 1, 4]]),
        "grid-loss-small": ", ".join(power(x) for x in grid["loss"][0, [0, 1, 4]]),
        "grid-distance-large": f"{at_most(grid['distance'][-1].max())}",
        "loss-rows": f"{int((np.diff(grid['loss']) < 0).all(1).sum())} of {len(grid['loss'])}",
        "distance-rows": f"{int((np.diff(grid['distance']) > 0).all(1).sum())} of {len(grid['distance'])}",
        "grid-times": ", ".join(f"{x:.0f}" for x in data["grid_time"].values),
    }


def _three(values) -> str:
    return ", ".join(f"{x:.3f}" if x < 0.1 else f"{x:.2f}" for x in values)
