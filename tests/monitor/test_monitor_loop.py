"""What real training loops do, and that the monitor neither disturbs nor is disturbed."""

import copy

import pytest
import torch
import xarray as xr
from torch import nn

import nld
from nld.finder import Block, Member
from nld.monitor.inner_products import numba_backend
from tests.monitor.zoo import BLOCKS, BOUND, NOISY, OPTIMIZERS, Noisy, Zoo, batch, loss_of, train, worst, zoo


@pytest.mark.parametrize("options", [{}, {"every": 3}, {"every": "log", "units": "mean"}, None], ids=str)
@pytest.mark.parametrize("name", ["momentum", "adamw", "rmsprop"])
def test_training_is_bitwise_the_same(name, options):
    def final(monitored):
        torch.manual_seed(3)
        model = Noisy()
        kind, settings = OPTIMIZERS[name]
        optimizer = getattr(torch.optim, kind)(model.parameters(), **settings)
        monitor = nld.Monitor(model, optimizer, NOISY, **(options or {})) if monitored else None
        for step in range(12):
            x, y = batch(step)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            if monitor is not None and options is None:
                monitor.record()
        return [*model.state_dict().values(), torch.get_rng_state()]

    assert all(torch.equal(a, b) for a, b in zip(final(False), final(True), strict=True))


def test_nothing_is_left_behind():
    network, optimizer = zoo()
    before = len(optimizer._optimizer_step_pre_hooks), len(optimizer._optimizer_step_post_hooks)
    with nld.Monitor(network, optimizer, BLOCKS):
        train(network, optimizer, 2)
    assert before == (len(optimizer._optimizer_step_pre_hooks), len(optimizer._optimizer_step_post_hooks))
    assert not optimizer._optimizer_load_state_dict_pre_hooks


@pytest.mark.parametrize("name", ["momentum", "nesterov", "adamw"])
def test_schedules_of_rate_and_momentum(name):
    network, optimizer = zoo(name)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=30)
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 20, after=lambda step: scheduler.step())
    record = monitor.record()
    assert len(set(record.momentum.values[:, 0])) > 10
    assert len(set(record.learning_rate.values[:, 0])) > 10
    assert worst(monitor) < BOUND


def test_accumulated_and_clipped_gradients():
    network, optimizer = zoo()
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        for step in range(15):
            optimizer.zero_grad()
            for part in range(3):
                loss_of(network, 3 * step + part).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 0.1)
            optimizer.step()
    assert worst(monitor) < BOUND


def test_clipping_single_tensors_breaks_what_couples_them():
    network, optimizer = zoo()
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        for step in range(10):
            optimizer.zero_grad()
            loss_of(network, step).backward()
            for parameter in network.parameters():
                nn.utils.clip_grad_norm_(parameter, 0.05)
            optimizer.step()
    residual = monitor.record().relative_residual.max(["step", "unit"])
    broken = {"relu", "value-output"}  # query and key lie in one tensor, whose clipping scales both alike
    for name in residual.block.values:
        assert (float(residual.sel(block=name)) > 1e-4) == (name in broken), name


@pytest.mark.parametrize("name", ["sgd decay", "momentum", "adam"])
def test_closures(name):
    records = []
    for closes in (False, True):
        network, optimizer = zoo(name)
        with nld.Monitor(network, optimizer, BLOCKS) as monitor:
            for step in range(6):

                def closure(step=step, network=network, optimizer=optimizer):
                    optimizer.zero_grad()
                    loss = loss_of(network, step)
                    loss.backward()
                    return loss

                if closes:
                    optimizer.step(closure)
                else:
                    closure()
                    optimizer.step()
        records.append(monitor.record())
    assert records[0].equals(records[1])


def test_weights_moved_by_others_stay_in_the_books():
    network, optimizer = zoo()
    size = network.scaled.detach().norm(dim=1, keepdim=True)

    def project(_):
        scaled = network.scaled.data
        scaled.mul_(size / scaled.norm(dim=1, keepdim=True))

    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 15, after=project)
    assert worst(monitor) < BOUND
    assert float(monitor.record().squared_norm.sel(block="rows").std("step").max()) < 1e-12


