"""How large Adam's updates can become. Beyond the paper: Gould and Tanaka 2024 in discrete time."""

import numpy as np
import xarray as xr

from nld.figures._data import adam_updates as updates
from nld.figures._data.adam_updates import GROWING, NETWORK_STEPS, SETTINGS, stated_default, worst_default
from nld.figures._render.labels import label_panel, label_point
from nld.figures._render.style import BASELINE, COLOR, new_figure, predicted
from nld.figures._render.text import at_most, power, power_above
from nld.inference import Evidence, Verdict, rule
from nld.paper import Claim
from nld.theory import adam

PRACTICAL = 0.75  # memories of squares from here on are in use
PLACE, GOULD = ((), "fig-adam", "book/adam-and-normalization"), "gould2024continuous"
CLAIMS = (
    Claim("adam-stable-region", r"Adam's updates are bounded where $2(1-\beta)/\beta > (1-\rho)/\rho$ and can grow "
          "exponentially where the inequality is reversed.", *PLACE, GOULD),
    Claim("adam-growth-rate", "Outside the stable region updates grow at the rate $|C|/2$ a step, "
          r"$C = 2(1-\beta)/\beta - (1-\rho)/\rho$.", *PLACE, GOULD),
    Claim("adam-largest-step", "A step of Adam is at most the learning rate times the larger of 1 and "
          r"$(1-\beta)/\sqrt{1-\rho}$, reached by one gradient after silence.", *PLACE, "kingma2015adam"),
)  # fmt: skip


def compute(profile: str, *, seed: int = 0, learning_rate: float = 1e-3) -> xr.Dataset:
    """Bounds, what attains them, and updates in a network trained at ``learning_rate``; one for all profiles."""
    parts = [updates.plane(), updates.boundary(), updates.largest(seed, learning_rate), updates.growth()]
    return xr.merge(parts).assign_attrs(seed=seed, learning_rate=learning_rate)


def judge(data: xr.Dataset) -> list[Verdict]:
    """What the measurements say of CLAIMS."""
    return rule([_region(data), _rate(data), _step_bound()])


def _region(data: xr.Dataset) -> Evidence:
    decay, found = data["boundary_decay"].values, data["boundary"].values
    exact = np.abs(found - adam.largest_stable_momentum(decay)).max()
    theirs = np.abs(found - adam.continuous_largest_stable_momentum(decay))
    in_use = decay >= PRACTICAL
    numbers = (
        r"Located by running Adam, the boundary is off $\beta = 2\rho/(1+\rho)$ by at most "
        rf"{at_most(theirs[in_use].max())} where $\rho$ is {PRACTICAL:g} or more, and by up to "
        f"{theirs[~in_use].max():.2f} at shorter memories of squares; "
        rf"off $\beta = \sqrt{{\rho}}$ by at most {at_most(exact)}, and what lies between the two is bounded."
    )
    checks = {
        "memories in use": bool(theirs[in_use].max() < 0.01),
        "short memories": bool(theirs[~in_use].max() < 0.01),
    }
    return Evidence("adam-stable-region", numbers, checks=checks)


def _rate(data: xr.Dataset) -> Evidence:
    measured, discrete, continuous = data["growth_rate"].values
    exact, theirs = np.abs(discrete / measured - 1).max(), continuous / measured
    names = ", ".join(f"{ratio:.2f} at ({b:g}, {r:g})" for ratio, (b, r) in zip(theirs, GROWING, strict=True))
    numbers = (
        rf"Measured rates are $\ln\beta - (\ln\rho)/2$ to {power_above(exact)}; $\lvert C\rvert/2$ over the measured "
        rf"rate is {names} for $(\beta, \rho)$."
    )
    checks = {"|C|/2": bool(np.abs(theirs - 1).max() < 0.01), "ln beta - ln(rho)/2": bool(exact < 0.01)}
    return Evidence("adam-growth-rate", numbers, checks=checks)


def _step_bound() -> Evidence:
    found, stated = worst_default(), stated_default()
    numbers = (
        f"At (0.9, 0.999) the stated bound is {stated:.2f}; gradients that grow by "
        rf"$\rho/\beta$ a step reach {found:.2f}."
    )
    return Evidence("adam-largest-step", numbers, checks={"bound": found <= stated * (1 + 1e-6)})


def slower(data: xr.Dataset) -> str:
    """What a tenth of the learning rate does to the largest update at the last setting."""
    fast, slow = float(data["network_update"].isel(setting=2).max()), float(data["slow_update"].max())
    if slow >= fast:
        return f"The network's largest update does not fall either: with a tenth of it, it is {slow:.1f}."
    return (
        f"The network does: with a tenth of it, the largest update at the same β and ρ is {slow:.1f}. To set off the "
        "growth, gradients must fall faster than √ρ a step, and a network that learns slowly does not make them fall "
        "so fast. An experiment that maps the stable region by training will find it larger at small learning rates, "
        "and it is not the same region."
    )


def draw(data: xr.Dataset):
    """The plane of both memories, and largest updates over steps."""
    figure, (a, b) = new_figure(1, 2, size=(6.4, 3.4))
    _draw_plane(a, data)
    _draw_updates(b, data)
    a.set_title("(a) largest possible update")
    b.set_title("(b) largest update at the three stars")
    return figure


