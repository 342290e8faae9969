"""Sentences of the chapter on rotational equilibrium that compare, each chosen by the data of fig-rotation."""

import numpy as np
import xarray as xr

from nld.inference import Verdict
from nld.inference.verdict import NEGLIGIBLE, OPEN, OPPOSITE, PASSES
from nld.learning_rules.decoupled import sgdp
from nld.theory import equilibrium
from nld.theory.rotation import rotational_equilibrium


def hurts(verdicts: list[Verdict]) -> str:
    """What the accuracies say of unbalanced rotation, beside the measured spread of angles."""
    findings = next(v for v in verdicts if v.claim == "balanced-rotation-generalizes").findings
    told = {
        PASSES: "That it hurts shows in this network, too, as in the deep ones of its source.",
        OPPOSITE: "In this network it does not hurt, as it does in the deep ones of its source: the opposite holds.",
        NEGLIGIBLE: "In this network it makes no difference that would matter, unlike in the deep ones of its source.",
        OPEN: "Whether it hurts, as in the deep networks of its source, this network is too small to show.",
    }
    return told[findings[0].outcome]


def closed_over_law() -> str:
    """By how much SGDP's closed norm exceeds that of all orders, at a decay and a momentum of its authors."""
    rule = sgdp(0.1, 0.9, 5e-3)
    ratio = equilibrium.squared_norm(rule, 1.0) / rotational_equilibrium(rule, 1.0).squared_norm
    return f"{100 * (ratio**0.5 - 1):.1f} %"


def long_memory(data: xr.Dataset) -> str:
    """What Lion's updates do over a memory of a hundred steps, by the angle that they turn its layers."""
    runs = data.isel(run=np.flatnonzero(data["network_momentum"] >= 0.99))
    ratio = float((runs["network_angle"] / runs["network_angle_law"]).mean())
    return "updates oppose each other" if ratio > 1 else "updates repeat each other"
