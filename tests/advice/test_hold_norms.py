"""Held norms: on the sphere under any optimizer, repeating a decayed run, and leaving everything else alone."""

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nld
from tests.advice.architectures import HEADS, Transformer, smooth, tokens, vectors

OPTIMIZERS = {
    "heavy ball": ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.02}),
    "dampened": ("SGD", {"lr": 0.1, "momentum": 0.8, "dampening": 0.5, "weight_decay": 0.02}),
    "nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.02}),
    "AdamW": ("AdamW", {"lr": 0.01, "weight_decay": 0.5}),
    "Adam": ("Adam", {"lr": 0.01, "weight_decay": 0.01}),
    "NAdam": ("NAdam", {"lr": 0.01}),
    "RMSprop": ("RMSprop", {"lr": 0.003}),
    "Adagrad": ("Adagrad", {"lr": 0.05}),
}


class Perceptron(nn.Module):
    """A hidden layer that is exactly batch-normalized, in float64."""

    def __init__(self):
        super().__init__()
        self.hidden, self.norm = nn.Linear(5, 6, bias=False), nn.BatchNorm1d(6, eps=1e-300)
        self.last = nn.Linear(6, 2)
        self.double()

    def forward(self, x):
        return self.last(torch.tanh(self.norm(self.hidden(x))))


def network(seed=0):
    torch.manual_seed(seed)
    return Perceptron()


def batches(steps, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(16, 5, generator=generator).double(), torch.randn(16, 2, generator=generator).double())
        for _ in range(steps)
    ]


def grouped(model):
    return nld.param_groups(model, batches(1)[0][0])


def make(name, groups):
    kind, options = OPTIMIZERS[name]
    return getattr(torch.optim, kind)(groups, **options)


def train(model, optimizer, data, rate=None):
    """Directions of the hidden units before each step and after the last, (steps + 1, units, features)."""
    directions = []
    for number, (x, y) in enumerate(data):
        directions.append(F.normalize(model.hidden.weight.detach(), dim=1).clone())
        if rate is not None:
            for group in optimizer.param_groups:
                group["lr"] = rate(number)
        optimizer.zero_grad()
        (model(x) - y).square().mean().backward()
        optimizer.step()
    return torch.stack([*directions, F.normalize(model.hidden.weight.detach(), dim=1)])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_law_norms_stay_per_unit_whatever_the_optimizer(name):
    model = network()
    groups = grouped(model)
    optimizer = make(name, groups)
    before = model.hidden.weight.detach().norm(dim=1)
    with nld.hold_norms(optimizer, groups) as held:
        directions = train(model, optimizer, batches(50))
    assert torch.allclose(model.hidden.weight.detach().norm(dim=1), before, rtol=1e-14)
    assert torch.equal(held.radii["hidden.weight"], before)
    assert (directions[-1] - directions[0]).norm(dim=1).min() > 0.05


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_step_turns_as_the_optimizer_alone_does_and_touches_nothing_else(name):
    free, held = network(), network()
    for model, holds in ((free, False), (held, True)):
        groups = grouped(model)
        optimizer = make(name, groups)
        if holds:
            nld.hold_norms(optimizer, groups)
        train(model, optimizer, batches(1))
    for key in ("norm.weight", "norm.bias", "last.weight", "last.bias"):
        assert torch.equal(free.get_parameter(key), held.get_parameter(key))
    turned = (F.normalize(model.hidden.weight, dim=1) for model in (free, held))
    assert torch.allclose(*turned, rtol=0, atol=1e-13)
    x = batches(1)[0][0]
    assert torch.allclose(free(x), held(x), atol=1e-12)  # the loss does not see the norm


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_law_a_held_run_repeats_the_directions_of_a_free_one_from_its_norms(name):
    def rate(number):
        return OPTIMIZERS[name][1]["lr"] * (1.5 + np.cos(number / 40))

    data, free = batches(300), network()
    groups = grouped(free)
    optimizer = make(name, groups)
    with nld.Monitor(free, optimizer, groups.symmetries) as monitor:
        directions = train(free, optimizer, data, rate)
    record = monitor.record()
    norms = record.squared_norm.sel(block="hidden.weight") ** 0.5
    assert float((norms[-1] / norms[0] - 1).__abs__().max()) > 0.05

    held = network()
    with torch.no_grad():
        held.hidden.weight.mul_(torch.tensor([[0.3], [0.5], [1.0], [2.0], [3.0], [7.0]]))  # any radii do
    groups = grouped(held)
    optimizer = make(name, groups)
    before = held.hidden.weight.detach().norm(dim=1)
    with nld.hold_norms(optimizer, groups, norms=record) as handle:
        repeated = train(held, optimizer, data, rate)
    assert (repeated - directions).abs().max() < 1e-10
    assert handle.deviation < 1e-10
    assert torch.allclose(held.hidden.weight.detach().norm(dim=1), before, rtol=1e-13)
    for key in ("norm.weight", "last.weight"):
        assert torch.allclose(held.get_parameter(key), free.get_parameter(key), rtol=0, atol=1e-10)


