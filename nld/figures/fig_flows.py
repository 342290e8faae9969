"""Which motions a symmetry carries along without a change of kinetic energy depends on the geometry.

A point and its velocity are carried along by translation, rotation and scale; the kinetic energy on the way is
computed by its definition from a Bregman divergence, and its slope is what theory calls kinetic symmetry breaking.
Paper: Eq 5 to 7.
"""

import numpy as np
import xarray as xr

from nld import symmetry
from nld.figures._data.orders_of_accuracy import exponent
from nld.figures._render.style import COLOR, new_figure, predicted
from nld.figures._render.text import number, power_above
from nld.inference import Evidence, Verdict, rule
from nld.learning_rules import potentials
from nld.theory import bregman
from nld.theory.noether import kinetic_symmetry_breaking_at

POINT, VELOCITY = np.array([1.0, 0.5]), np.array([-0.15, 0.45])
REACH = {"translation": 0.4, "rotation": 0.4, "scale": 0.6}  # largest parameter s shown
FAMILIES = {
    "translation": symmetry.translation((1, 0.6)),
    "rotation": symmetry.rotation(),
    "scale": symmetry.scale(),
}
GEOMETRIES = {
    "Euclidean": (potentials.euclidean, bregman.euclidean),
    "entropy": (potentials.entropy, bregman.entropy),
    "Burg": (potentials.burg, bregman.burg),
}
CURVED = ("entropy", "Burg")  # geometries whose metric varies from point to point
SMALL_MASSES = (1e-2, 5e-3, 2.5e-3)  # at which the order of Eq 7 is measured
SLOPE_STEP = 1e-4  # half width of the difference that measures a slope


def compute(profile: str, *, mass: float = 0.2) -> xr.Dataset:
    """Carried points and velocities, kinetic energies on the way, and slopes at the start, predicted and measured.

    Args:
        mass: m = e^{-alpha}, in w²/ℓ: how far ahead the velocity leads in T = D_h(q + m v, q)/m. The quick and the
            paper's profile are one.
    """
    share = np.linspace(-1, 1, 81)
    carried = np.array([[carry(name, s * REACH[name]) for s in share] for name in FAMILIES])
    energy = [[kinetic_energy(h, p[:, 0], p[:, 1], mass) for p in carried] for h, _ in GEOMETRIES.values()]
    start = list(POINT), list(VELOCITY)
    slope = [
        [kinetic_symmetry_breaking_at(g, s, *start, mass) for s in FAMILIES.values()] for _, g in GEOMETRIES.values()
    ]
    quotient = [[measured_slope(h, s, mass) for s in FAMILIES] for h, _ in GEOMETRIES.values()]
    motion = {"units": "w, ℓ/w", "long_name": "position, velocity"}
    breaking = {"units": "ℓ", "long_name": "kinetic symmetry breaking"}
    difference = {"units": "ℓ", "long_name": "difference quotient of the energy"}
    reach = np.array(list(REACH.values()))[:, None]
    return xr.Dataset(
        {
            "carried": (("symmetry", "share", "part", "axis"), carried, motion),
            "parameter": (("symmetry", "share"), reach * share, {"long_name": "parameter s"}),
            "energy": (("geometry", "symmetry", "share"), energy, {"units": "ℓ", "long_name": "kinetic energy"}),
            "predicted_slope": (("geometry", "symmetry"), slope, breaking),
            "remainder_order": (("curved_geometry",), [remainder_order(name) for name in CURVED], {"units": "1"}),
            "measured_slope": (("geometry", "symmetry"), quotient, difference),
        },
        coords={
            "curved_geometry": list(CURVED),
            "geometry": list(GEOMETRIES),
            "symmetry": list(FAMILIES),
            "part": ["position", "velocity"],
        },
        attrs={"mass": mass},
    )


def carry(name: str, s: float) -> np.ndarray:
    """Position Q(q, s) and velocity dQ/dt, shape (2, 2); the families here are affine in q."""
    transform = FAMILIES[name].transform
    there, ahead = (np.array(transform(tuple(x), s)) for x in (POINT, POINT + VELOCITY))
    return np.stack([there, ahead - there])


def kinetic_energy(h: potentials.Potential, q: np.ndarray, v: np.ndarray, mass: float) -> np.ndarray:
    """T_h = D_h(q + m v, q)/m by the definition of the divergence; shapes (..., 2) to (...)."""
    return (h.value(q + mass * v) - h.value(q) - (h.gradient(q) * mass * v).sum(-1)) / mass


def measured_slope(h: potentials.Potential, name: str, mass: float) -> float:
    """Central difference quotient of the kinetic energy at s = 0."""
    below, above = (kinetic_energy(h, *carry(name, s), mass=mass) for s in (-SLOPE_STEP, SLOPE_STEP))
    return float(above - below) / (2 * SLOPE_STEP)


def remainder_order(name: str) -> float:
    """Order in m of T_h - (m/2) <v, hess h(q) v>, by the definition of the divergence; Eq 7 says 2.

    The Hessian is taken from the gradient by a central difference.
    """
    h, step = GEOMETRIES[name][0], 1e-6
    curvature = (h.gradient(POINT + step * VELOCITY) - h.gradient(POINT - step * VELOCITY)) @ VELOCITY / (2 * step)
    left = [abs(kinetic_energy(h, POINT, VELOCITY, m) - m / 2 * curvature) for m in SMALL_MASSES]
    return exponent(SMALL_MASSES, left)


