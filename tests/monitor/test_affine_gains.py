"""Gains written 1 + w have their books: it is the sum that scales, and the law is exact with the affine generator."""

import pytest
import torch
from torch import nn

import nld
from nld.finder import Block, Member
from nld.theory.discrete import charge_change
from tests.finder.models import OnePlusNorm

OPTIMIZERS = {
    "heavy ball": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2),
    "no momentum": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=1e-2),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01),
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), OnePlusNorm(5), nn.ReLU(), nn.Linear(5, 2)).double()


def gain(model: nn.Module, x: torch.Tensor) -> Block:
    (block,) = [block for block in nld.find_symmetries(model, x) if block.kind == "rescale"]
    return block


def test_the_gain_scales_about_minus_one():
    model = network()
    block = gain(model, torch.randn(9, 3).double())
    assert [(m.parameter, m.coefficient, m.offset) for m in block.members] == [("1.weight", 1, 1), ("3.weight", -1, 0)]
    assert "1 + 1.weight" in block.describe()
    point = block.point({name: p.detach() for name, p in model.named_parameters()})
    moved = block.symmetry().transform(point, 0.5)
    torch.testing.assert_close(moved[0], 1.5 * (point[0] + 1) - 1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_law_books_of_an_affine_gain_balance(name):
    model, x = network(), torch.randn(20, 9, 3).double()
    block = gain(model, x[0])
    optimizer = OPTIMIZERS[name](model.parameters())
    weight, q, squares = model[1].weight, [], []
    with nld.Monitor(model, optimizer, [block]) as monitor:
        for batch in x:
            q.append(weight.detach().clone())
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()
    record = monitor.record()
    assert float(record.relative_residual.max()) < 1e-12
    head = model[3].weight
    squares = torch.stack(q).square()
    incoming = record.squared_norm.values[:, 0] - squares.numpy()
    assert float(abs(incoming[-1] - head.detach().square().sum(0).numpy()).max()) < 0.1  # each weight counts once


def test_law_a_charge_that_forgets_the_one_does_not_balance():
    model, x = network(), torch.randn(20, 9, 3).double()
    block = gain(model, x[0])
    wrong = Block("rescale", "wrong", (Member("1.weight", (5,)), Member("3.weight", (2, 5), (1,), -1.0)))
    optimizer = OPTIMIZERS["heavy ball"](model.parameters())
    with nld.Monitor(model, optimizer, [block, wrong]) as monitor:
        for batch in x:
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()
    worst = monitor.record().relative_residual.max(["step", "unit"]).values
    assert worst[0] < 1e-12
    assert worst[1] > 1e-2


def test_law_the_theory_has_the_same_charge():
    """The record's changes of charge are those of ``charge_change`` with the affine generator."""
    model, x = network(), torch.randn(12, 9, 3).double()
    block = gain(model, x[0])
    rule = nld.heavy_ball(learning_rate=0.1, momentum=0.9, weight_decay=1e-2)
    optimizer = OPTIMIZERS["heavy ball"](model.parameters())
    parameters = dict(model.named_parameters())
    before, expected = None, []
    with nld.Monitor(model, optimizer, [block]) as monitor:
        for batch in x:
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            now = block.point({name: p.detach().clone() for name, p in parameters.items()})
            state = {name: optimizer.state[p].get("momentum_buffer") for name, p in parameters.items()}
            zero = {n: torch.zeros_like(p) if state[n] is None else state[n].clone() for n, p in parameters.items()}
            # PyTorch's buffer is the gradient's sum, the rule's the step: they differ by a factor
            buffer = [rule.gradient_weight * part for part in block.point(zero)]
            expected.append(charge_change(rule, block.symmetry(), buffer, before or now, now))
            before = now
            optimizer.step()
    change = torch.tensor(rule.gradient_weight * monitor.record().charge.sum("unit").values[:, 0])
    torch.testing.assert_close(change.diff(), torch.stack(expected)[1:], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["scale", "translation", "rotation"])
def test_only_rescale_blocks_have_an_offset(kind):
    with pytest.raises(nld.errors.InvalidInput, match="rescale blocks only"):
        Block(kind, "gain", (Member("weight", (5,), offset=1.0),))


def test_advice_takes_such_a_gain_for_one_that_the_loss_sees():
    """Its weight is no factor: what decays to zero is w, and the gain goes to one."""
    model = network()
    groups = nld.param_groups(model, torch.randn(9, 3).double())
    (part,) = groups.parts["1.weight"]
    assert part.scale == "none"
