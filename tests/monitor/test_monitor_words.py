"""Small parts that other tests see only through much else: numbers in words, precisions, drifts."""

import json

import pytest
import torch
import xarray as xr
from torch import nn

import nld
from nld.finder import Block, Member
from nld.monitor.diagnosis import EPSILON
from nld.monitor.finding import TOLERANCE, count
from nld.monitor.inner_products import torch_backend
from nld.monitor.inner_products.layout import Use, pages
from nld.monitor.measurement_buffer import MeasurementBuffer
from nld.monitor.velocity import metric_drift
from nld.symmetry import Kind
from tests.monitor.zoo import BLOCKS, train, zoo


def watched(steps, name="momentum"):
    network, optimizer = zoo(name)
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, steps)
    return monitor.record()


@pytest.mark.parametrize(
    ("number", "words"),
    [(0.0, "0"), (0.4, "0"), (7.0, "7"), (12.3, "12"), (99.6, "100"), (123.0, "120"), (31_234.0, "31,000")],
)
def test_a_number_of_steps_has_two_digits_that_mean_something(number, words):
    assert count(number) == words


def test_precisions_are_those_of_torch():
    assert {name: torch.finfo(getattr(torch, name)).eps for name in EPSILON} == EPSILON
    assert all(torch.finfo(getattr(torch, name)).eps < bound for name, bound in TOLERANCE.items())


@pytest.mark.parametrize("kind", ["AdamW", "SGD"])
def test_drift_of_norms_by_hand(kind):
    """The mean of 2 |⟨q, Δq⟩| / |q|², decay taken out, and its ratio to what length and momentum of the steps do."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(3, 4, dtype=torch.float64))
    options = {"weight_decay": 0.1} if kind == "AdamW" else {"momentum": 0.5}
    optimizer = getattr(torch.optim, kind)([weight], lr=0.01, **options)
    beta, shares, lengths = 0.9 if kind == "AdamW" else 0.5, [], []
    with nld.Monitor(
        nn.ParameterDict({"w": weight}), optimizer, [Block("scale", "w", (Member("w", (3, 4)),))]
    ) as monitor:
        for _ in range(6):
            q = weight.detach().clone()
            weight.grad = torch.randn_like(weight)
            optimizer.step()
            moved = weight.detach() - q
            undecayed = moved + (0.01 * 0.1 * q if kind == "AdamW" else 0.0)
            norm = q.square().sum(1)
            shares.append(2 * ((moved * q).sum(1) + (undecayed - moved).mul(q).sum(1)).abs() / norm)
            lengths.append(moved.square().sum(1) / norm * (1 + beta) / (1 - beta))
    share, ratio = metric_drift(monitor.record())
    assert float(share.sel(block="w")) == pytest.approx(float(torch.stack(shares).mean()), rel=1e-9)
    expected = float(torch.stack(shares).mean() / torch.stack(lengths).mean())
    assert float(ratio.sel(block="w")) == pytest.approx(expected, rel=1e-9)


def test_measurements_wait_until_their_ring_is_full(monkeypatch):
    """They are moved to the host two at a time where the ring holds two, and all at once where it holds 256."""
    moved = []
    finished = MeasurementBuffer.finished
    monkeypatch.setattr(MeasurementBuffer, "finished", lambda self, due: moved.append(1) or finished(self, due))
    counts = []
    for budget in (2**24, 1):
        monkeypatch.setattr("nld.monitor.measurement_buffer._BUDGET", budget)
        moved.clear()
        watched(20)
        counts.append(len(moved))
    assert counts[1] - counts[0] == 10  # of 21 measurements: the last one only ends the last step


def test_a_block_of_one_unit_needs_no_axis_of_units():
    def books(member):
        network, optimizer = zoo()
        with nld.Monitor(network, optimizer, [Block("scale", "all rows", (member,))]) as monitor:
            train(network, optimizer, 10)
        return monitor.record()

    xr.testing.assert_equal(books(Member("scaled", (5, 4), unit_axes=())), books(Member("scaled", (1, 20))))


def test_a_record_says_the_optimizer_s_hyperparameters():
    (group,) = json.loads(watched(2).attrs["hyperparameters"])
    asked = {"lr": 0.02, "momentum": 0.9, "weight_decay": 1e-2, "dampening": 0, "nesterov": False}
    assert {name: group[name] for name in asked} == asked
    assert group["parameters"] == len(list(zoo()[0].parameters()))
    assert "params" not in group


def test_a_large_page_is_measured_one_at_a_time(monkeypatch):
    deep = [Use(0, Kind.SCALE, Member("w", (3, 4)), 0, 0, 1)]
    for elements, depth in ((12, 1), (11, 1), (24, 2), (10**9, torch_backend.DEEPEST)):
        monkeypatch.setattr(torch_backend, "_ELEMENTS", elements)
        assert torch_backend.depth(pages([(3, 4)], deep, 100)) == depth


@pytest.mark.parametrize("kind", [Kind.SCALE, Kind.GENERAL_LINEAR, Kind.ROTATION])
def test_law_without_memory_and_decay_a_broken_symmetry_leaves_its_violation(kind):
    """π is the gradient, so the residual ⟨g, A⟩ over |π| |A| is the violation."""
    torch.manual_seed(0)
    model = nn.ParameterDict({"w": nn.Parameter(torch.randn(3, 4, dtype=torch.float64))})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    member = Member("w", (1, 3, 4), matrix_axis=1 if kind.is_matrix else None)
    with nld.Monitor(model, optimizer, [Block(kind, "w", (member,))]) as monitor:
        for _ in range(4):
            optimizer.zero_grad()
            (model["w"] ** 3).sum().backward()
            optimizer.step()
    record = monitor.record()
    assert float(record.violation.min()) > 1e-3
    xr.testing.assert_allclose(record.relative_residual, record.violation, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "coefficient"),
    [("sgd", 1), ("momentum", 1), ("dampened", 1 - 0.3), ("adam", 1 - 0.9), ("muon, short memory", 1 - 0.3)],
)
def test_a_record_says_how_much_of_a_gradient_enters_the_momentum(name, coefficient):
    assert watched(3, name).coefficient.values[1:] == pytest.approx(coefficient, rel=1e-12)
