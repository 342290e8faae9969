"""Small parts that other tests see only through much else: numbers in words, precisions, drifts."""

import pytest
import torch
from torch import nn

import nld
from nld.finder import Block, Member
from nld.monitor.diagnosis import EPSILON, TOLERANCE, _count, metric_drift


@pytest.mark.parametrize(
    ("number", "words"),
    [(0.0, "0"), (0.4, "0"), (7.0, "7"), (12.3, "12"), (99.6, "100"), (123.0, "120"), (31_234.0, "31,000")],
)
def test_a_number_of_steps_has_two_digits_that_mean_something(number, words):
    assert _count(number) == words


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
        for step in range(6):
            q = weight.detach().clone()
            weight.grad = torch.randn_like(weight)
            optimizer.step()
            moved = weight.detach() - q
            undecayed = moved + (0.01 * 0.1 * q if kind == "AdamW" else 0.0)
            norm = q.square().sum(1)
            if step < 5:  # the last step has none after it
                shares.append(2 * ((moved * q).sum(1) + (undecayed - moved).mul(q).sum(1)).abs() / norm)
                lengths.append(moved.square().sum(1) / norm * (1 + beta) / (1 - beta))
    share, ratio = metric_drift(monitor.record())
    assert float(share.sel(block="w")) == pytest.approx(float(torch.stack(shares).mean()), rel=1e-9)
    expected = float(torch.stack(shares).mean() / torch.stack(lengths).mean())
    assert float(ratio.sel(block="w")) == pytest.approx(expected, rel=1e-9)