COLORS = (COLOR["adam"], COLOR["heavy_ball"], COLOR["rmsprop"])  # of SETTINGS


def _draw_plane(axes, data: xr.Dataset) -> None:
    decay = np.linspace(0.005, 1, 200)
    edge, line = adam.largest_stable_momentum(decay), {"color": COLOR["original"], "linewidth": 0.8}
    axes.fill_betweenx(decay, edge, 1, color=COLOR["rmsprop"], alpha=0.18, linewidth=0)
    values = (data["plane_momentum"], data["plane_decay"], data["largest_plane"])
    lines = axes.contour(*values, [1.1, 1.5, 2, 3], colors=line["color"], linewidths=line["linewidth"])
    labels = axes.clabel(lines, fontsize=7, inline=False, manual=[(0.25, 0.37), (0.2, 0.7), (0.2, 0.82), (0.2, 0.93)])
    for label in labels:
        label.set_verticalalignment("bottom")
    axes.plot(decay, decay, **line)
    label_point(axes, "1", (0.35, 0.35), (-3, 3), color=line["color"], ha="right", fontsize=7)
    axes.plot(edge, decay, **predicted())
    axes.plot(adam.continuous_largest_stable_momentum(decay), decay, **BASELINE)
    axes.plot(data["boundary"], data["boundary_decay"], "o", color=COLOR["rmsprop"], markersize=4)
    for (momentum, square_decay), color in zip(SETTINGS, COLORS, strict=True):
        axes.plot(momentum, square_decay, "*", color=color, markersize=9, markeredgecolor="white",
                  markeredgewidth=0.5, clip_on=False, zorder=5)  # fmt: skip
    label_point(axes, "default", SETTINGS[0], (0, 5), color=COLORS[0], ha="center")
    label_point(axes, "no bound,\n$\\beta > \\sqrt{\\rho}$", (0.76, 0.22), color=COLOR["rmsprop"], ha="center")
    label_point(axes, "continuous time", (0.36, 0.035), color=BASELINE["color"])
    axes.plot([0.35, 0.235], [0.055, 0.135], color=BASELINE["color"], linewidth=0.6)
    axes.set(xlabel="momentum $\\beta$", ylabel="memory of squares $\\rho$", xlim=(0, 1), ylim=(0, 1))


def _draw_updates(axes, data: xr.Dataset) -> None:
    for index, color in enumerate(COLORS):
        row = data.isel(setting=index)
        axes.plot(data["update_step"], row["continuous"], **BASELINE)
        axes.plot(data["update_step"], row["law"], **predicted())
        axes.plot(data["worst_step"], row["worst"], "o", color=color, markersize=3.5, clip_on=False)
        axes.plot(data["update_step"], row["network_update"], color=color, linewidth=1)
    places = ((0, 298, 5.2, "right"), (1, 298, 0.22, "right"), (2, 298, 66, "right"))
    for index, x, y, side in places:
        momentum, square_decay = SETTINGS[index]
        text = f"$\\beta = {momentum:g}$, $\\rho = {square_decay:g}$"
        label_point(axes, text, (x, y), color=COLORS[index], ha=side)
    label_point(axes, "network", (298, 31), color=COLORS[2], ha="right")
    label_panel(axes, "dots: worst gradients\ndashed: bound\nthin: network", 0.03, 0.86)
    label_point(axes, "continuous\ntime", (96, 200), (-4, 0), color=BASELINE["color"], ha="right")
    axes.set(
        xlabel="step $n$", ylabel="largest update $|u_n|$", yscale="log", xlim=(0, NETWORK_STEPS), ylim=(0.15, 1e4)
    )


def caption(data: xr.Dataset) -> str:
    settings = ", ".join(f"({b:g}, {r:g})" for b, r in SETTINGS)
    return (
        "Adam's updates are bounded if and only if $\\beta < \\sqrt\\rho$. **(a)** Lines: the largest update, in "
        "units of the learning rate, that any sequence of gradients can cause, over the memory $\\beta$ of gradients "
        "and $\\rho$ of squares. Beyond the dashed curve there is no bound; dots: where running Adam puts that curve; "
        "dotted: where continuous time puts it. **(b)** The largest update after $n$ steps at the three stars, "
        f"$(\\beta, \\rho) =$ {settings}. Dots: Adam, run on the worst gradients; dashed: the bound; dotted: the bound "
        "in continuous time; thin lines: the largest entry of the updates of a network that learns digits at $\\eta = "
        f"{data.attrs['learning_rate']:g}$ w. After {NETWORK_STEPS} steps the worst gradients are off the bound by "
        f"{power(attained(data))} of it."
    )


def attained(data: xr.Dataset) -> float:
    """Largest relative difference between the bound and the update that the worst gradients cause."""
    law = data["law"].sel(update_step=data["worst_step"].values).values
    return float(np.abs(data["worst"].values / law - 1).max())


def alt(data: xr.Dataset) -> str:
    last = data["law"].values[:, -1]
    return (
        "Left: the plane of momentum and memory of squares. Level lines of the largest update fan out from a straight "
        "line of value 1, and dots lie on a dashed curve beyond which there is no bound; a dotted curve runs inside. "
        f"Right: largest updates over steps. Two dashed curves end at {last[0]:.1f} and {last[1]:.1f}, a third rises "
        f"to {last[2]:.0f}. Dots lie on all three, the network's curves below them."
    )