def test_eq_heavy_ball_on_the_sphere_by_hand():
    """P <- β (r_n/r_{n-1}) P + ĝ(v) + k r_n² v, v <- v - (η/r_n²) P, normalized: the same as hold_norms, in numpy."""
    rng = np.random.default_rng(0)
    data = [(rng.normal(size=(12, 5)), rng.normal(size=(12, 6))) for _ in range(300)]
    eta, beta, k = 0.05, 0.9, 0.1

    def gradient(q, x, y):
        """Of mean (x v^T - y)^2 / 2 over the batch with v = q/|q|, by hand."""
        r = np.linalg.norm(q, axis=1, keepdims=True)
        g = (x @ (q / r).T - y).T @ x / len(x)
        return (g - q / r * (g * q / r).sum(1, keepdims=True)) / r

    start = rng.normal(size=(6, 5))
    q, buffer, free, norms = start.copy(), np.zeros_like(start), [], []
    for x, y in data:
        norms.append(np.linalg.norm(q, axis=1, keepdims=True))
        free.append(q / norms[-1])
        buffer = beta * buffer + gradient(q, x, y) + k * q
        q = q - eta * buffer
    v, momentum, before = free[0], np.zeros_like(start), norms[0]
    for n, (x, y) in enumerate(data):
        assert np.abs(v - free[n]).max() < 1e-10
        r = norms[n]
        momentum = beta * r / before * momentum + gradient(v, x, y) + k * r**2 * v
        v = v - eta / r**2 * momentum
        v, before = v / np.linalg.norm(v, axis=1, keepdims=True), r

    class Directions(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.from_numpy(3 * free[0]))

        def forward(self, x):
            return x @ (self.weight / self.weight.norm(dim=1, keepdim=True)).T

    model = Directions()
    groups = nld.param_groups(model, torch.randn(8, 5, dtype=torch.float64))
    optimizer = torch.optim.SGD(groups, lr=eta, momentum=beta, weight_decay=k)
    import xarray as xr

    squared = np.square(np.array(norms))[:, None, :, 0]
    record = xr.Dataset(
        {"squared_norm": (("step", "block", "unit"), squared)}, {"block": ["weight"], "step": np.arange(len(data))}
    )
    with nld.hold_norms(optimizer, groups, norms=record):
        for n, (x, y) in enumerate(data):
            assert np.abs(model.weight.detach().numpy() / 3 - free[n]).max() < 1e-10
            optimizer.zero_grad()
            error = model(torch.from_numpy(x)) - torch.from_numpy(y)
            (error.square().sum() / (2 * len(x))).backward()
            optimizer.step()


def test_decoupled_decay_changes_the_angle_of_a_held_unit_at_second_order_in_the_rate():
    def turned(rate, decay):
        model = network()
        groups = grouped(model)
        with nld.hold_norms(torch.optim.AdamW(groups, lr=rate, weight_decay=decay), groups) as held:
            return train(model, held._optimizer, batches(3))[-1]

    changes = [float((turned(rate, 1.0) - turned(rate, 0.0)).norm()) for rate in (0.004, 0.002, 0.001)]
    assert changes[-1] > 0
    for coarse, fine in itertools.pairwise(changes):
        assert 3.6 < coarse / fine < 4.4


