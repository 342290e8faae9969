"""Optimizers that are not of torch.optim: with an adapter, known by name, and without exact books."""

import numpy as np
import pytest
import torch

import nld
from nld.monitor import ADAPTERS, Adapter
from nld.monitor.optimizers import REASONS
from tests.monitor.zoo import BLOCKS, BOUND, loss_of, train, worst, zoo


def test_unknown_optimizers_say_what_is_known():
    network, _ = zoo()
    with pytest.raises(TypeError, match=r"AdamW.*LBFGS"):
        nld.Monitor(network, torch.optim.LBFGS(network.parameters()), BLOCKS)
    with pytest.raises(TypeError, match="SparseAdam"):
        nld.Monitor(network, torch.optim.SparseAdam(network.parameters()), BLOCKS)


class Twice(torch.optim.SGD):
    """Evaluates its closure twice a step."""

    def step(self, closure=None):
        closure()
        return super().step(closure)


class Heavy(torch.optim.Optimizer):
    """A heavy ball of its own, with decoupled decay: q <- (1 - lr k) q - lr π, π <- b π + 2 g."""

    def __init__(self, parameters, lr, b, k):
        super().__init__(parameters, {"lr": lr, "b": b, "k": k})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                pi = self.state[p].setdefault("pi", torch.zeros_like(p))
                pi.mul_(group["b"]).add_(p.grad, alpha=2.0)
                p.mul_(1 - group["lr"] * group["k"]).sub_(group["lr"] * pi)


def test_an_optimizer_with_an_adapter():
    network, _ = zoo()
    optimizer = Heavy(network.parameters(), lr=0.01, b=0.8, k=0.1)
    with pytest.raises(TypeError, match="Adapter"):
        nld.Monitor(network, optimizer, BLOCKS)
    adapter = Adapter("pi", lambda group: group["b"], 2.0, lambda group: group["k"], decoupled=True)
    with nld.Monitor(network, optimizer, BLOCKS, adapter=adapter) as monitor:
        train(network, optimizer, 10)
    record = monitor.record()
    assert worst(monitor) < BOUND
    assert float(record.momentum[0, 0]) == 0.8
    assert float(abs(record.kinetic_symmetry_breaking.sel(block="rows")).max()) > 0
    wrong = Adapter("pi", 0.5, 2.0)
    with nld.Monitor(network, optimizer, BLOCKS, adapter=wrong) as monitor:
        train(network, optimizer, 5)
    assert worst(monitor) > 1e-3, "a wrong adapter must show"


def test_a_second_gradient_in_one_step_is_refused():
    network, _ = zoo()
    optimizer = Twice(network.parameters(), lr=0.01)
    monitor = nld.Monitor(network, optimizer, BLOCKS, adapter=Adapter(None))
    with pytest.raises(RuntimeError, match="once a step"):
        optimizer.step(lambda: loss_of(network, 0).backward())
    monitor.close()


class Prodigy(torch.optim.Optimizer):
    """The momentum of Prodigy as its authors keep it: scaled by an estimate d that grows."""

    def __init__(self, parameters, **group):
        super().__init__(parameters, {"lr": 1.0, "betas": (0.9, 0.999), "weight_decay": 0.0, "d": 1e-3, **group})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                decay = 0.0 if group["decouple"] else group["weight_decay"]
                mean = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                mean.mul_(0.9).add_(p.grad + decay * p, alpha=group["d"] * (1 - 0.9))
                p.sub_(group["lr"] * mean)
            group["d"] *= 1.05


class Adan(torch.optim.Optimizer):
    """Adan's first mean; its second, of differences, is in the displacement."""

    def __init__(self, parameters, **group):
        super().__init__(parameters, {"lr": 1e-3, "betas": (0.98, 0.92, 0.99), "weight_decay": 0.02, **group})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                mean, change = (state.setdefault(k, torch.zeros_like(p)) for k in ("exp_avg", "exp_avg_diff"))
                last = state.setdefault("last", p.grad.clone())
                mean.mul_(0.98).add_(p.grad, alpha=1 - 0.98)
                change.mul_(0.92).add_(p.grad - last, alpha=1 - 0.92)
                state["last"] = p.grad.clone()
                p.sub_(group["lr"] * (mean + 0.92 * change)).div_(1 + group["lr"] * group["weight_decay"])


TWINS = {
    "Prodigy": (Prodigy, {"decouple": True, "weight_decay": 0.1}),
    "Prodigy, coupled": (Prodigy, {"decouple": False, "weight_decay": 0.1}),
    "Adan": (Adan, {}),
}


@pytest.mark.parametrize("name", TWINS)
def test_law_residual_vanishes_for_twins_of_optimizers_outside_torch(name):
    kind, options = TWINS[name]
    network, _ = zoo()
    optimizer = kind(network.parameters(), **options)
    with nld.Monitor(network, optimizer, BLOCKS, adapter=ADAPTERS[kind.__name__]) as monitor:
        train(network, optimizer, 30)
    assert float(monitor.record().relative_residual.max()) < BOUND


@pytest.mark.parametrize("name", REASONS)
def test_an_optimizer_without_exact_books_says_why_and_what_can_be_followed(name):
    network, _ = zoo()
    kind = type(name, (torch.optim.SGD,), {"step": lambda self, closure=None: torch.optim.SGD.step(self, closure)})
    optimizer = kind(network.parameters(), lr=0.01)
    with pytest.raises(TypeError) as caught:
        nld.Monitor(network, optimizer, BLOCKS)
    assert REASONS[name] in str(caught.value)
    assert "norms, angles and violations are kept as ever" in str(caught.value)
    with nld.Monitor(network, optimizer, BLOCKS, adapter=Adapter(momentum_buffer=None)) as monitor:
        train(network, optimizer, 3)
    assert float(monitor.record().squared_step.sel(block="rows").min()) > 0


def test_a_rate_that_the_optimizer_chooses_itself_is_no_number():
    """As that of transformers' Adafactor, whose lr is None; its charges are those of the bare gradient."""

    class Adafactor(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                p.sub_(1e-3 * p.grad / p.grad.norm())

    whole, _ = zoo()
    optimizer = Adafactor(whole.parameters(), {"lr": None, "weight_decay": 0.0})
    with nld.Monitor(whole, optimizer, BLOCKS, adapter=ADAPTERS["Adafactor"]) as monitor:
        train(whole, optimizer, 4)
    record = monitor.record()
    assert np.isnan(record.learning_rate).all()
    assert float(record.relative_residual.max()) < BOUND
