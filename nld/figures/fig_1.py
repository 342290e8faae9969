"""Symmetry of the loss is not symmetry of learning. Paper: Figure 1.

(a) A particle in a rotation-symmetric potential and the same particle with a rotated start.
(b) A batch-normalized network, and the same network with every filter multiplied by ten.
"""

import numpy as np
import xarray as xr

from nld.figures._data.ring_valley import potential
from nld.figures._data.two_starts import FACTOR, networks, particle
from nld.figures._render.labels import label_panel, label_point
from nld.figures._render.style import COLOR, band, new_mosaic
from nld.figures._render.text import power, power_above
from nld.inference import Evidence, Verdict, rule

EQUAL = 256 * float(np.finfo(np.float32).eps)  # two sums of some 10^4 numbers of 32 bits in other orders
SOLVED = 1e-8  # a thousand times what the integrator is asked for: the valley amplifies its errors
ROUNDING = ("path_error", "energy_error")


def compute(profile: str, *, seed: int = 0, learning_rate: float = 0.1) -> xr.Dataset:
    """Both trajectories of (a) with their energies; the training losses of (b), one per seed and start."""
    return xr.merge([particle(), networks(profile, seed, learning_rate)], combine_attrs="no_conflicts")


def initial_difference(data: xr.Dataset) -> float:
    """Largest relative difference of the two losses before the first step."""
    first = data["loss"].isel(step=0).values
    return float(np.abs(first[1] / first[0] - 1).max())


def same_start(data: xr.Dataset) -> str:
    """What the losses before the first step do, as the end of a sentence that begins "have losses that"."""
    apart = initial_difference(data)
    if apart == 0:
        return "are equal to the last bit"
    if apart < EQUAL:
        return f"agree to {power_above(apart)} of their value, which is the rounding of 32-bit sums"
    return f"differ by {power(apart)} of their value, more than rounding would make them"


def judge(data: xr.Dataset) -> list[Verdict]:
    """(a) The rotated path is the path rotated; (b) losses that are equal at first part."""
    start, last = initial_difference(data), data["loss"].isel(step=-1).values
    path, energy = float(data["path_error"]), float(data["energy_error"])
    short, long = (f"{each.min():.2g} to {each.max():.2g} ℓ" for each in last)
    parted = (
        f"At step 0 the losses {same_start(data)}; after {int(data['step'][-1])} steps they are "
        f"{short} with the filters as initialized and {long} with filters multiplied by {FACTOR:g}."
    )
    carried = f"The path from the rotated start is the rotated path to {power(path)} w; the energies differ by "
    return rule([
        Evidence(
            "loss-symmetry-is-not-learning-symmetry", parted,
            {"losses part": np.log10(last[1] / last[0])}, {"equal at the start": start < EQUAL},
        ),
        Evidence(
            "rotation-carries-the-motion", carried + f"{power(energy)} ℓ.",
            checks={"path": path < SOLVED, "energy": energy < SOLVED},
        ),
    ])  # fmt: skip


def draw(data: xr.Dataset):
    """Panels: paths and energies of (a) above, losses of (b) below."""
    figure, axes = new_mosaic([["path", "energy"], ["loss", "loss"]], (6.4, 5.6), height_ratios=[1.15, 1])
    _draw_particle(data, axes["path"], axes["energy"])
    _draw_networks(data, axes["loss"])
    return figure


def _draw_particle(data, plane, energies) -> None:
    grid = np.linspace(-1.9, 1.9, 161)
    values = potential(np.stack(np.meshgrid(grid, grid), -1))
    plane.contour(grid, grid, values, levels=[0.02, 0.15, 0.5, 1.2], colors="#999999", linewidths=0.6, alpha=0.7)
    colors = (COLOR["original"], COLOR["transformed"])
    outside = ((17, 0), (6, 18))  # of the outermost contour
    for path, color, name, at in zip(data["path"].values, colors, ("start", "rotated start"), outside, strict=True):
        plane.plot(*path.T, color=color, linewidth=1.1)
        plane.plot(*path[0], "o", color=color)
        label_point(plane, name, path[0], at, color=color, ha="left", va="center")
    plane.set(
        aspect="equal", xlabel="parameter $q_1$ [w]", ylabel="parameter $q_2$ [w]", xlim=(-1.9, 2.6), ylim=(-1.9, 2.2)
    )
    plane.set_title("(a) rotation: the path rotates along …")
    time = data["time"].values
    energies.plot(time, data["energy"].values[0], color=colors[0], linewidth=3.2)
    energies.plot(time, data["energy"].values[1], color=colors[1], linewidth=1.2, linestyle="--")
    energies.set(xlabel="time $t$ [w²/ℓ]", ylabel="energy [ℓ]", yscale="log")
    label_panel(energies, "start (wide line)", 0.95, 0.88, color=colors[0], ha="right")
    label_panel(energies, "rotated start (dashed)", 0.95, 0.80, color=colors[1], ha="right")
    energies.set_title("… and the energies coincide")


def _draw_networks(data, axes) -> None:
    step = data["step"].values
    colors = (COLOR["original"], COLOR["transformed"])
    labels = ("filters as initialized", f"filters multiplied by {FACTOR:g}")
    at = len(step) * 5 // 8
    for loss, color, label, side in zip(data["loss"].values, colors, labels, (-1, 1), strict=True):
        band(axes, step, loss, color)
        edge = (loss[:, at].max if side > 0 else loss[:, at].min)()
        label_point(axes, label, (step[at], edge), (0, 12 * side - 4), color=color, ha="center", fontsize=9)
    axes.set(xlabel="step $n$", ylabel="training loss $f$ [ℓ]", yscale="log", xlim=(0, step[-1]))
    axes.set_title("(b) scale: equal at step 0, the losses part at once")


def caption(data: xr.Dataset) -> str:
    return (
        "A symmetry of the loss need not be a symmetry of learning. **(a)** A damped particle in a "
        "rotation-symmetric valley (grey contours): rotating the start rotates the whole path, to "
        f"{power(data['path_error'])} w, and the energies coincide, to {power(data['energy_error'])} ℓ. "
        f"**(b)** A batch-normalized network trained by SGD on images, with its filters as initialized and with every "
        f"filter multiplied by {FACTOR:g}: the losses at step 0 {same_start(data)}, and "
        f"the training runs do not agree. Lines are medians and bands the range over {data.sizes['seed']} seeds; "
        f"$\\eta = {data.attrs['learning_rate']:g}$ w²/ℓ, $\\beta = {data.attrs['momentum']:g}$, $k = 0$."
    )


def alt(data: xr.Dataset) -> str:
    last = np.median(data["loss"].isel(step=-1).values, axis=1)
    first = float(np.median(data["loss"].isel(step=0)))
    return (
        "Three panels. Two spirals into a ring-shaped valley, one the rotation of the other; their energy curves lie "
        f"on each other. Below, two training losses that both start at {first:.2f}; after {int(data['step'][-1])} "
        f"steps it is {last[0]:.2g} with the filters as initialized and {last[1]:.2g} with filters ten times longer."
    )
