"""Adapters of optimizers outside torch.optim: Lion, AdamP and SGDP, run by nld's own rules and by a plain twin."""

import pytest
import torch

import nld
from nld.learning_rules import adamp, lion, sgdp, tangential
from nld.monitor import ADAPTERS, Adapter
from tests.monitor.zoo import BLOCKS, train, zoo

BOUND = 1e-10
STEPS = 100


class ByRule(torch.optim.Optimizer):
    """Steps of a learning rule, its buffers kept under the names that the authors of the rule use."""

    def __init__(self, parameters, rule, buffers, **group):
        super().__init__(parameters, {"lr": rule.learning_rate, "weight_decay": rule.weight_decay, **group})
        self.rule, self.buffers = rule, buffers

    @torch.no_grad()
    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            held = tuple(self.state[p].values())
            moved, held = self.rule.step(p.clone(), held, lambda _, p=p: p.grad)
            self.state[p].update(zip(self.buffers, held, strict=True))
            p.copy_(moved)


class InPlaceSGDP(torch.optim.Optimizer):
    """SGDP that removes the radial part from whatever moves the weights, the buffer itself without Nesterov."""

    @torch.no_grad()
    def step(self, closure=None):
        group = self.param_groups[0]
        for p in group["params"]:
            buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
            buffer.mul_(group["momentum"]).add_(p.grad, alpha=1 - group["dampening"])
            step = p.grad + group["momentum"] * buffer if group["nesterov"] else buffer
            step.copy_(tangential(p, step))
            p.mul_(1 - group["lr"] * group["weight_decay"] / (1 - group["momentum"])).sub_(group["lr"] * step)


RULES = {
    "Lion": (lion(1e-3, 0.9, 0.98, 0.1), ("exp_avg",), {"betas": (0.9, 0.98)}),
    "AdamP": (adamp(1e-2, 0.8, 0.99, 0.1), ("step", "exp_avg", "exp_avg_sq"), {"betas": (0.8, 0.99)}),
    "SGDP": (sgdp(1e-2, 0.9, 0.1), ("momentum",), {"momentum": 0.9}),
}
IN_PLACE = {"lr": 1e-2, "momentum": 0.9, "dampening": 0.2, "weight_decay": 1e-2}


def record(network, optimizer, adapter):
    with nld.Monitor(network, optimizer, BLOCKS, adapter=adapter) as monitor:
        train(network, optimizer, STEPS)
    return monitor.record()


@pytest.mark.parametrize("name", RULES)
def test_law_residual_vanishes_for_rules_outside_torch(name):
    rule, buffers, group = RULES[name]
    network, _ = zoo()
    books = record(network, ByRule(network.parameters(), rule, buffers, **group), ADAPTERS[name])
    assert float(books.relative_residual.max()) < BOUND
    assert (books.momentum == rule.momentum).all()
    assert float(abs(books.weight_decay_term).max()) == 0, "decoupled decay is no part of the momentum"
    for block in ("rows", "relu"):
        assert float(abs(books.kinetic_symmetry_breaking.sel(block=block)).max()) > 1e-6


def test_the_memory_of_lion_is_its_second_beta():
    rule, buffers, group = RULES["Lion"]
    network, _ = zoo()
    books = record(network, ByRule(network.parameters(), rule, buffers, **group), ADAPTERS["AdamP"])
    assert float(books.relative_residual.max()) > 1e-3


@pytest.mark.parametrize("nesterov", [True, False])
def test_law_residual_vanishes_for_sgdp_in_place(nesterov):
    network, _ = zoo()
    books = record(network, InPlaceSGDP(network.parameters(), {**IN_PLACE, "nesterov": nesterov}), ADAPTERS["SGDP"])
    assert float(books.relative_residual.max()) < BOUND
    assert (books.coefficient == (1 - 0.2 if nesterov else 1)).all()


def test_a_projected_buffer_is_no_sum_of_gradients():
    network, _ = zoo()
    optimizer = InPlaceSGDP(network.parameters(), {**IN_PLACE, "nesterov": False})
    books = record(network, optimizer, Adapter("momentum", 0.9, 1 - 0.2, decoupled=True))
    assert float(abs(books.charge.sel(block="rows")).max()) < 1e-12, "the projection sets the charge to zero"
    assert float(books.relative_residual.sel(block="rows").max()) > 1e-3


def test_a_namesake_is_not_taken_for_it_but_told_of_its_adapter():
    class Lion(torch.optim.SGD):
        def step(self, closure=None): ...

    network, _ = zoo()
    with pytest.raises(TypeError, match=r"got .*Lion.*of Lion, AdamP, SGDP.*ADAPTERS\['Lion'\]"):
        nld.Monitor(network, Lion(network.parameters(), lr=0.1), BLOCKS)
