"""Several optimizers for one model, and wrappers around them."""

import numpy as np
import pytest
import torch

import nld
from nld.errors import InvalidInput
from nld.monitor import findings
from tests.monitor.zoo import BLOCKS, BOUND, generators, inner, loss_of, train, zoo

# Members of the blocks "relu" and "value-output" that the second optimizer moves: these blocks span both.
SECOND = ("outgoing", "output", "bias")


PAIRS = {
    "Muon and AdamW": (torch.optim.Muon, {"lr": 0.01}, torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    "SGD and Adam": (
        torch.optim.SGD,
        {"lr": 0.02, "momentum": 0.8, "weight_decay": 1e-2},
        torch.optim.Adam,
        {"lr": 0.01, "weight_decay": 1e-2},
    ),
    "momentum and none": (torch.optim.SGD, {"lr": 0.02, "momentum": 0.8}, torch.optim.RMSprop, {"lr": 1e-3}),
    "ascent and not": (torch.optim.SGD, {"lr": 1e-5, "maximize": True}, torch.optim.AdamW, {"lr": 1e-3}),
}


def pair(name):
    network, _ = zoo()
    first, options, second, others = PAIRS[name]
    named = dict(network.named_parameters())
    one = first([p for n, p in named.items() if n not in SECOND], **options)
    two = second([p for n, p in named.items() if n in SECOND], **others)
    return network, [one, two]


class Both:
    """Steps of several optimizers as of one, for the loop that knows of no monitor."""

    def __init__(self, optimizers, before=lambda: None):
        self.optimizers, self.before = optimizers, before

    def zero_grad(self):
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self):
        self.before()
        for optimizer in self.optimizers:
            optimizer.step()


@pytest.mark.parametrize("name", PAIRS)
def test_law_residual_vanishes_where_a_block_spans_two_optimizers(name):
    network, optimizers = pair(name)
    with nld.Monitor(network, optimizers, BLOCKS) as monitor:
        train(network, Both(optimizers), 20)
    record = monitor.record()
    assert list(record.step.values) == list(range(20))
    assert float(record.relative_residual.max()) < BOUND
    assert float(record.violation.max()) < 1e-10
    assert all(finding.good for finding in findings(record) if finding.topic == "books")


def test_a_charge_that_spans_two_optimizers_by_its_definition():
    """⟨π, A(q)⟩ with each momentum from its own optimizer, in units of the first member's coefficient."""
    network, optimizers = pair("SGD and Adam")
    muon, adam = optimizers
    named = dict(network.named_parameters())
    block = next(block for block in BLOCKS if block.name == "relu")
    expected = []

    def write_down():
        if expected:
            expected[-1] = charges(expected[-1])
        expected.append({name: p.detach().clone() for name, p in named.items()})

    def charges(positions):
        momenta = {
            "incoming": muon.state[named["incoming"]]["momentum_buffer"],
            "outgoing": adam.state[named["outgoing"]]["exp_avg"] / (1 - 0.9),
        }
        return [
            sum(inner({n: a[n]}, {n: momenta[n]}) for n in momenta)
            for unit in range(block.units)
            for a in generators(block, positions, unit)
        ]

    with nld.Monitor(network, optimizers, BLOCKS) as monitor:
        train(network, Both(optimizers, write_down), 8)
        expected[-1] = charges(expected[-1])
    measured = monitor.record().charge.sel(block="relu").values
    np.testing.assert_allclose(measured[:, : block.units], expected, rtol=1e-10, atol=1e-14)


def test_one_optimizer_in_a_list_is_itself():
    def books(form):
        network, optimizer = zoo("adamw")
        with nld.Monitor(network, form(optimizer), BLOCKS) as monitor:
            train(network, optimizer, 5)
        return monitor.record()

    plain = books(lambda optimizer: optimizer)
    for form in (lambda o: [o], lambda o: {"all": o}, Accelerated, lambda o: [Accelerated(o)], Container):
        other = books(form)
        assert all(np.array_equal(plain[name], other[name], equal_nan=True) for name in ("charge", "residual"))
        assert other.attrs["optimizer"] == "AdamW"