def relative(data: xr.Dataset, name: str) -> np.ndarray:
    """A slope over the energy at s = 0, shape (geometry, symmetry)."""
    middle = data.sizes["share"] // 2
    return data[name].values / data["energy"].values[:, :, middle]


def judge(data: xr.Dataset) -> list[Verdict]:
    """The power of e^{-alpha} = m in the measured slope of the Euclidean energy under scale, and the order of Eq 7."""
    velocity = data["carried"].sel(symmetry="scale", part="velocity").isel(share=data.sizes["share"] // 2).values
    slope = float(data["measured_slope"].sel(geometry="Euclidean", symmetry="scale"))
    power_of_mass = float(np.log(slope / (velocity**2).sum()) / np.log(data.attrs["mass"]))
    numbers = (
        f"The measured slope of the Euclidean kinetic energy under scale is $\\lVert\\dot q\\rVert^2$ times "
        f"$e^{{-\\alpha}}$ to the power {power_of_mass:.3f}; T&K (6) itself gives the first power, the printed "
        "example the second."
    )
    powers = {"second power": abs(power_of_mass - 2) < 0.01, "first power": abs(power_of_mass - 1) < 0.01}
    orders = data["remainder_order"].values
    left = ", ".join(
        f"{order:.3f} for {name}" for name, order in zip(data["curved_geometry"].values, orders, strict=True)
    )
    return rule([
        Evidence("scale-breaking-power", numbers, checks=powers),
        Evidence(
            "general-metric-energy",
            f"Order in $e^{{-\\alpha}}$ of what the leading term leaves: {left}; claimed is 2.",
            checks={"order": bool(np.abs(orders - 2).max() < 0.05)},
        ),
    ])  # fmt: skip


def draw(data: xr.Dataset):
    """Above, the velocity carried along each flow; below, the kinetic energy on the way in each geometry."""
    figure, axes = new_figure(2, 3, size=(6.4, 4.9), height_ratios=[1.15, 1], sharex="row", sharey="row")
    colors = [COLOR[name.lower()] for name in data["geometry"].values]
    middle = data.sizes["share"] // 2
    for column, name in enumerate(data["symmetry"].values):
        plane, energies = axes[:, column]
        _draw_flow(data["carried"].values[column], plane)
        plane.set_title(name)
        s = data["parameter"].values[column]
        for index, color in enumerate(colors):
            values = data["energy"].values[index, column]
            energies.plot(s, values / values[middle], color=color)
        for slope in relative(data, "predicted_slope")[:, column]:
            near = np.array([-0.17, 0.17])
            energies.plot(near, 1 + slope * near, **predicted(linewidth=1.6))
        energies.set(ylim=(0, 2.6), xlabel="parameter $s$")
        plane.set_xlabel("$q_1$ [w]")
    axes[0, 0].set_ylabel("$q_2$ [w]")
    axes[1, 0].set_ylabel("kinetic energy $T_h(s)/T_h(0)$")
    for index, (name, color) in enumerate(zip(data["geometry"].values, colors, strict=True)):
        axes[1, 2].text(0.06, 0.9 - 0.1 * index, name, color=color, transform=axes[1, 2].transAxes)
    return figure


def _draw_flow(carried, plane) -> None:
    plane.plot(*carried[:, 0].T, color="#888888", linewidth=0.8)
    arrow = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.016, "color": COLOR["euclidean"]}
    shown = carried[:: len(carried) // 4]
    for (q, v), alpha in zip(shown, (0.6, 0.6, 1, 0.6, 0.6), strict=True):
        plane.quiver(*q, *v, alpha=alpha, **arrow)
    plane.plot(0, 0, "+", color="#888888")
    plane.set(aspect="equal", xlim=(-0.1, 1.75), ylim=(-0.1, 1.6))


def caption(data: xr.Dataset) -> str:
    gap = np.abs(relative(data, "predicted_slope") - relative(data, "measured_slope")).max()
    scale = relative(data, "predicted_slope")[0, 2]
    return (
        "A geometry keeps some symmetries and breaks others. **Above:** a velocity (bold arrow) and where translation, "
        "rotation and scale carry it. **Below:** the kinetic energy on the way, by its definition $T_h = D_h(q + "
        "m\\dot q, q)/m$, for the Euclidean, the entropic and Burg's $h$ (coloured), with the slopes that kinetic "
        "symmetry breaking predicts at $s = 0$ (dashed). Translation and rotation leave the Euclidean energy alone and "
        f"scale changes it at the rate {scale:.3g}; Burg's does the opposite, and entropy keeps none. Predicted and "
        f"measured slopes differ by at most {power_above(gap)} of the energy; $m = {data.attrs['mass']:g}$ w²/ℓ."
    )


def alt(data: xr.Dataset) -> str:
    rows = relative(data, "measured_slope")
    listed = "; ".join(
        f"{name} {', '.join(number(x + 0, '.2f') for x in np.where(np.abs(row) < 1e-6, 0, row))}"
        for name, row in zip(data["geometry"].values, rows, strict=True)
    )
    return (
        "Above, arrows: shifted arrows are equal, rotated ones turn, scaled ones grow with the distance from the "
        "origin. Below, kinetic energies over the parameter of each flow; their relative slopes under translation, "
        f"rotation and scale are: {listed}."
    )
