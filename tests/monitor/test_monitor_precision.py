"""What is not exact arithmetic on an exact symmetry: epsilons, half precision, scaled gradients."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import nld
from nld.monitor import findings
from nld.monitor.precision import GradientPrecision, fits
from tests.monitor.zoo import BLOCKS, BOUND, NOISY, Noisy, batch, loss_of, train, worst, zoo


def test_epsilon_of_a_normalization_is_measured():
    residual = {}
    for epsilon in (0.0, 1e-6, 1e-4):
        network, optimizer = zoo(epsilon=epsilon)
        with nld.Monitor(network, optimizer, BLOCKS) as monitor:
            train(network, optimizer, 10)
        residual[epsilon] = float(monitor.record().relative_residual.sel(block="rows").max())
    assert residual[0.0] < BOUND < residual[1e-6]
    assert 50 < residual[1e-4] / residual[1e-6] < 200  # linear in epsilon


def test_half_precision_parameters_are_measured():
    network, optimizer = zoo("momentum", torch.bfloat16)
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 10)
    assert 1e-5 < worst(monitor) < 0.2


@pytest.mark.parametrize("name", ["momentum", "fused", "fused adamw"])
def test_gradient_scaler_with_skipped_steps(name):
    network, optimizer = zoo(name, torch.float32)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    weights = []
    # A fused SGD that skips its very first step is left with an uninitialized momentum: not tried here.
    skipped = (5,) if name == "fused" else (0, 5)
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        for step in range(12):
            optimizer.zero_grad()
            scaler.scale(loss_of(network, step)).backward()
            if step in skipped:
                network.scaled.grad[0, 0] = float("inf")
            scaler.step(optimizer)
            scaler.update()
            weights.append(network.scaled.detach().clone())
    record = monitor.record()
    assert torch.equal(weights[4], weights[5])
    fused = name != "momentum"
    assert record.sizes["step"] == (12 if fused else 10)
    assert float(record.relative_residual.max()) < 1e-5
    assert float(record.squared_gradient.max()) < 1e4, "gradients are recorded without the scale"
    if fused:
        assert float(record.squared_step.sel(step=5).max()) == 0.0


def test_autocast_in_bfloat16():
    torch.manual_seed(0)
    model = Noisy()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    norms = []
    with nld.Monitor(model, optimizer, NOISY[:2]) as monitor, torch.autocast("cpu", dtype=torch.bfloat16):
        for step in range(10):
            x, y = batch(step)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            norms.append(model.net[0].weight.detach().square().sum(1).numpy())
            optimizer.step()  # inside the region on purpose: the books must not be autocast
    record = monitor.record()
    assert 1e-5 < float(record.relative_residual.median()) < 3e-2
    assert record.squared_norm.sel(block="0").values == pytest.approx(np.stack(norms), rel=1e-6)


def test_low_matmul_precision_does_not_reach_the_books():
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        network, optimizer = zoo("momentum", torch.float32)
        with nld.Monitor(network, optimizer, BLOCKS) as monitor:
            train(network, optimizer, 3)
        assert torch.get_float32_matmul_precision() == "medium"
        row = monitor.record().squared_norm.sel(block="rows").isel(step=0, unit=slice(0, 5))
    finally:
        torch.set_float32_matmul_precision(before)
    network, _ = zoo("momentum", torch.float32)
    assert row.values == pytest.approx(network.scaled.detach().square().sum(1).numpy(), rel=1e-6)


def followed(precision=torch.float32, autocast=False, clip=False, rate=0.05, fault=0.0):
    """A record of a normalized network, trained in some precision; ``fault`` is added to its gradients."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 24), nn.LayerNorm(24), nn.ReLU(), nn.Linear(24, 10)).to(precision)
    blocks = nld.find_symmetries(model, torch.randn(8, 30, dtype=precision))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    with nld.Monitor(model, optimizer, blocks) as monitor:
        for _ in range(10):
            x, y = torch.randn(16, 30, dtype=precision), torch.randint(10, (16,))
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                loss = nn.functional.cross_entropy(model(x).float(), y)
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            for parameter in model.parameters():
                parameter.grad += fault * parameter.grad.abs().mean()
            optimizer.step()
    return monitor.record()


