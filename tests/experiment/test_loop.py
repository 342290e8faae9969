"""The training loop against loops written out, for every kind of network and of update, and what it promises."""

import dataclasses
import itertools

import pytest
import torch
import torch.nn.functional as F

from nld.experiment.training.batches import BatchOrder, batch
from nld.experiment.training.ensemble import Ensemble
from nld.experiment.training.loop import FixedNorms, Step, cross_entropy, training
from nld.learning_rules.decoupled import sgdp
from tests.experiment.written_out import ADAMW, HEAVY, KINDS, SGD, SIZE, SOURCE, STEPS, batches, built


def names_of(network):
    return [name for name, _ in network.named_parameters()]


def tensors(step):
    return [step.loss, *step.gradients.values(), *step.before.values(), *step.after.values()]


@pytest.mark.parametrize("kind", KINDS)
def test_law_every_step_is_that_of_a_loop_written_out(kind):
    network, update, given, expected = KINDS[kind]()
    steps = list(training(network, update, given, observe=names_of(network)))
    assert [step.index for step in steps] == list(range(STEPS))
    for step, *members in zip(steps, *expected, strict=True):
        for member, (loss, *parts) in enumerate(members):
            taken = (step.gradients, step.before, step.after)
            torch.testing.assert_close(step.loss if len(members) == 1 else step.loss[member], loss, rtol=1e-9, atol=0)
            for by_name, by_hand in zip(taken, parts, strict=True):
                assert by_name.keys() == by_hand.keys()
                for name, value in by_hand.items():
                    ours = by_name[name] if len(members) == 1 else by_name[name][member]
                    torch.testing.assert_close(ours, value, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("make", [lambda p: torch.optim.SGD(p, **SGD), lambda p: torch.optim.AdamW(p, **ADAMW)])
def test_law_an_optimizer_ends_at_the_bits_of_the_usual_loop(make):
    ours, usual = built(1, "digits_cnn"), built(1, "digits_cnn")
    for _ in training(ours, make(ours.parameters()), batches(1)):
        pass
    optimizer, order = make(usual.parameters()), BatchOrder(SOURCE, SIZE, 1)
    for n in range(STEPS):
        images, labels = batch(SOURCE, order(n), torch.float64)
        optimizer.zero_grad()
        F.cross_entropy(usual(images), labels).backward()
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), usual.parameters(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_law_the_fields_of_a_step_are_what_they_say(kind):
    network, update, given, _ = KINDS[kind]()
    initial = {name: p.detach().clone() for name, p in network.named_parameters()}
    given = list(given)
    position = initial
    for step in training(network, update, given, observe=names_of(network)):
        for name, parameter in network.named_parameters():
            assert torch.equal(step.before[name], position[name])
            assert torch.equal(step.after[name], parameter)
            assert torch.equal(step.moved[name], step.after[name] - step.before[name])
            assert not step.after[name].requires_grad
        position = step.after
    assert not step.loss.requires_grad
    # the gradients of the last step, at its start, through the network itself
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(step.before[name])
    loss = cross_entropy(network, *given[-1])
    assert torch.equal(loss.detach(), step.loss)
    again = torch.autograd.grad(loss.sum(), [parameter for _, parameter in network.named_parameters()])
    for name, gradient in zip(names_of(network), again, strict=True):
        torch.testing.assert_close(step.gradients[name], gradient, rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_law_no_later_step_writes_into_what_was_kept(kind):
    network, update, given, _ = KINDS[kind]()
    kept, copies = [], []
    for step in training(network, update, given, observe=names_of(network)):
        kept.append(step)
        copies.append([tensor.clone() for tensor in tensors(step)])
    for step, values in zip(kept, copies, strict=True):
        assert all(torch.equal(now, then) for now, then in zip(tensors(step), values, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_law_one_step_a_batch_and_none_ahead(kind):
    network, update, given, _ = KINDS[kind]()
    begun = []
    counted = (begun.append(n) or each for n, each in enumerate(given))
    steps = training(network, update, counted, observe=names_of(network))
    start = {name: p.detach().clone() for name, p in network.named_parameters()}
    assert begun == []
    _, step = itertools.islice(steps, 2)
    assert begun == [0, 1]
    assert all(torch.equal(p, step.after[name]) for name, p in network.named_parameters())
    assert any(not torch.equal(p, start[name]) for name, p in network.named_parameters())
    assert [later.index for later in steps] == [2, 3]
    end = {name: p.detach().clone() for name, p in network.named_parameters()}
    assert list(steps) == []
    assert all(torch.equal(p, end[name]) for name, p in network.named_parameters())


def test_a_step_is_a_value_that_takes_no_step():
    model = built(0)
    (step,) = training(model, HEAVY, batches(0, 1), observe=["1.weight"])
    assert {field.name for field in dataclasses.fields(Step)} == {"index", "loss", "gradients", "before", "after"}
    assert not [value for value in vars(step).values() if callable(value)]
    with pytest.raises(dataclasses.FrozenInstanceError):
        step.loss = 0
    assert list(step.before) == list(step.after) == list(step.moved) == ["1.weight"]
    assert list(step.gradients) == names_of(model)


def test_nothing_is_copied_that_is_not_observed():
    (step,) = training(built(0), HEAVY, batches(0, 1))
    assert step.before == step.after == step.moved == {}


def test_schedule_comes_before_the_update_and_the_constraint_is_part_of_the_step():
    model, calls = built(0), []
    weight = model.get_parameter("1.weight")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)

    def schedule(index):
        calls.append(index)
        optimizer.param_groups[0]["lr"] = 0.1 * index

    initial = weight.detach().norm(dim=1)
    steps = training(
        model, optimizer, batches(0), observe=["1.weight"], schedule=schedule, constraint=FixedNorms([weight]), first=7
    )
    for index, step in enumerate(steps, 7):
        assert step.index == index
        assert calls == list(range(7, index + 1))
        free = step.before["1.weight"] - 0.1 * index * step.gradients["1.weight"]
        assert float((free.norm(dim=1) - initial).abs().max()) > 1e-6
        expected = free * (initial / free.norm(dim=1))[:, None]
        torch.testing.assert_close(step.after["1.weight"], expected, rtol=1e-12, atol=1e-14)


def test_fixed_norms_of_an_ensemble_hold_the_members_that_are_named():
    ensemble = Ensemble([built(seed, "digits_cnn") for seed in (0, 1, 2)])
    weight = ensemble.parameters["3.weight"]
    norms = weight.detach().flatten(2).norm(dim=2)
    held = FixedNorms([weight], [0, 2])
    for step in training(ensemble, HEAVY, batches((0, 1, 2)), observe=["3.weight"], constraint=held):
        now = step.after["3.weight"].flatten(2).norm(dim=2)
        torch.testing.assert_close(now[[0, 2]], norms[[0, 2]], rtol=1e-12, atol=0)
        assert float((now[1] - norms[1]).abs().max()) > 1e-6


@pytest.mark.parametrize("members", [0, 2])
def test_a_rule_sees_the_weights_of_a_filter_as_one_unit(members):
    """A projecting rule without decay steps at right angles to each whole filter, not to rows of its kernel."""
    model = Ensemble([built(seed, "digits_cnn") for seed in range(members)]) if members else built(0, "digits_cnn")
    name, axes = "3.weight", 2 if members else 1
    rules = {each: sgdp(0.1, 0.9, 0) if each == name else HEAVY for each in names_of(model)}
    for step in training(model, rules, batches(range(members) if members else 0), observe=[name]):
        q, moved = (each[name].flatten(axes) for each in (step.before, step.moved))
        assert float(((q * moved).sum(-1) / (q.norm(dim=-1) * moved.norm(dim=-1))).abs().max()) < 1e-13
        rows = (step.before[name] * step.moved[name]).sum(-1)
        assert float(rows.abs().max()) > 1e-8


def test_a_member_is_a_view_of_the_ensemble_and_keeps_to_its_own_images():
    seeds = (0, 4)
    ensemble = Ensemble([built(seed) for seed in seeds])
    for step in training(ensemble, HEAVY, batches(seeds), observe=["1.weight"]):
        for index, member in enumerate(ensemble.members):
            assert torch.equal(member.get_parameter("1.weight"), step.after["1.weight"][index])
    images, labels = next(iter(batches(seeds)))
    for index, member in enumerate(ensemble.members):
        loss = F.cross_entropy(member(images[index]), labels[index])
        torch.testing.assert_close(cross_entropy(ensemble, images, labels)[index], loss, rtol=1e-10, atol=0)


def test_members_that_see_the_same_images_have_the_same_labels():
    logits = torch.randn(3, 5, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([1, 0, 9, 3, 3])
    losses = cross_entropy(lambda images: logits, torch.empty(0), labels)
    expected = torch.stack([F.cross_entropy(each, labels) for each in logits])
    torch.testing.assert_close(losses, expected, rtol=1e-14, atol=0)


def test_a_name_that_is_no_parameter_is_refused():
    with pytest.raises(ValueError, match=r"expected names among 1.weight, .* got weight; see observe="):
        next(training(built(0), HEAVY, batches(0), observe=["weight"]))