def test_a_training_is_resumed_where_it_stopped():
    data, whole = batches(40), network()
    groups = grouped(whole)
    optimizer = make("heavy ball", groups)
    keys = optimizer.state_dict()["param_groups"][0].keys()
    with nld.hold_norms(optimizer, groups):
        train(whole, optimizer, data[:20])
        saved = copy.deepcopy((whole.state_dict(), optimizer.state_dict()))
        train(whole, optimizer, data[20:])
    assert optimizer.state_dict()["param_groups"][0].keys() == keys

    again = network(seed=5)
    groups = grouped(again)
    optimizer = make("heavy ball", groups)
    with nld.hold_norms(optimizer, groups):  # before the weights are loaded: their radii win at the next step
        pass
    again.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    with nld.hold_norms(optimizer, groups):
        train(again, optimizer, data[20:])
    for name, p in whole.named_parameters():
        assert torch.allclose(p, again.get_parameter(name), rtol=0, atol=1e-12)


def test_a_handle_takes_its_radii_and_step_from_another():
    model = network()
    groups = grouped(model)
    first = nld.hold_norms(make("AdamW", groups), groups)
    train(model, first._optimizer, batches(3))
    with torch.no_grad():
        model.hidden.weight.mul_(4)
    second = nld.hold_norms(make("AdamW", groups), groups)
    second.load_state_dict(first.state_dict())
    assert second.step == 3
    train(model, second._optimizer, batches(1))
    assert torch.allclose(model.hidden.weight.detach().norm(dim=1), first.radii["hidden.weight"], rtol=1e-14)
    with pytest.raises(ValueError, match=r"expected the radii of hidden\.weight, got those of other"):
        second.load_state_dict({"step": 0, "radii": {"other": torch.ones(2)}})


def test_what_is_let_go_moves_again():
    model = network()
    groups = grouped(model)
    optimizer = make("AdamW", groups)
    held = nld.hold_norms(optimizer, groups)
    train(model, optimizer, batches(2))
    held.remove()
    held.remove()
    before = model.hidden.weight.detach().norm(dim=1)
    train(model, optimizer, batches(2))
    assert ((model.hidden.weight.detach().norm(dim=1) - before).abs() > 1e-5).all()


def test_a_closure_is_stepped_as_without_one():
    directions = []
    for closure in (False, True):
        model, (x, y) = network(), batches(1)[0]
        groups = grouped(model)
        optimizer = make("heavy ball", groups)

        def loss(model=model, optimizer=optimizer, x=x, y=y):
            optimizer.zero_grad()
            value = (model(x) - y).square().mean()
            value.backward()
            return value

        with nld.hold_norms(optimizer, groups):
            for _ in range(5):
                if closure:
                    optimizer.step(loss)
                else:
                    loss()
                    optimizer.step()
        directions.append(model.hidden.weight.detach())
    assert torch.allclose(*directions, rtol=0, atol=1e-13)


def test_of_a_fused_tensor_only_what_is_free_is_held():
    torch.manual_seed(0)
    model = Transformer(gains=False, query_key_norm=True, fused=True)
    groups = nld.param_groups(model, tokens())
    optimizer = torch.optim.SGD(groups, lr=0.5)

    def norms():
        return model.qkv.weight.detach().unflatten(0, (3, HEADS, -1)).flatten(2).norm(dim=-1)

    before = norms()
    with nld.hold_norms(optimizer, groups):
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(model(tokens()).flatten(0, 1), tokens().flatten()).backward()
            optimizer.step()
    moved = (norms() / before - 1).abs()
    assert moved[:2].max() < 1e-6
    assert moved[2].min() > 1e-4