@pytest.mark.parametrize("clip", [False, True])
def test_books_of_autocast_balance_in_its_precision(clip):
    record = followed(autocast=True, clip=clip)
    assert record.attrs["precision"] == "float32"
    assert record.attrs["gradient_precision"] == "bfloat16"
    assert float(record.relative_residual.max()) > 1e-4  # what float32 would not have
    assert not [f.text for f in findings(record) if f.topic == "books" and not f.good]


def test_a_fault_is_still_seen_under_autocast():
    assert [f for f in findings(followed(autocast=True, fault=0.5)) if f.topic == "books" and not f.good]


@pytest.mark.parametrize("precision", [torch.float32, torch.float64, torch.bfloat16])
def test_gradients_in_the_precision_of_their_weights_loosen_nothing(precision):
    assert "gradient_precision" not in followed(precision).attrs


@pytest.mark.parametrize("coarse", [True, False])
def test_rounding_errors_of_a_gradient_that_vanishes_tell_no_precision(coarse):
    """They are small multiples of one number: what is left, say, of the gradient of a bias of keys."""
    torch.manual_seed(0)
    weight, bias = nn.Parameter(torch.randn(200)), nn.Parameter(torch.randn(200))
    factors, errors = torch.randn(200), torch.randint(-20, 20, (200,)) * 2.0**-40
    precision = GradientPrecision([weight, bias])
    ((factors.bfloat16().float() if coarse else factors) * weight + errors * bias).sum().backward()
    assert fits(errors) is torch.bfloat16
    assert precision.coarsest() == ("bfloat16" if coarse else None)


class Small(nn.Module):
    """Weights whose size a normalization with a large epsilon hides but for a little, behind a ReLU pair."""

    def __init__(self, epsilon=1e-5):
        super().__init__()
        self.first, self.second = nn.Linear(4, 8, bias=False), nn.Linear(8, 6, bias=False)
        self.norm, self.last = nn.LayerNorm(6, eps=epsilon), nn.Linear(6, 3)

    def forward(self, x):
        return self.last(self.norm(self.second(torch.relu(self.first(x)))))


def books_of(model, blocks, noise=0.0):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    torch.manual_seed(1)
    with nld.Monitor(model, optimizer, blocks) as monitor:
        for _ in range(10):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(torch.randn(32, 4)), torch.randint(3, (32,))).backward()
            for p in (model.first.weight, model.second.weight):
                p.grad += noise * p.grad.norm() * p / p.norm()
            optimizer.step()
    return [finding for finding in findings(monitor.record()) if finding.topic == "books"]


def test_books_that_show_an_epsilon_say_so_and_excuse_nothing_else():
    parts = {}
    for epsilon in (1e-5, 1e-4):
        torch.manual_seed(0)
        model = Small(epsilon)
        blocks = nld.find_symmetries(model, torch.randn(32, 4))
        scales = [block for block in blocks if block.kind == "scale"]
        assert list(blocks.broken_by_epsilon) == scales
        parts[epsilon] = sum(blocks.broken_by_epsilon.values())
    assert 5 < parts[1e-4] / parts[1e-5] < 20
    good = books_of(model, blocks)
    assert [f.text for f in good if not f.good] == []
    assert ["epsilon" in f.text for f in good] == [True, False]
    assert good[-1].text.startswith("All other") or good[-1].text.startswith("The books balance")
    assert any(not f.good and "(scale)" in f.block for f in books_of(model, blocks, noise=1.0))
    assert any(not f.good for f in books_of(model, list(blocks))), "without the search nothing is known of epsilons"


@pytest.mark.parametrize(("rate", "still"), [(1e-6, True), (1.0, False)])
def test_steps_that_rounding_eats_are_named(rate, still):
    record = followed(torch.bfloat16, rate=rate)
    gains = json.loads(record.attrs["unmoved"])["1.weight"]  # they begin at 1
    assert gains == 1.0 if still else gains < 0.5
    said = [f.text for f in findings(record) if f.text.startswith("Rounding eats")]
    assert bool(said) is still
    assert "unmoved" not in followed(rate=rate).attrs


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (torch.linspace(1, 2, 40).bfloat16().float(), torch.bfloat16),
        (torch.linspace(1, 2, 400).half().float(), torch.float16),
        (torch.linspace(1, 2, 40).double(), torch.float32),
        (torch.linspace(1, 2, 40), None),
        (torch.linspace(1, 2, 40).bfloat16(), None),
        (torch.ones(40), None),  # says nothing
    ],
)
def test_the_coarsest_precision_that_fits(values, dtype):
    assert fits(values) == dtype
