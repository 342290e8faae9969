"""Norms held in parts of a transformer: of fused and shared tensors, and by several optimizers."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nld
from tests.advice.architectures import HEADS, Transformer, tokens, vectors


def train(model, *optimizers):
    """Three steps of all optimizers on the same tokens."""
    for _ in range(3):
        model.zero_grad()
        F.cross_entropy(model(tokens()).flatten(0, 1), tokens().flatten()).backward()
        for optimizer in optimizers:
            optimizer.step()


def test_of_a_fused_tensor_only_what_is_free_is_held():
    torch.manual_seed(0)
    model = Transformer(gains=False, query_key_norm=True, fused=True)
    groups = nld.param_groups(model, tokens())
    optimizer = torch.optim.SGD(groups, lr=0.5)

    def norms():
        return model.qkv.weight.detach().unflatten(0, (3, HEADS, -1)).flatten(2).norm(dim=-1)

    before = norms()
    with nld.hold_norms(optimizer, groups):
        train(model, optimizer)
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
        train(model, optimizer)
    assert torch.allclose(norms().sum(), before.sum(), rtol=1e-13)
    assert ((norms() / before - 1).abs() > 1e-4).all()


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
        train(model, muon, rest)
    after = model.query.weight.detach().unflatten(0, (HEADS, -1)).flatten(1).norm(dim=1)
    assert torch.allclose(before, after, rtol=1e-6)
    with pytest.raises(ValueError, match="got none"):
        nld.hold_norms(rest, groups)


def test_a_symmetry_split_between_optimizers_is_refused():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 2))
    groups = nld.param_groups(model, vectors())
    with pytest.raises(ValueError, match=r"got it without 0\.bias"):
        nld.hold_norms(torch.optim.SGD([model[0].weight], lr=0.1), groups)