def test_shared_norms_are_held_jointly():
    torch.manual_seed(0)
    model = Transformer(nn.LayerNorm).double()
    groups = nld.param_groups(model, tokens())
    with pytest.raises(ValueError, match="expected an optimizer of parameters with a scale symmetry of their own"):
        nld.hold_norms(torch.optim.SGD(groups, lr=0.5), groups)

    def norms():
        tensors = (model.token.weight, model.out.weight, model.down.weight)
        return torch.stack([t.detach().square().sum() for t in tensors])

    before = norms()
    optimizer = torch.optim.SGD(groups, lr=0.5)
    with nld.hold_norms(optimizer, groups, shared=True) as held:
        assert [len(radii) for radii in held.radii.values()] == [1]
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(model(tokens()).flatten(0, 1), tokens().flatten()).backward()
            optimizer.step()
    assert torch.allclose(norms().sum(), before.sum(), rtol=1e-13)
    assert ((norms() / before - 1).abs() > 1e-4).all()


def test_half_precision_weights_stay_within_their_rounding():
    torch.manual_seed(0)
    model = network().to(torch.bfloat16)
    groups = nld.param_groups(model.float(), torch.randn(16, 5))
    model.to(torch.bfloat16)
    optimizer = torch.optim.SGD(groups, lr=0.1)
    before = model.hidden.weight.detach().float().norm(dim=1)
    with nld.hold_norms(optimizer, groups):
        for x, y in batches(200):
            optimizer.zero_grad()
            (model(x.bfloat16()) - y.bfloat16()).square().mean().backward()
            optimizer.step()
    assert (model.hidden.weight.detach().float().norm(dim=1) / before - 1).abs().max() < 2.0**-8


def test_each_of_two_optimizers_holds_its_own():
    torch.manual_seed(0)
    model = Transformer(gains=False, query_key_norm=True)
    groups = nld.param_groups(model, tokens())
    own = [group for group in groups if group["scale"] == "own"]
    muon = torch.optim.Muon(own, lr=0.05)
    rest = torch.optim.AdamW([group for group in groups if group not in own], lr=0.01)
    before = model.query.weight.detach().unflatten(0, (HEADS, -1)).flatten(1).norm(dim=1)
    with nld.hold_norms(muon, groups) as held:
        assert len(held.radii) == 2
        for _ in range(3):
            model.zero_grad()
            F.cross_entropy(model(tokens()).flatten(0, 1), tokens().flatten()).backward()
            muon.step()
            rest.step()
    after = model.query.weight.detach().unflatten(0, (HEADS, -1)).flatten(1).norm(dim=1)
    assert torch.allclose(before, after, rtol=1e-6)
    with pytest.raises(ValueError, match="got none"):
        nld.hold_norms(rest, groups)


def test_errors_say_what_to_do():
    model = network()
    groups = grouped(model)
    optimizer = make("heavy ball", groups)
    with pytest.raises(ValueError, match=r"expected what nld\.param_groups returns, got a list"):
        nld.hold_norms(optimizer, list(groups))
    plain = nld.param_groups(smooth(), vectors())
    with pytest.raises(ValueError, match="got none"):
        nld.hold_norms(torch.optim.SGD(plain, lr=0.1), plain)
    with nld.Monitor(model, optimizer, groups.symmetries) as monitor:
        train(model, optimizer, batches(3))
    record = monitor.record()
    with nld.hold_norms(optimizer, groups, norms=record), pytest.raises(ValueError, match="expected at most 3 steps"):
        train(model, optimizer, batches(4))
    with pytest.raises(ValueError, match="expected the norms of every step"):
        nld.hold_norms(optimizer, groups, norms=record.isel(step=[0, 2]))
    with pytest.raises(ValueError, match="expected positive norms of all 6 units"):
        nld.hold_norms(optimizer, groups, norms=record.isel(unit=slice(0, 1)))
    with pytest.raises(ValueError, match=r"expected squared norms of 'hidden\.weight'"):
        nld.hold_norms(optimizer, groups, norms=record.assign_coords(block=["another"]))
    with torch.no_grad():
        model.hidden.weight[0] = 0
    with pytest.raises(ValueError, match="got 1 of 6 that are zero"):
        nld.hold_norms(optimizer, groups)


def test_a_symmetry_split_between_optimizers_is_refused():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 2))
    groups = nld.param_groups(model, vectors())
    with pytest.raises(ValueError, match=r"got it without 0\.bias"):
        nld.hold_norms(torch.optim.SGD([model[0].weight], lr=0.1), groups)
