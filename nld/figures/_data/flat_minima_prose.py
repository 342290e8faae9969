"""Numbers for the caption, the verdicts and the prose about the figure of flat minima."""

import numpy as np
import xarray as xr

from nld.figures._render.text import at_most, number, power_above


def slopes(data: xr.Dataset) -> np.ndarray:
    """Order of the drift in the learning rate, from the three smallest rates, by activation."""
    rates = np.log(data["rate"].values[-3:])
    return np.array([np.polyfit(rates, np.log(row[-3:]), 1)[0] for row in data["drift"].values])


def start_errors(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Errors of mean and standard deviation in units of their sampling errors, by start."""
    mean, deviation, fourth = data["start_measured"].values.T
    expected, spread = data["start_predicted"].values.T
    draws = data["start_draws"].values
    error_of_deviation = np.sqrt((fourth - deviation**4) / draws) / (2 * deviation)
    return np.abs(mean - expected) * np.sqrt(draws) / deviation, np.abs(deviation - spread) / error_of_deviation


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    flow = data["flow_drift"]
    order, errors = slopes(data), start_errors(data)
    valley = float(np.abs(data["valley_sharpness"] / data["valley_sharpness_predicted"] - 1).max())
    slide = data["slide_sharpness"].sel(rule="gradient descent").values
    above = data["slide_sharpness"].sel(rule="gradient flow").values > data.attrs["limit"]
    mean, deviation = (data["start_measured"].values[:3, column] for column in (0, 1))
    converged, charge = data["converged"].values, data["edge_charge"].values
    rows = {name: data[f"judged_{name}"].values for name in ("central", "direction", "moved")}
    entered = data["entered"].values
    late = np.concatenate([
        run[data["edge_step"].values >= start + data.attrs["settled"]]
        for run, start in zip(data["edge_sharpness"].values.T, entered, strict=True)
    ])  # fmt: skip
    return {
        "limit": f"{data.attrs['limit']:.2f}",
        "largest-charge": f"{float(data['largest_charge']):.2f}",
        "slide-highest": at_most(slide.max(), 3),
        "slides-above": f"{int(above.sum())}",
        "slides": f"{len(slide)}",
        "slide-charge-start": f"{np.abs(data['slide'].values).max():g}",
        "slide-start-sharpness": f"{data['slide_sharpness'].values[0].max():.2f}",
        "smooth-kept": power_above(flow.sel(activation=["linear", "tanh", "sigmoid"]).max()),
        "kinked-kept": power_above(flow.sel(activation=["ReLU", "leaky ReLU"]).max()),
        "slopes": f"{order.min():.2f} to {order.max():.2f}",
        "forecast-off": at_most(100 * data["drift_off"].values[:, -1].max()),
        "sum-off": at_most(100 * data["step_left"].values[3:, 2:].max()),
        "quadratic-left": power_above(data["step_left"].values[:3].max()),
        "sigmoid-lost": f"{float(data['drift'].sel(activation='sigmoid')[0]):.0f}",
        "valley-off": power_above(valley),
        "valley-runs": f"{data['valley_charge'].size}",
        "start-errors": at_most(np.max(errors)),
        "slice": f"{100 * (deviation / np.abs(mean)).min():.1f} to {100 * (deviation / np.abs(mean)).max():.1f}",
        "start-mean": number(data["start_law"].values[0, 0], ".2f"),
        "start-narrow": f"{data['start_law'].values[0, 1]:.3f}",
        "start-narrower": f"{data['start_law'].values[1, 1]:.3f}",
        "rises": f"{int(data['rises'].sum())}",
        "steps-within": f"{int(data['steps_within'].sum()):,}",
        "law-left": power_above(data["law_left"].max()),
        "converged": ", ".join(f"{x}" for x in converged),
        "not-monotone": ", ".join(f"{x}" for x in data["not_monotone"].values),
        "edge-sharpness": at_most(data["end_sharpness"].max(), 4),
        "central-errors": _range(100 * rows["central"], " %"),
        "central-worst": at_most(100 * np.abs(rows["central"]).max()),
        "direction-worst": at_most(100 * np.abs(rows["direction"]).max()),
        "direction-errors": _range(100 * rows["direction"], " %"),
        "moved": _range(rows["moved"], ""),
        "edge-runs": f"{charge.shape[1]}",
        "edge-first": f"{entered.min():g} to {entered.max():g}",
        "edge-late": f"{np.floor(100 * late.min()) / 100:.2f} to {np.ceil(100 * late.max()) / 100:.2f}",
        "edge-before": _range(data["edge_charge"].sel(edge_step=1).values, "", " and "),
        "edge-after": _range(charge[-1], "", " and "),
    }


def _range(values: np.ndarray, unit: str, between: str = " to ") -> str:
    return f"{number(values.min(), '.1f')}{between}{number(values.max(), '.1f')}{unit}"
