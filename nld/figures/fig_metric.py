"""The same rotations under five optimizers: kept by one metric, broken by the others. Beyond the paper; see Eq 7."""

import numpy as np
import xarray as xr

from nld.experiment.studies.head_rotation import turning
from nld.figures._data.orders_of_accuracy import exponent
from nld.figures._render.labels import label_point, ticks_at
from nld.figures._render.style import COLOR, new_figure, predicted
from nld.figures._render.text import number, power, power_above
from nld.inference import Evidence, Verdict, rule

STEPS = (24, 48, 96)  # at a fixed product of learning rate and steps
END = {"SGD": 1.5, "Nesterov": 1.5, "Adam": 0.1, "AdamW": 0.1, "RMSProp": 0.1}
ADAPTIVE = ["Adam", "AdamW", "RMSProp"]
KEPT, TURNED = 1e-12, 1e-2  # shares of a step along the rotations that are rounding, and that are not
COLORS = {"SGD": "heavy_ball", "Nesterov": "nesterov", "Adam": "adam", "AdamW": "adamw", "RMSProp": "rmsprop"}
MARKERS = {"SGD": "o", "Nesterov": "s", "Adam": "^", "AdamW": "v", "RMSProp": "D"}
SIGNS = {"SGD": "●", "Nesterov": "■", "Adam": "△", "AdamW": "▽", "RMSProp": "◇"}
DASHES = {"AdamW": (0, (5, 2)), "RMSProp": (0, (1.5, 1.5))}


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """Turning of the heads of a transformer by optimizer and learning rate; one network serves all profiles."""
    rates = np.array([[END[name] / steps for steps in STEPS] for name in END])
    runs = [
        [turning(name, float(rate), steps, seed=seed) for rate, steps in zip(row, STEPS, strict=True)]
        for name, row in zip(END, rates, strict=True)
    ]
    units = {"units": "w²/ℓ for SGD and Nesterov, w for the others"}
    return xr.Dataset(
        {
            "share": (("optimizer", "step"), np.array([row[-1].share for row in runs]), {"units": "1"}),
            "angle": (("optimizer", "rate"), np.array([[run.angle for run in row] for row in runs]), {"units": "rad"}),
            "drift": (("optimizer", "rate"), np.array([[run.drift for run in row] for row in runs]), {"units": "1"}),
            "learning_rate": (("optimizer", "rate"), rates, units),
        },
        coords={"optimizer": list(END), "step": np.arange(STEPS[-1])},
        attrs={"seed": seed},
    )


def slopes(values: xr.DataArray, data: xr.Dataset) -> dict[str, float]:
    """Least-squares slope of the logarithm of a quantity over that of the learning rate, by optimizer."""
    rates = data["learning_rate"]
    names = data["optimizer"].values
    return {str(name): exponent(rates.sel(optimizer=name), values.sel(optimizer=name)) for name in names}


def mean_share(data: xr.Dataset) -> xr.DataArray:
    """Share of a step along the rotations, mean over all but the first ten: (optimizer)."""
    return data["share"].isel(step=slice(10, None)).mean("step")


def small_steps(data: xr.Dataset) -> dict[str, str]:
    """Whether the turning goes away with smaller steps, under Nesterov and under the adaptive rules."""
    order = slopes(data["angle"], data)
    adaptive = [order[name] for name in ADAPTIVE]
    stays, goes = max(adaptive) < 0.5, min(adaptive) >= 0.5
    return {
        "turn-nesterov-goes": "Under Nesterov it does." if order["Nesterov"] > 1 else "Under Nesterov it does not.",
        "turn-adaptive-stays": "it stays" if stays else "it lessens, too" if goes else "it does not always stay",
        "turn-remains": "it does not go away with smaller steps" if stays else "smaller steps lessen some of it",
    }


def judge(data: xr.Dataset) -> list[Verdict]:
    """Share of a step along the rotations: rounding in the Euclidean metric, and not under adaptive rules."""
    euclidean = float(data["share"].sel(optimizer="SGD").max())
    share = mean_share(data).sel(optimizer=ADAPTIVE)
    angle = slopes(data["angle"], data)
    listed = ", ".join(f"{name} {number(angle[name], '.2f')}" for name in ADAPTIVE)
    return rule([
        Evidence(
            "metric-breaks-rotation",
            f"Along the rotations of a transformer's heads goes at most {power_above(euclidean)} of a step of SGD, and "
            f"{float(share.min()):.2f} to {float(share.max()):.2f} of one of the adaptive rules. Orders in the "
            f"learning rate of the angle that these turn in a fixed time: {listed}.",
            checks={
                "Euclidean metric keeps": euclidean < KEPT, "adaptive metrics break": float(share.min()) > TURNED,
                "also at small rates": max(abs(angle[name]) for name in ADAPTIVE) < 0.5,
            },
        )
    ])  # fmt: skip


