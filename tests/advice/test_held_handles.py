"""The handle of held norms: resumed, passed on, let go, stepped by closures, and what it refuses."""

import copy

import pytest
import torch

import nld
from tests.advice.architectures import smooth, vectors
from tests.advice.perceptron import batches, grouped, make, network, train


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
