"""Norms of parts under a schedule, against a plain loop, and decay that follows it, against ``nld.correct_decay``."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nld
from nld.experiment.studies import falling_rate_tasks, falling_rates

STEPS = 30


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)).double()


def batches():
    generator = torch.Generator().manual_seed(2)
    for _ in range(STEPS):
        images = torch.randn(16, 6, generator=generator, dtype=torch.float64)
        yield images, torch.randint(3, (16,), generator=generator)


def followed(decay_follows=(), correct=False):
    model = network()
    groups = nld.param_groups(model, next(batches())[0], weight_decay=0.1)
    optimizer = torch.optim.SGD(groups, lr=0.3, momentum=0.8)
    if correct:
        nld.correct_decay(optimizer, groups, maximum=0.3)
    shares = falling_rates.shares(falling_rates.cosine, STEPS, warmup=3)
    parts = {"first": ["0.weight"], "last": ["3.weight", "3.bias"]}
    numbers = {name: number for number, group in enumerate(groups) for name in group["names"]}
    follows = [numbers[name] for name in decay_follows]
    course = falling_rates.follow(model, optimizer, batches(), shares, parts, decay_follows=follows)
    return course, model


def test_norms_are_those_of_a_plain_loop():
    course, _ = followed()
    model, shares = network(), falling_rates.shares(falling_rates.cosine, STEPS, warmup=3)
    buffers = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for step, (images, labels) in enumerate(batches()):
        loss = F.cross_entropy(model(images), labels)
        gradients = dict(zip(buffers, torch.autograd.grad(loss, list(model.parameters())), strict=True))
        row = course.isel(step=step)
        both = torch.cat([gradients["3.weight"].flatten(), gradients["3.bias"]])
        assert float(row.loss) == pytest.approx(loss.item(), rel=1e-12)
        assert float(row.gradient_norm.sel(part="last")) == pytest.approx(both.norm().item(), rel=1e-12)
        assert float(row.weight_norm.sel(part="first")) == pytest.approx(model[0].weight.norm().item(), rel=1e-12)
        with torch.no_grad():
            for name, p in model.named_parameters():
                decay = 0.1 if p.ndim > 1 else 0.0
                buffers[name] = 0.8 * buffers[name] + gradients[name] + decay * p
                p -= 0.3 * shares[step] * buffers[name]


def test_decay_of_scale_symmetric_groups_follows_as_correct_decay_has_it():
    ours, theirs, plain = (followed(*asked)[1].state_dict() for asked in ((["0.weight"],), ((), True), ()))
    for name in ours:  # lr/γ_max is the share, but for its last bit
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-10, atol=1e-12)
    assert float((ours["0.weight"] - plain["0.weight"]).norm()) > 1e-3


def test_a_schedule_warms_up_stays_and_ends_near_zero():
    stable = falling_rates.shares(falling_rates.stable_then_decay, 100, warmup=4)
    np.testing.assert_allclose(stable[:5], [0.2, 0.4, 0.6, 0.8, 1])
    assert (stable[5:61] == 1).all()
    np.testing.assert_allclose(np.diff(stable[60:]), -1 / 40)
    half = falling_rates.shares(falling_rates.cosine, 100)
    assert half[0] == 1
    assert half[50] == pytest.approx(0.5)
    assert 0 < half[-1] < 1e-3


def test_labels_are_wrong_anew_at_each_step():
    clean = [(torch.zeros(400, 1), torch.full((400,), 3))] * 2
    first, second = (labels for _, labels in falling_rate_tasks.mislabelled(clean, 0.4, 10, seed=5))
    assert 0.25 < float((first != 3).double().mean()) < 0.47  # nine tenths of 0.4
    assert not torch.equal(first, second)
    again, _ = (labels for _, labels in falling_rate_tasks.mislabelled(clean, 0.4, 10, seed=5))
    assert torch.equal(first, again)
