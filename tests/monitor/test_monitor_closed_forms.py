"""Closed forms of a diagnosis on records that are written down by hand."""

import math

import pytest
import torch
from torch import nn

import nld
from nld.finder import Block, Member
from nld.monitor.diagnosis import equilibrium_step

# form: the squared angle a step, of η, β, c and k
ANGLES = {
    "heavy_ball": lambda rate, beta, c, k: 2 * rate * c * k / (1 + beta),
    "nesterov": lambda rate, beta, c, k: 2 * rate * c * k / (1 + beta) * (1 + 2 * beta - 2 * beta**3),
    "decoupled": lambda rate, beta, c, k: 2 * rate * k * (1 - beta) / (1 + beta),
}
KINDS = {
    "heavy_ball": ("SGD", {"lr": 0.3, "momentum": 0.6, "dampening": 0.2, "weight_decay": 0.05}, (0.3, 0.6, 0.8, 0.05)),
    "nesterov": ("SGD", {"lr": 0.3, "momentum": 0.6, "nesterov": True, "weight_decay": 0.05}, (0.3, 0.6, 1.0, 0.05)),
    "decoupled": ("AdamW", {"lr": 0.3, "betas": (0.6, 0.9), "weight_decay": 0.05}, (0.3, 0.6, 0.4, 0.05)),
}


def watched(kind, options, steps=2, lost=None):
    weight = nn.Parameter(torch.ones(5, 4, dtype=torch.float64))
    small = nn.Parameter(torch.ones(1, 4, dtype=torch.float64))
    optimizer = getattr(torch.optim, kind)([weight, small], **options)
    blocks = [Block("scale", "w", (Member("w", (5, 4)),)), Block("scale", "small", (Member("small", (1, 4)),))]
    with nld.Monitor(nn.ParameterDict({"w": weight, "small": small}), optimizer, blocks) as monitor:
        for _ in range(steps):
            weight.grad, small.grad = torch.ones_like(weight), torch.ones_like(small)
            optimizer.step()
        if lost is not None:
            with torch.no_grad():
                weight[lost] = float("nan")
            optimizer.step()
    return monitor.record()


@pytest.mark.parametrize("form", ANGLES)
def test_the_angle_at_equilibrium_is_its_formula(form):
    kind, options, numbers = KINDS[form]
    angle = equilibrium_step(watched(kind, options)).sel(block="w")
    assert angle.values == pytest.approx(math.sqrt(ANGLES[form](*numbers)), rel=1e-12)


@pytest.mark.parametrize("lost", range(5))
def test_a_lost_weight_is_seen_in_whichever_unit_and_nowhere_else(lost):
    """Units that a smaller block does not have are no lost weights."""
    kind, options, _ = KINDS["heavy_ball"]
    texts = [f.text for f in nld.monitor.findings(watched(kind, options, lost=lost)) if f.topic == "weights"]
    assert texts == ["From step 2 on there are weights that are not finite (w): the run diverged."]
    assert not [f for f in nld.monitor.findings(watched(kind, options)) if f.topic == "weights"]
