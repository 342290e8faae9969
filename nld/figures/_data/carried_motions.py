"""A point and its velocity, carried along by a symmetry, and its kinetic energy in a geometry on the way."""

import numpy as np
import xarray as xr

from nld import symmetry
from nld.figures._data.orders_of_accuracy import exponent
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


def measured(mass: float) -> xr.Dataset:
    """Carried points and velocities, kinetic energies on the way, and slopes at the start, predicted and measured."""
    share = np.linspace(-1, 1, 81)
    carried = np.array([[carry(name, s * REACH[name]) for s in share] for name in FAMILIES])
    energy = np.array(
        [[kinetic_energy(h, points[:, 0], points[:, 1], mass) for points in carried] for h, _ in GEOMETRIES.values()]
    )
    slope = np.array(
        [
            [kinetic_symmetry_breaking_at(g, s, list(POINT), list(VELOCITY), mass) for s in FAMILIES.values()]
            for _, g in GEOMETRIES.values()
        ]
    )
    quotient = np.array([[measured_slope(h, s, mass) for s in FAMILIES] for h, _ in GEOMETRIES.values()])
    names = {"units": "ℓ", "long_name": "kinetic energy"}
    reach = np.array(list(REACH.values()))[:, None]
    return xr.Dataset(
        {
            "carried": (
                ("symmetry", "share", "part", "axis"),
                carried,
                {"units": "w, ℓ/w", "long_name": "position, velocity"},
            ),
            "parameter": (("symmetry", "share"), reach * share, {"long_name": "parameter s"}),
            "energy": (("geometry", "symmetry", "share"), energy, names),
            "predicted_slope": (
                ("geometry", "symmetry"),
                slope,
                {"units": "ℓ", "long_name": "kinetic symmetry breaking"},
            ),
            "remainder_order": (("curved_geometry",), [remainder_order(name) for name in CURVED], {"units": "1"}),
            "measured_slope": (
                ("geometry", "symmetry"),
                quotient,
                {"units": "ℓ", "long_name": "difference quotient of the energy"},
            ),
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
    below, above = (kinetic_energy(h, carry(name, s)[0], carry(name, s)[1], mass) for s in (-SLOPE_STEP, SLOPE_STEP))
    return float(above - below) / (2 * SLOPE_STEP)


def remainder_order(name: str) -> float:
    """Order in m of T_h - (m/2) <v, hess h(q) v>, by the definition of the divergence; Eq 7 says 2.

    The Hessian is taken from the gradient by a central difference.
    """
    h, step = GEOMETRIES[name][0], 1e-6
    curvature = (h.gradient(POINT + step * VELOCITY) - h.gradient(POINT - step * VELOCITY)) @ VELOCITY / (2 * step)
    left = [abs(kinetic_energy(h, POINT, VELOCITY, m) - m / 2 * curvature) for m in SMALL_MASSES]
    return exponent(SMALL_MASSES, left)
