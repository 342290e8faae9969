"""The Noether charge from underdamped to overdamped, without and with kinetic symmetry breaking. Paper: Figure 2.

(a) A rotation charge, which nothing breaks, decays as e^{-μt/m}. (b) A scale charge is driven by the kinetic energy.
"""

import numpy as np
import xarray as xr

from nld.figures._data import heavy_ball_charges
from nld.figures._data.heavy_ball_charges import END, MOMENTA
from nld.figures._render.labels import label_panel
from nld.figures._render.style import BASELINE, new_figure, predicted
from nld.figures._render.text import at_most
from nld.inference import Evidence, Verdict, rule

COLORS = ("#0072B2", "#56B4E9", "#009E73", "#D55E00")


def compute(profile: str, *, learning_rate: float = 0.02) -> xr.Dataset:
    """Charges of heavy-ball runs at several momenta and what the theory says they are; one for all profiles."""
    return heavy_ball_charges.charges(learning_rate)


def worst_difference(data: xr.Dataset, name: str) -> np.ndarray:
    """Largest distance of the rotation or scale charge from theory over its own largest value; shape (momentum,)."""
    return np.abs(differences(data, name)).max(-1)


def differences(data: xr.Dataset, name: str) -> np.ndarray:
    """Measured minus predicted charge over the largest measured one, shape (momentum, time)."""
    charge = data[name].values
    return (charge - data[f"{name}_predicted"].values) / charge.max(-1, keepdims=True)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Whether the rotation charge decays as predicted, to 5 % of its first value, at every momentum."""
    worst = worst_difference(data, "rotation")
    numbers = (
        f"From momentum {MOMENTA[0]:g} to {MOMENTA[-1]:g} the measured rotation charge differs from "
        f"$e^{{-\\mu t/m}}$ by at most {at_most(100 * worst.max())} % of its first value."
    )
    return rule([Evidence("charge-decays", numbers, checks={"every momentum": bool(worst.max() < 0.05)})])


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure: times in w²/ℓ, differences in percent, rates of decay per step."""
    rotation, scale = (100 * worst_difference(data, name) for name in ("rotation", "scale"))
    ball, moment = np.unravel_index(np.abs(differences(data, "scale")).argmax(), data["scale"].shape)
    heavy, *others = 100 * np.abs(data["rotation"].values[:, -1])
    time, last = data["relaxation"].values, MOMENTA[-1]
    return {
        "longest": f"{time[0]:.2g}",
        "shortest": f"{time[-1]:.2g}",
        "rotation-light": at_most(rotation[2]),
        "rotation-heavy": at_most(rotation[-1]),
        "scale-worst": at_most(scale.max()),
        "scale-worst-place": f"in step {moment + 1} of the ball with β = {data['momentum'].values[ball]:g}",
        "heaviest-left": f"{heavy:.2g}",
        "others-left": at_most(max(others)),
        "rise": rise(data),
        "rate-exact": f"{-np.log(last):.4f}",
        "rate-smooth": f"{2 * (1 - last) / (1 + last):.4f}",
    }


def rise(data: xr.Dataset) -> str:
    """How far the scale charges rise by mass, and how many fall again: the end of a sentence about them."""
    scale = data["scale"].values
    peaks = scale.max(1)  # the heaviest ball first
    order = "the more the heavier the ball" if (np.diff(peaks) < 0).all() else "though not in the order of the masses"
    return f"{order}, and {(scale[:, -1] < peaks).sum()} of the {len(scale)} fall again before the figure ends"


def draw(data: xr.Dataset):
    """Charges above, their distance from theory below; (a) rotation, (b) scale."""
    figure, axes = new_figure(2, 2, size=(6.4, 4.4), height_ratios=[3, 1], sharex=True)
    time = data["time"].values
    for column, name in enumerate(("rotation", "scale")):
        above, below = axes[:, column]
        for index, color in enumerate(COLORS):
            above.plot(time, data[name].values[index], color=color, linewidth=2.4)
            above.plot(time, data[f"{name}_predicted"].values[index], **predicted())
            below.plot(time, 100 * differences(data, name)[index], color=color, linewidth=1)
        below.axhline(0, **BASELINE)
        below.set(xlabel="time $t$ [w²/ℓ]", xscale="log", xlim=(time[0], END))
    axes[0, 0].set(ylabel="charge $C/C(0)$ [1]", ylim=(0, 1.05))
    axes[0, 0].set_title("(a) rotation: nothing breaks it")
    axes[0, 1].set(ylabel="charge $C$ [w²]", yscale="log", ylim=(1e-6, 40))
    axes[0, 1].set_title("(b) scale: the kinetic energy drives it")
    axes[1, 0].set_ylabel("difference [%]")
    for index, color in enumerate(COLORS):
        lag = float(data["relaxation"][index])
        text = f"$\\beta = {MOMENTA[index]:g}$: $m/\\mu = {lag:.2g}$ w²/ℓ"
        label_panel(axes[0, 1], text, 0.03, 0.24 - 0.07 * index, color=color)
    return figure


def caption(data: xr.Dataset) -> str:
    worst = [100 * worst_difference(data, name) for name in ("rotation", "scale")]
    time = data["relaxation"].values
    return (
        "A charge dies in the time $m/\\mu$ unless the kinetic energy feeds it. Heavy-ball runs (coloured) from "
        f"underdamped to overdamped at $\\eta = {data.attrs['learning_rate']:g}$ w²/ℓ, and theory (dashed). **(a)** "
        f"The rotation charge in a round valley decays as $e^{{-\\mu t/m}}$, in a time $m/\\mu$ from {time[0]:.2g} "
        f"w²/ℓ at $\\beta = {MOMENTA[0]:g}$ to {time[-1]:.2g} w²/ℓ at $\\beta = {MOMENTA[-1]:g}$. **(b)** The scale "
        "charge of a scale-invariant loss starts at zero and is driven by kinetic symmetry breaking, $m\\|\\dot "
        "q\\|^2$. Below, measurement minus theory in percent of each curve's maximum: at most "
        f"{at_most(worst[0].max())} % in (a) and {at_most(worst[1].max())} % in (b)."
    )


def alt(data: xr.Dataset) -> str:
    late = np.abs(data["time"].values - 1).argmin()
    left = ", ".join(f"{max(0.0, x):.2g}" for x in data["rotation"].values[:, late].round(3))
    scale = data["scale"].values
    peaks = ", ".join(f"{x:.2g}" for x in scale.max(1))
    falls = (scale[:, -1] < scale.max(1)).sum()
    worst = 100 * max(worst_difference(data, name).max() for name in ("rotation", "scale"))
    return (
        f"Left: rotation charges that at time 1 have fallen to {left} of their first value for momenta "
        f"{', '.join(f'{b:g}' for b in MOMENTA)}. Right: scale charges that rise from zero to {peaks} w²; "
        f"{falls} of the {len(scale)} fall again. Dashed predicted curves are within {at_most(worst)} percent of the "
        "largest charge of the measured ones."
    )
