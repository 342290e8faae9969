"""A loop that is sound is called so, one with a fault is called by its name."""

import pytest
import torch
from torch import nn

import nld
from nld.errors import InvalidInput
from nld.training_check import TOPICS
from tests.training_check.faulty_loops import FAULTS
from tests.training_check.script import CLIP, Script, batches, cross_entropy, network
from tests.training_check.sound_loops import NOTED, SOUND
from tests.training_check.sound_models import Parallel


def topics(check):
    return " ".join(finding.topic for finding in check.findings)


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_loop_is_called_sound(name):
    steps = 20 if name == "Momentum" else 10  # twenty unless others are asked for
    check = nld.check_training(lambda: SOUND[name]().loop(), **({} if steps == 20 else {"steps": steps}))
    assert check.sound, str(check)
    assert not check.notes
    assert check.steps == steps
    assert check.difference < 1e-4
    assert str(check).startswith(f"ok    {steps} steps")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_called_by_its_name_and_nothing_else(fault):
    check = nld.check_training(lambda: fault().loop(), steps=10)
    assert topics(check) == FAULTS[fault], str(check)
    assert not check.notes
    assert all(line.startswith("look  ") for line in str(check).splitlines())


@pytest.mark.parametrize("noted", NOTED, ids=lambda noted: noted.__name__)
def test_what_cannot_be_judged_is_noted(noted):
    check = nld.check_training(lambda: noted().loop(), steps=3)
    assert check.sound, str(check)
    assert [note.startswith(NOTED[noted]) for note in check.notes] == [True]
    assert NOTED[noted] in str(check)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_seen_in_whatever_the_seed(fault, monkeypatch):
    seed = torch.manual_seed
    for offset in (1, 2, 3):
        monkeypatch.setattr(torch, "manual_seed", lambda number, offset=offset: seed(number + offset))
        assert topics(nld.check_training(lambda: fault().loop())) == FAULTS[fault]


def test_every_topic_is_tested():
    assert {topic for named in FAULTS.values() for topic in named.split()} == set(TOPICS)


def test_parallel_training_on_one_process_is_sound(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        check = nld.check_training(lambda: Parallel().loop())
    finally:
        torch.distributed.destroy_process_group()
    assert check.sound, str(check)


def test_the_training_is_what_it_is_unwatched():
    """Weights, buffers and random numbers are the same bits after the check as after the loop alone."""
    script, alone = Script(), Script()
    torch.manual_seed(5)
    for batch in (batches() * 3)[:20]:
        alone.step(batch)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    nld.check_training(script.loop())
    assert torch.equal(torch.rand(3), drawn)
    for name, value in alone.model.state_dict().items():
        assert torch.equal(value, script.model.state_dict()[name]), name
    assert not script.model._forward_pre_hooks
    assert not script.optimizer._optimizer_step_pre_hooks


@pytest.mark.parametrize("share", [1e-3, 1e-2, 1.0])
def test_the_smallest_noise_that_is_seen(share):
    """Exactness decides: a thousandth of the gradient is enough."""

    class Noisy(Script):
        def change(self):
            for p in self.model.parameters():
                p.grad += share * p.grad.norm() * torch.randn_like(p) / p.numel() ** 0.5

    assert topics(nld.check_training(lambda: Noisy().loop(), steps=3)) == "changed-gradient"


def test_a_finding_names_its_parameters_and_steps():
    class Late(Script):
        def change(self):
            if self.calls > 4:
                self.model[4].weight.grad.clamp_(-1e-3, 1e-3)

    (finding,) = nld.check_training(lambda: Late().loop(), steps=8).findings
    assert (finding.topic, finding.parameters, finding.steps) == ("value-clipping", ("4.weight",), (4, 5, 6, 7))


def test_what_is_meant_is_allowed():
    loop = FAULTS_BY_NAME["ClippedUnsaid"]().loop()
    allowed = nld.TrainingLoop(loop.model, loop.optimizer, loop.loss, loop.batches, loop.step, allow=["norm-clipping"])
    check = nld.check_training(allowed, steps=3)
    assert check.sound
    assert [note.startswith("norm-clipping is allowed") for note in check.notes] == [True]


FAULTS_BY_NAME = {fault.__name__: fault for fault in FAULTS}


def parts(**changed):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(batch):
        optimizer.zero_grad()
        cross_entropy(model, batch).backward()
        optimizer.step()

    named = {"model": model, "optimizer": optimizer, "loss": cross_entropy, "batches": batches(), "step": step}
    return named | changed


@pytest.mark.parametrize("form", [tuple, dict, lambda loop: nld.TrainingLoop(**dict(loop))])
def test_a_loop_is_a_tuple_a_dictionary_or_itself(form):
    loop = parts()
    assert nld.check_training(form(loop if form is dict else loop.values() if form is tuple else loop), steps=2).sound


def on_its_own(batch, model=network()):  # noqa: B008 it is the fault
    return cross_entropy(model, batch)


CANNOT = {
    "expected an nld.TrainingLoop, or a tuple .* got a int; return model, optimizer": lambda: 3,
    "got a tuple; return model": lambda: (network(),),
    "got a dictionary of model; return model": lambda: {"model": network()},
    "expected model to be a torch.nn.Module, got a function": lambda: parts(model=cross_entropy),
    "expected loss to be a function, got a str": lambda: parts(loss="mse"),
    "expected batches that can be gone through, got a int": lambda: parts(batches=3),
    "expected at least one batch, got none": lambda: parts(batches=[]),
    "expected an optimizer, got none": lambda: parts(optimizer=[]),
    "got 'clipping'; did you mean": lambda: parts(allow=["clipping"]),
    r"a scalar tensor with a gradient, got one of shape \(16, 3\)": lambda: parts(loss=lambda m, b: m(b[0])),
    "to use the model that it is given": lambda: parts(loss=lambda model, batch: on_its_own(batch)),
}


@pytest.mark.parametrize("message", CANNOT)
def test_what_cannot_be_meant_is_said(message):
    with pytest.raises(InvalidInput, match=message):
        nld.check_training(CANNOT[message])


def test_clipping_to_a_norm_that_is_never_reached_changes_nothing():
    check = nld.check_training(parts(clip_norm=1e6), steps=2)
    assert check.sound
    assert check.difference == 0


def test_norms_clipped_by_optimizer_are_understood():
    """Each of two optimizers clips its own."""

    class Apart(SOUND["SeveralOptimizers"]):
        clip_norm = CLIP / 3

        def change(self):
            for optimizer in self.optimizer:
                nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], self.clip_norm)

    assert nld.check_training(lambda: Apart().loop(), steps=3).sound
