"""Decay in proportion to the schedule, for weights whose norm the loss does not see, and for no others."""

import pytest
import torch

import nld
from tests.advice.architectures import Transformer, tokens
from tests.advice.perceptron import batches, grouped, network


def one_step(factor, correct):
    model = network()
    groups = nld.param_groups(model, batches(1)[0][0], weight_decay=0.5)
    optimizer = torch.optim.AdamW(groups, lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor)
    handle = nld.correct_decay(optimizer, groups) if correct else None
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    scheduler.step()
    if handle is not None:
        handle.remove()
    assert [group["weight_decay"] for group in optimizer.param_groups] == [g["weight_decay"] for g in groups]
    return {name: float((p.detach() / before[name]).mean()) for name, p in model.named_parameters() if p.ndim > 1}


@pytest.mark.parametrize("factor", [1.0, 0.5, 0.1])
def test_eq_only_weights_with_a_scale_symmetry_decay_by_the_square_of_the_schedule(factor):
    shrunk, plain = one_step(factor, True), one_step(factor, False)
    assert shrunk["hidden.weight"] == pytest.approx(1 - 0.1 * factor * 0.5 * factor, rel=1e-12)
    assert plain["hidden.weight"] == pytest.approx(1 - 0.1 * factor * 0.5, rel=1e-12)
    assert shrunk["last.weight"] == plain["last.weight"]


def test_the_equilibrium_of_gradient_over_weight_stays_under_a_falling_schedule():
    """On a walk: ‖g‖/‖w‖ = √(2λ/γ) in equilibrium, so that γ four times smaller doubles it, unless λ falls with γ."""
    ratios = {}
    for correct in (False, True):
        model = network()
        groups = nld.param_groups(model, batches(1)[0][0], weight_decay=0.05)
        optimizer = torch.optim.SGD(groups, lr=0.4)
        handle = nld.correct_decay(optimizer, groups) if correct else None
        generator = torch.Generator().manual_seed(2)
        for rate in (0.4, 0.1):
            for group in optimizer.param_groups:
                group["lr"] = rate
            lengths = []
            for _ in range(1500):
                w = model.hidden.weight.detach()
                noise = torch.randn(w.shape, generator=generator, dtype=torch.float64)
                noise -= w * (noise * w).sum(1, keepdim=True) / w.square().sum(1, keepdim=True)
                model.hidden.weight.grad = noise / w.norm(dim=1, keepdim=True)
                lengths.append(float((model.hidden.weight.grad.norm(dim=1) / w.norm(dim=1)).square().mean()))
                optimizer.step()
            ratios[correct, rate] = (sum(lengths[-500:]) / 500) ** 0.5
        if handle is not None:
            handle.remove()
    assert ratios[False, 0.4] == pytest.approx((2 * 0.05 / 0.4) ** 0.5, rel=0.1)
    assert ratios[False, 0.1] / ratios[False, 0.4] == pytest.approx(2, rel=0.1)
    assert ratios[True, 0.1] / ratios[True, 0.4] == pytest.approx(1, rel=0.1)


def test_errors_say_what_to_do():
    model = network()
    groups = grouped(model)
    with pytest.raises(ValueError, match="got group 0 of 5 tensors of which only 1 have a scale symmetry"):
        nld.correct_decay(torch.optim.SGD(model.parameters(), lr=0.1), groups)
    with pytest.raises(ValueError, match="expected a largest learning rate > 0"):
        nld.correct_decay(torch.optim.SGD(groups, lr=0.1), groups, maximum=0.0)
    tied = Transformer(gated=True, tied=True)
    groups = nld.param_groups(tied, tokens())
    with pytest.raises(ValueError, match="expected an optimizer of weights with a scale symmetry, got none"):
        nld.correct_decay(torch.optim.SGD(groups, lr=0.1), groups)
