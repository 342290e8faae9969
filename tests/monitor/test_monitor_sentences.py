"""Sentences, lines and bounds by hand, each from the smallest case that has it."""

import pytest
import torch
from torch import nn

import nld
from nld.finder import Block, Member, Symmetries, table
from tests.monitor.test_monitor_diagnosis import spinning


def test_a_layer_at_its_equilibrium_needs_no_attention():
    record = spinning(steps=300, lr=0.1, momentum=0.8, weight_decay=0.05, units=60)
    (found,) = [f for f in nld.monitor.findings(record) if f.topic == "equilibrium"]
    assert (found.good, found.text) == (True, "layer is at its equilibrium: it turns by the predicted angle a step.")


def test_what_is_said_of_many_blocks_is_said_once():
    torch.manual_seed(0)
    layers = [layer for _ in range(5) for layer in (nn.Linear(6, 6, bias=False), nn.BatchNorm1d(6))]
    model, x = nn.Sequential(*layers), torch.randn(12, 6)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    blocks = [block for block in nld.find_symmetries(model, x) if block.kind == "scale"]
    with nld.Monitor(model, optimizer, blocks) as monitor:
        for _ in range(3):
            optimizer.zero_grad()
            (model(x) - x.roll(1, 1)).square().mean().backward()
            optimizer.step()
    (found,) = [f for f in nld.monitor.findings(monitor.record()) if f.topic == "equilibrium"]
    assert len(blocks) == 5
    assert (found.block, found.good) == ("", False)
    assert found.text.startswith(
        "Each of 0.weight, 2.weight, 4.weight and 2 more: without weight decay its norm has no"
    )


def test_a_bare_momentum_is_as_long_as_gradient_and_decay_may_make_it():
    """|residual| / ((|g| + k |q|) |A|): without a buffer π is gone when the step is booked."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(3, 4, dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=0.01, weight_decay=0.3)
    with nld.Monitor(
        nn.ParameterDict({"w": weight}), optimizer, [Block("scale", "w", (Member("w", (3, 4)),))]
    ) as monitor:
        q, weight.grad = weight.detach().clone(), torch.randn_like(weight)
        optimizer.step()
    along = (weight.grad * q).sum(1)
    expected = abs(along) / ((weight.grad.norm(dim=1) + 0.3 * q.norm(dim=1)) * q.norm(dim=1))
    written = monitor.record().relative_residual.values[0, 0]
    assert list(written) == pytest.approx(expected.tolist(), rel=1e-12)


def test_a_table_has_its_head_its_line_and_its_rows():
    blocks = [Block("scale", "rows", (Member("w", (3, 4)),), "a reason")]
    head, line, *rows = table(Symmetries(blocks)).splitlines()
    assert set(line) == {"-"}
    assert len(line) >= len(head)
    assert len(rows) == 1
    assert "rows" in rows[0] or "w" in rows[0]