def draw(data: xr.Dataset):
    """Share of each step along the rotations; angle turned and drift of the charge over the learning rate."""
    figure, panels = new_figure(1, 3, size=(6.4, 3.6))
    names = [str(name) for name in data["optimizer"].values]
    relative = data["learning_rate"] / data["learning_rate"].isel(rate=0)
    step, places = data["step"].values, dict(zip(ADAPTIVE, (1.12, 1.0, 0.89), strict=True))
    for index, name in enumerate(names):
        color, row = COLOR[COLORS[name]], data.sel(optimizer=name)
        # Adaptive rules nearly agree: open marks, moved a little to the side, and other dashes tell them apart.
        open_mark = {"markerfacecolor": "none"} if name in ADAPTIVE else {}
        mark = {"color": color, "marker": MARKERS[name], "markersize": 6 if name in ADAPTIVE else 4, **open_mark}
        dashes = {"linestyle": DASHES.get(name, "-"), "linewidth": 1.2}
        marked = slice(4 + 5 * index, None, 26)
        panels[0].plot(step, row["share"], color=color, **dashes)
        panels[0].plot(step[marked], row["share"].values[marked], linestyle="none", **mark)
        x = relative.sel(optimizer=name) * places.get(name, 1)
        for axes, quantity in zip(panels[1:], ("angle", "drift"), strict=True):
            axes.plot(x, row[quantity], **dashes, **mark)
    x = relative.isel(optimizer=0).values
    for axes, quantity, name, order in ((panels[1], "angle", "Nesterov", 2), (panels[2], "drift", "SGD", 1)):
        line = float(data[quantity].sel(optimizer=name)[0]) * x**order / 2
        axes.plot(x, line, **predicted())
        text = "$\\propto \\eta$" if order == 1 else f"$\\propto \\eta^{order}$"
        label_point(axes, text, (x[1], line[1]), (4, -10))
    panels[0].set(xlabel="step $n$", ylabel="share of the step [1]", xlim=(0, int(step[-1])))
    for axes, unit in zip(panels[1:], ("angle turned [rad]", "drift [1]"), strict=True):
        axes.set(xscale="log", xlabel="learning rate $\\eta/\\eta_0$", ylabel=unit)
        ticks_at(axes.xaxis, x)
    for axes, title in zip(panels, ("(a) along the rotation", "(b) rotation", "(c) general linear"), strict=True):
        axes.set_yscale("log")
        axes.set_title(title, fontsize=9)
    for axes in panels[:2]:
        axes.set_ylim(1e-18, 3)
    level = float(data["share"].sel(optimizer="Adam")[-1])
    heights = [(name, level / 12 ** (place + 1), "center") for place, name in enumerate(ADAPTIVE)]
    heights += [(name, 3 * float(data["share"].sel(optimizer=name).max()), "bottom") for name in ("SGD", "Nesterov")]
    for name, height, side in heights:
        text = f"{SIGNS[name]} {name}"
        panels[0].text(0.95 * STEPS[-1], height, text, color=COLOR[COLORS[name]], fontsize=8, ha="right", va=side)
    return figure


def caption(data: xr.Dataset) -> str:
    angle, drift = slopes(data["angle"], data), slopes(data["drift"], data)
    listed = ", ".join(f"{name} {number(drift[name], '.2f')}" for name in drift)
    share = mean_share(data)
    adaptive = share.sel(optimizer=ADAPTIVE)
    return (
        "Only a Euclidean metric keeps the rotations of a transformer's heads out of the motion. **(a)** Part "
        "of each step that merely turns the heads, which the loss cannot notice: rounding "
        f"(at most {power_above(data['share'].sel(optimizer='SGD').max())}) under SGD with momentum, on average "
        f"{power(share.sel(optimizer='Nesterov'))} under Nesterov and "
        f"{float(adaptive.min()):.2f} to {float(adaptive.max()):.2f} under "
        "the adaptive rules. **(b)** Angle turned in a fixed training time against the learning rate, relative to the "
        f"largest: slope {angle['Nesterov']:.2f} under Nesterov, {number(min(angle[n] for n in ADAPTIVE), '.2f')} to "
        f"{number(max(angle[n] for n in ADAPTIVE), '.2f')} under the adaptive rules. **(c)** Drift of "
        f"$QQ^\\top - KK^\\top$, which gradient flow conserves: slopes {listed}. Black dashes: slopes 2 and "
        "1. In (b) and (c) marks of the adaptive rules stand a little aside, so that none hides another."
    )


def alt(data: xr.Dataset) -> str:
    angle = data["angle"]
    turned, drifted = (
        ", ".join(
            f"{name} {number(order, '.2f')}" for name, order in slopes(data[quantity], data).items() if name not in but
        )
        for quantity, but in (("angle", ["SGD"]), ("drift", []))
    )
    return (
        "Three panels with logarithmic axes. Left: over the steps, the share of a step along the rotations lies near "
        f"{power(data['share'].sel(optimizer='SGD').max())} for SGD and near "
        f"{power(mean_share(data).drop_sel(optimizer='SGD').min())} or above for the others. Middle: the angle turned "
        f"against the learning rate is at most {power_above(angle.sel(optimizer='SGD').max())} radians for SGD; the "
        f"slopes of the others are {turned}, and they reach {float(angle.max()):.2g} radians. Right: the slopes of the "
        f"drift of the general linear charge are {drifted}."
    )