class Accelerated(torch.optim.Optimizer):
    """The shape of accelerate's AcceleratedOptimizer: an Optimizer without what Optimizer sets up, around another."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    param_groups = property(lambda self: self.optimizer.param_groups)
    state = property(lambda self: self.optimizer.state)

    def step(self, closure=None):
        self.optimizer.step(closure)


class Container:
    def __init__(self, *optimizers):
        self.optimizers = list(optimizers)


def test_the_real_wrapper_of_accelerate():
    accelerate = pytest.importorskip("accelerate")
    network, optimizer = zoo("adamw", torch.float32)
    network, wrapped = accelerate.Accelerator(cpu=True).prepare(network, optimizer)
    with nld.Monitor(network, wrapped, BLOCKS) as monitor:
        train(network, wrapped, 5)
    assert float(monitor.record().relative_residual.max()) < 1e-4


def test_a_schedule_of_one_momentum_leaves_books_that_add_up():
    network, optimizers = pair("Muon and AdamW")

    def warm_up(step):
        optimizers[0].param_groups[0]["momentum"] = 0.85 + 0.005 * step

    with nld.Monitor(network, optimizers, BLOCKS) as monitor:
        train(network, Both(optimizers), 15, after=warm_up)
    record = monitor.record()
    assert float(record.relative_residual.max()) < BOUND
    assert all(finding.good for finding in findings(record) if finding.topic == "books")


def test_weights_are_the_same_bits_as_unwatched():
    (alone, optimizers), (watched, others) = pair("Muon and AdamW"), pair("Muon and AdamW")
    train(alone, Both(optimizers), 5)
    with nld.Monitor(watched, others, BLOCKS):
        train(watched, Both(others), 5)
    assert all(torch.equal(a, b) for a, b in zip(alone.parameters(), watched.parameters(), strict=True))


def test_a_step_that_one_optimizer_does_not_take_is_left_out_and_told():
    network, optimizers = pair("Muon and AdamW")
    monitor = nld.Monitor(network, optimizers, BLOCKS)
    train(network, Both(optimizers), 4)
    train(network, Both(optimizers[:1]), 1, first=4)
    with pytest.warns(UserWarning, match="got none of AdamW"):
        train(network, Both(optimizers), 4, first=5)
    monitor.close()
    record = monitor.record()
    assert list(record.step.values) == [0, 1, 2, 3, 5, 6, 7, 8]
    assert float(record.relative_residual.max()) < BOUND


@pytest.mark.parametrize("late", [False, True])
def test_a_gradient_that_comes_after_the_first_optimizer_s_step_is_told(late):
    network, optimizers = pair("Muon and AdamW")
    with nld.Monitor(network, optimizers, BLOCKS) as monitor:
        if late:
            train(network, Both(optimizers), 3)
        loss_of(network, 3).backward()
        optimizers[0].step()
        loss_of(network, 3).backward()
        text = "expected all gradients before the first optimizer's step, got those of AdamW changed"
        with pytest.warns(UserWarning, match=text) if late else pytest.raises(InvalidInput, match=text):
            optimizers[1].step()
    assert list(monitor.record().step.values) == ([0, 1, 2] if late else [])


def test_closures_of_several_optimizers_that_leave_the_gradients_alone():
    """As Lightning gives them where steps are made by hand."""
    records = []
    for closes in (False, True):
        network, optimizers = pair("Muon and AdamW")
        with nld.Monitor(network, optimizers, BLOCKS) as monitor:
            for step in range(6):
                network.zero_grad()
                loss_of(network, step).backward()
                for optimizer in optimizers:
                    optimizer.step(*([lambda: None] if closes else []))
        records.append(monitor.record())
    assert records[0].equals(records[1])
    assert float(records[0].relative_residual.max()) < BOUND


def test_a_closure_that_computes_gradients_which_were_measured_is_refused():
    network, optimizers = pair("Muon and AdamW")
    with nld.Monitor(network, optimizers, BLOCKS):
        optimizers[0].step(lambda: loss_of(network, 0).backward())
        with pytest.raises(InvalidInput, match="AdamW changed after it; call"):
            optimizers[1].step(lambda: loss_of(network, 0).backward())


def test_a_group_that_comes_later_goes_to_its_optimizer():
    network, optimizers = pair("SGD and Adam")
    first = optimizers[0].param_groups[0]["params"]
    late = first.pop()
    with nld.Monitor(network, optimizers, BLOCKS) as monitor:
        train(network, Both(optimizers), 4)
        optimizers[0].add_param_group({"params": [late], "lr": 0.003})
        train(network, Both(optimizers), 4, first=4)
    record = monitor.record()
    named = {id(p): n for n, p in network.named_parameters()}[id(late)]
    (block,) = [block.name for block in BLOCKS if named in block.parameters]
    assert float(record.relative_residual.drop_sel(block=block).max()) < BOUND
    assert (record.learning_rate.sel(block="relu") == 0.02).all()
