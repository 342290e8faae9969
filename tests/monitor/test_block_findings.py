"""Findings about blocks of every kind: each from the smallest run that has it, with its numbers by hand."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nld
from nld.finder import Block, Member
from nld.monitor.block_findings import imbalance, power, relative_step
from nld.monitor.finding import tolerance
from tests.monitor.zoo import BLOCKS, train, zoo

ROWS = Block("scale", "rows", (Member("w", (3, 4)),))


def driven(gradient, kind="SGD", steps=40, blocks=(ROWS,), size=1.0, units="all", **options):
    """A record of weights whose gradient at step n is ``gradient(q, n)``, and the weights before each step."""
    torch.manual_seed(0)
    weight = nn.Parameter(size * torch.randn(3, 4, dtype=torch.float64))
    optimizer, seen = getattr(torch.optim, kind)([weight], **options), []
    with nld.Monitor(nn.ParameterDict({"w": weight}), optimizer, blocks, units=units) as monitor:
        for step in range(steps):
            seen.append(weight.detach().clone())
            weight.grad = gradient(weight.detach(), step)
            optimizer.step()
    return monitor.record(), torch.stack([*seen, weight.detach()])


def noise(q, step):
    """At right angles to each row, as of a scale symmetry."""
    draw = torch.randn_like(q)
    return draw - q * (draw * q).sum(1, keepdim=True) / q.square().sum(1, keepdim=True)


def said(record, topic, start=""):
    return [f for f in nld.monitor.findings(record) if f.topic == topic and f.text.startswith(start)]


@pytest.mark.parametrize(
    ("kind", "options"), [("AdamW", {}), ("SGD", {}), ("SGD", {"momentum": 0.9, "nesterov": True})]
)
def test_a_decay_that_does_nothing_is_told_with_the_run_in_which_it_would(kind, options):
    options = options | {"lr": 1e-3 * (1 - options.get("momentum", 0.0)), "steps": 50}
    (finding,) = said(driven(noise, kind, weight_decay=0.1, **options)[0], "decay")
    assert not finding.good
    assert "Weight decay takes 0.5% of a weight in these 50 steps" in finding.text
    assert finding.text.endswith("It is felt in a run 200 times as long.")
    for decay in (2.0, 0.0):
        assert not said(driven(noise, kind, weight_decay=decay, **options)[0], "decay", "Weight decay takes")


def test_weights_that_only_decay_moves():
    record, weights = driven(lambda q, step: torch.zeros_like(q), "AdamW", lr=0.1, weight_decay=0.5)
    (finding,) = said(record, "decay")
    assert "Nothing but weight decay moves rows" in finding.text
    assert float(weights[-1].norm() / weights[0].norm()) == pytest.approx(0.95**40)


def test_relative_steps_by_hand():
    record, weights = driven(noise, "AdamW", lr=0.01)
    expected = (weights[1:] - weights[:-1]).flatten(1).norm(dim=1) / weights[:-1].flatten(1).norm(dim=1)
    np.testing.assert_allclose(relative_step(record).sel(block="rows"), expected, rtol=1e-9)


@pytest.mark.parametrize(("lr", "good"), [(5.0, False), (0.001, True)])
def test_steps_that_replace_a_block(lr, good):
    record, _ = driven(noise, "AdamW", steps=12, lr=lr, weight_decay=0.0, betas=(0.0, 0.9))
    findings = said(record, "rate", "rows: a step moves it")
    assert bool(findings) == (not good)
    assert all("Lower its learning rate" in finding.text for finding in findings)


def test_blocks_that_learn_at_different_speeds():
    block = [Block("scale", name, (Member("w", (1, 4), narrow=((0, row, 1),)),)) for row, name in enumerate("ab")]
    slow = torch.tensor([[1e-3], [1.0], [1.0]])
    record, _ = driven(lambda q, step: noise(q, step) * slow, "SGD", lr=1e-3, blocks=block)
    (finding,) = said(record, "rate", "Blocks learn at different speeds: a step moves b by")
    assert "and a by" in finding.text


def test_law_imbalance_is_what_one_side_has_more_than_the_other():
    network, optimizer = zoo("momentum")
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 1)
    record = monitor.record()
    seen = set()
    for block in BLOCKS:
        total = 0.0
        for member, rows in zip(block.members, block.point(before), strict=True):
            if block.kind.is_constant:
                total = total + member.coefficient * rows.sum(-1)
            elif block.kind.is_matrix:
                total = total + member.coefficient * rows @ rows.transpose(-1, -2)
            else:
                total = total + member.coefficient * rows.square().sum(-1)
        if block.kind.is_antisymmetric:
            total = (total - total.transpose(-1, -2)) / 2
        if block.kind.is_matrix:
            total = total.flatten(1).norm(dim=1)
        measured = record.imbalance.sel(block=block.name).values[0, : block.units]
        np.testing.assert_allclose(measured, total, atol=1e-5)
        seen.add(block.kind.value)
    assert {"rescale", "general_linear", "rotation", "translation"} <= seen


class Heads(nn.Module):
    """Two heads of attention scores, a query of which grows."""

    def __init__(self):
        super().__init__()
        self.query = nn.Parameter(0.3 * torch.randn(2, 3, 5))
        self.key = nn.Parameter(0.3 * torch.randn(2, 3, 5))


@pytest.mark.parametrize("grows", [False, True])
def test_a_head_whose_query_outgrows_its_key(grows):
    torch.manual_seed(0)
    model = Heads()
    members = (Member("query", (2, 3, 5), matrix_axis=1), Member("key", (2, 3, 5), matrix_axis=1, coefficient=-1.0))
    block = Block("general_linear", "query → key", members)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with nld.Monitor(model, optimizer, [block]) as monitor:
        for _ in range(30):
            model.query.grad, model.key.grad = torch.zeros_like(model.query), torch.zeros_like(model.key)
            if grows:
                model.query.grad[1] = -model.query.detach()[1]
            else:
                model.key.grad[0, 0, 0] = 1e-6
            optimizer.step()
    record = monitor.record()
    (finding,) = said(record, "balance")
    assert finding.good == (not grows)
    if grows:
        assert "head 1 of query → key" in finding.text
        q, k = model.query.detach()[1], model.key.detach()[1]
        by_hand = (q @ q.T - k @ k.T).norm() / (q.square().sum() + k.square().sum())
        assert float(imbalance(record).isel(step=-1, unit=1)[0]) == pytest.approx(float(by_hand), rel=0.1)


@pytest.mark.parametrize("units", ["all", "mean"])
def test_units_that_die(units):
    def gradient(q, step):
        alive = torch.ones(3, 1, dtype=q.dtype)
        alive[1] = step < 10
        return noise(q, step) * alive

    record, _ = driven(gradient, "SGD", lr=0.01, units=units)
    findings = said(record, "gradient", "rows: 1 of 3 units have no gradient in the last 20 steps recorded, 1 of which")
    assert len(findings) == (units == "all")


@pytest.mark.parametrize("grows", [0.0, 0.05])
def test_a_gradient_that_grows_is_split_into_weights_that_shrink_and_the_rest(grows):
    def gradient(q, step):
        direction = F.normalize(noise(q, step), dim=1)
        return 1e-3 * np.exp(grows * step) * direction / q.norm(dim=1, keepdim=True)

    record, weights = driven(gradient, "SGD", steps=60, lr=0.1, weight_decay=0.2)
    (finding,) = said(record, "gradient")
    whole, short, rest = (float(x) for x in re.findall(r"([\d.]+)-fold", finding.text))
    ends = [weights[:6].square().sum(2).mean().sqrt(), weights[54:60].square().sum(2).mean().sqrt()]
    assert short == pytest.approx(float(ends[0] / ends[1]), rel=0.06)
    assert rest == pytest.approx(np.exp(grows * 54), rel=0.1)
    assert whole == pytest.approx(short * rest, rel=0.06)
    assert finding.good == (not grows)
    assert ("divergence" in finding.text) == (not grows)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(("times", "seen"), [(0.5, False), (2.0, True)])
def test_law_a_violation_of_the_power_is_where_the_books_begin_to_show_it(momentum, times, seen):
    """A constant part of the gradient along the weights, of the size that the block's power says, or not."""
    options = {"lr": 1e-6, "momentum": momentum, "steps": 400}
    record, _ = driven(noise, **options)
    smallest = float(power(record).sel(block="rows"))
    assert smallest >= tolerance(record) * 0.9

    def broken(q, step):
        g = noise(q, step)
        return g + times * smallest * g.norm(dim=1, keepdim=True) * F.normalize(q, dim=1)

    other, _ = driven(broken, **options)
    typical = float(other.relative_residual.isel(step=slice(100, None)).median())
    assert (typical > tolerance(record)) == seen


@pytest.mark.parametrize(("beta", "falls", "seen"), [(0.999, True, True), (0.999, False, False), (0.9, True, False)])
def test_denominators_that_remember_too_long(beta, falls, seen):
    def gradient(q, step):
        return noise(q, step) * (np.exp(-0.1 * step) if falls else 1.0)

    record, _ = driven(gradient, "AdamW", steps=60, lr=1e-3, betas=(0.9, beta))
    findings = said(record, "gradient", f"β₂ = {beta:g} remembers")
    assert bool(findings) == seen
