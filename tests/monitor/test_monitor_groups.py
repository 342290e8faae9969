"""Parameter groups with settings of their own, and parameters that a step leaves out."""

import numpy as np
import pytest
import torch
from torch import nn

import nld
from nld.finder import Block, Member
from tests.monitor.zoo import BLOCKS, BOUND, loss_of, train, worst, zoo


def test_groups_with_different_rates_and_decays():
    network, _ = zoo()
    groups = [
        {"params": [p], "lr": 0.01 * (i + 1), "weight_decay": 0.01 * i} for i, p in enumerate(network.parameters())
    ]
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 15)
    record = monitor.record()
    assert worst(monitor) < BOUND
    assert set(record.note.values) == {""}
    assert float(record.weight_decay.sel(block="rows", step=0)) == 0.0
    assert float(record.learning_rate.sel(block="relu", step=0)) == pytest.approx(0.02)


def test_groups_with_different_momentum_are_named():
    network, _ = zoo()
    slow = [network.incoming]
    rest = [p for p in network.parameters() if p is not network.incoming]
    optimizer = torch.optim.SGD([{"params": slow, "momentum": 0.5}, {"params": rest}], lr=0.01, momentum=0.9)
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 10)
    record = monitor.record()
    residual = record.relative_residual.max(["step", "unit"])
    assert "different momentum" in str(record.note.sel(block="relu").values)
    assert float(residual.sel(block="relu")) < BOUND, "with one c, members with their own beta still balance"


def test_groups_with_different_coefficients_do_not_balance():
    network, _ = zoo()
    groups = [{"params": [p], "dampening": 0.5 * (i == 1)} for i, p in enumerate(network.parameters())]
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9)
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 10)
    record = monitor.record()
    assert "different coefficients" in str(record.note.sel(block="relu").values)
    assert float(record.relative_residual.sel(block="relu").max()) > 1e-3
    assert float(record.relative_residual.drop_sel(block="relu").max()) < BOUND
    said = [(f.block, f.good) for f in nld.monitor.findings(record) if "the books do not balance" in f.text]
    assert said == [("relu", False)]


def test_frozen_parameters():
    network, optimizer = zoo("adamw")
    network.incoming.requires_grad_(False)
    network.query_key.requires_grad_(False)
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 8)
        network.query_key.requires_grad_(True)
        train(network, optimizer, 8, first=8)
    record = monitor.record()
    assert "not balanced" in str(record.note.sel(block="relu").values)
    assert float(record.relative_residual.sel(block="relu").max()) > 1e-3
    assert float(record.relative_residual.drop_sel(block="relu").max()) < BOUND
    assert float(record.squared_step.sel(block="query-key", step=slice(0, 7)).max()) == 0.0


@pytest.mark.parametrize("name", ["momentum", "adamw", "rmsprop"])
def test_parameters_that_the_optimizer_is_given_later(name):
    network, optimizer = zoo(name)
    late = network.scaled
    group = optimizer.param_groups[0]
    group["params"] = [p for p in group["params"] if p is not late]
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 6)
        optimizer.add_param_group({"params": [late], "lr": 0.003})
        train(network, optimizer, 6, first=6)
    record = monitor.record()
    block = record.sel(block="rows")
    assert worst(monitor) < BOUND
    assert float(block.squared_step.sel(step=slice(0, 5)).max()) == 0.0
    assert float(block.squared_step.sel(step=slice(6, None)).max("unit").min()) > 0
    assert np.isnan(block.learning_rate.values[:6]).all()
    assert (block.learning_rate.values[6:] == 0.003).all()
    assert "another parameter group" in str(block.note.values)


def test_a_parameter_without_gradient_now_and_then():
    network, optimizer = zoo()
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        for step in range(12):
            optimizer.zero_grad()
            loss_of(network, step).backward()
            if step % 3 == 1:
                network.scaled.grad = network.rotated.grad = None
            optimizer.step()
    assert worst(monitor) < BOUND


@pytest.mark.parametrize("kind", ["SGD", "Adagrad"])
def test_sparse_gradients(kind):
    torch.manual_seed(0)
    table = nn.Embedding(6, 4, sparse=True).double()
    optimizer = getattr(torch.optim, kind)(table.parameters(), lr=0.1)
    block = Block("scale", "rows", (Member("weight", (6, 4)),))
    with nld.Monitor(table, optimizer, [block]) as monitor:
        for step in range(8):
            optimizer.zero_grad()
            rows = table(torch.tensor([step % 6, (step + 2) % 6]))
            (nn.functional.normalize(rows, dim=1).prod(1)).sum().backward()
            optimizer.step()
    assert float(monitor.record().squared_gradient.max()) > 0
    assert worst(monitor) < BOUND