def test_loading_a_checkpoint_in_between():
    network, optimizer = zoo("adamw")
    train(network, optimizer, 3)
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 4)
        state = copy.deepcopy((network.state_dict(), optimizer.state_dict()))
        train(network, optimizer, 4, first=4)
        optimizer.load_state_dict(state[1])
        network.load_state_dict(state[0])
        train(network, optimizer, 4, first=4)
    record = monitor.record()
    assert worst(monitor) < BOUND
    assert record.step.values.tolist() == list(range(12))
    again = record.isel(step=slice(8, 12)).assign_coords(step=record.step[4:8])
    assert float(abs(again.charge - record.charge.isel(step=slice(4, 8))).max()) < 1e-12


def test_a_compiled_model():
    network, optimizer = zoo()
    compiled = torch.compile(network, backend="eager")
    with nld.Monitor(compiled, optimizer, BLOCKS) as monitor:
        train(compiled, optimizer, 3)
    assert worst(monitor) < BOUND
    assert monitor.record().attrs["model"] == Zoo.__name__


class Held(nn.Module):
    """A model with a part that is called as data-parallel wrappers call theirs, and a namesake of that part's entry."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 3, bias=False)
        self.module = nn.ModuleDict({"inner": nn.Linear(6, 4, bias=False)})
        self.middle, self.last = nn.BatchNorm1d(4), nn.BatchNorm1d(3)

    def forward(self, x):
        return self.last(self.inner(self.middle(self.module["inner"](x))))


def test_a_part_called_module_is_no_wrapper():
    model, x = Held(), torch.randn(8, 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = nld.find_symmetries(model, x)
    inner, outer = (
        weight.detach().clone() for weight in (model.inner.weight, model.get_parameter("module.inner.weight"))
    )
    with nld.Monitor(model, optimizer, example_inputs=x) as monitor:
        model(x).square().sum().backward()
        optimizer.step()
    assert monitor.blocks == list(found)
    assert monitor.record().attrs["model"] == "Held"
    for name, weight in (("inner.weight", inner), ("module.inner.weight", outer)):
        norms = monitor.record().squared_norm.sel(block=name).isel(step=0).values[: len(weight)]
        assert norms == pytest.approx(weight.square().sum(1).numpy())


def test_a_block_of_another_model_is_refused():
    network, optimizer = zoo()
    with pytest.raises(ValueError, match="elsewhere"):
        nld.Monitor(network, optimizer, [Block("scale", "x", (Member("elsewhere", (2, 2)),))])


def test_a_monitor_needs_blocks_or_inputs_to_find_them_with():
    network, optimizer = zoo()
    with pytest.raises(ValueError, match="neither; give one of them"):
        nld.Monitor(network, optimizer)
    assert not optimizer._optimizer_step_pre_hooks


@pytest.mark.parametrize("least", [0, 10**12], ids=["compiled", "pages"])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_parameter_of_another_shape_is_refused_and_nothing_is_lost(rows, least, monkeypatch):
    """One row would be broadcast, where nobody looks."""
    monkeypatch.setattr(numba_backend, "LEAST", least)
    records = []
    for disturbed in (False, True):
        network, optimizer = zoo("momentum")
        with nld.Monitor(network, optimizer, [block for block in BLOCKS if block.size == 1]) as monitor:
            train(network, optimizer, 5)
            if disturbed:
                weight = network.scaled
                whole, gradient = weight.data, weight.grad
                weight.grad, weight.data = None, whole[:rows].clone()
                with pytest.raises(RuntimeError, match=rf"got \({rows}, 4\) instead of \(5, 4\); close the monitor"):
                    optimizer.step()
                weight.data, weight.grad = whole, gradient
            train(network, optimizer, 6, first=5)
        records.append(monitor.record())
    assert float(records[0].relative_residual.max()) < BOUND
    xr.testing.assert_equal(*(record.drop_attrs() for record in records))


def test_after_a_change_of_shape_the_steps_before_are_kept(tmp_path):
    network, optimizer = zoo("momentum")
    monitor = nld.Monitor(network, optimizer, BLOCKS, stream=tmp_path / "run.nc")
    train(network, optimizer, 6)
    network.scaled.data = network.scaled.data[:3]
    with pytest.raises(RuntimeError, match="close the monitor before a shape changes"):
        monitor.close()
    record = nld.monitor.load(tmp_path / "run.nc")
    assert list(record.step) == [0, 1, 2, 3, 4]
    assert float(record.relative_residual.max()) < BOUND
