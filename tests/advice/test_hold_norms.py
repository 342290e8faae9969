"""Held norms: on the sphere under any optimizer, repeating a decayed run, and leaving everything else alone."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nld
from tests.advice.perceptron import OPTIMIZERS, batches, grouped, make, network, train


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
        return OPTIMIZERS[name][1]["lr"] * (1.5 + np.cos(number / 20))

    data, free = batches(120), network()
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
