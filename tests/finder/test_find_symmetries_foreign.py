"""Models in other people's style: all that is found is true, and all of the kinds that are sought is found."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nld
from tests.finder import foreign_models, null_space


def counted(found) -> dict[str, int]:
    return {kind: sum(b.units for b in found if b.kind == kind) for kind in {b.kind for b in found}}


def per_sample(output: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of every sample with a random class."""
    return F.cross_entropy(output, torch.randint(output.shape[1], (len(output), *output.shape[2:])), reduction="none")


@pytest.mark.parametrize("case", foreign_models.CASES, ids=lambda case: case.name)
def test_law_foreign_models_have_what_is_found_and_no_more(case):
    torch.manual_seed(case.seed)
    model = null_space.generic_point(case.build())
    example = case.inputs()
    found = nld.find_symmetries(model, example.double() if example.is_floating_point() else example, loss=case.loss)
    null = null_space.null_directions(model, case.inputs, per_sample if case.loss else None)
    columns = torch.cat([null_space.generators(model, found), null_space.coupled_generators(model, found.coupled)], 1)
    assert counted(found) == case.units
    assert not found.not_analysed
    outside = columns - null @ (null.T @ columns)
    assert float((outside.norm(dim=0) / columns.norm(dim=0)).max()) < 1e-8
    assert null_space.rank(columns) + case.beyond == null.shape[1]
    assert bool(case.beyond) == bool(case.why)


def test_units_are_single_filters():
    """Filters normalized on their own are units on their own, not one of them and the sum of all."""
    torch.manual_seed(0)
    for model in (foreign_models.StandardizedConv(2, 4, 3), nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))):
        example = torch.randn(5, 2, 4, 4) if isinstance(model, nn.Conv2d) else torch.randn(5, 3)
        (block,) = [b for b in nld.find_symmetries(model, example) if b.kind == "scale"]
        assert block.units == 4
        assert not block.members[0].narrow


def penalized(model: nn.Module, penalty):
    return lambda output: F.cross_entropy(output, torch.zeros(6, dtype=torch.long)) + 0.01 * penalty(model)


def squares(model: nn.Module) -> torch.Tensor:
    return sum(p.square().sum() for p in model.parameters())  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_penalty_in_the_loss_breaks_what_it_sees(dtype):
    """The penalty is taken of the model that the loss closes over, which is not the one that is measured."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)).to(dtype)
    x = torch.randn(6, 2, 4, 4, dtype=dtype)
    buffers = [b.clone() for b in model.buffers()]
    assert counted(nld.find_symmetries(model, x, loss=F.cross_entropy)) == {"scale": 4, "rescale": 4, "translation": 21}
    assert not nld.find_symmetries(model, x, loss=penalized(model, squares))
    last = penalized(model, lambda m: m[4].weight.norm())
    assert counted(nld.find_symmetries(model, x, loss=last)) == {"scale": 4, "translation": 5}
    other = torch.randn(5, 2, 4, 4, dtype=dtype)
    own = penalized(model, lambda m: m(other).square().sum())  # runs the model once more
    assert counted(nld.find_symmetries(model, x, loss=own)) == {"scale": 4, "rescale": 4, "translation": 4}
    assert all(torch.equal(b, before) for b, before in zip(model.buffers(), buffers, strict=True))


def test_outputs_inside_objects_are_outputs():
    torch.manual_seed(0)
    model, x = foreign_models.Hidden(), torch.randn(9, 3)
    assert not nld.find_symmetries(model, x)
    assert counted(nld.find_symmetries(model, x, loss=lambda answer: answer.logits.exp().sum())) == {"rescale": 4}


def test_complex_parameters_are_named_and_left_alone():
    torch.manual_seed(0)
    found = nld.find_symmetries(foreign_models.Complex(), torch.randn(9, 3), loss=nn.CrossEntropyLoss())
    assert counted(found) == {"translation": 5}
    assert any("weight: complex" in note for note in found.not_analysed)


def test_reentrant_checkpoints_are_measured_with_backward():
    torch.manual_seed(0)
    found = nld.find_symmetries(foreign_models.Reentrant(), torch.randn(9, 3))
    assert counted(found) == {"rescale": 4}
    assert not found.not_analysed


def test_integers_and_zeros_beside_numbers_are_numbers():
    """An integer tensor that is added breaks a rescaling, and zeros joined to ones are not zero."""

    class Added(foreign_models.Hidden):
        def forward(self, x):
            return self.last(F.relu(self.first(x)) + torch.arange(4))

    class Joined(foreign_models.Hidden):
        def forward(self, x):
            return self.last(F.relu(self.first(x)) + torch.cat([x.new_zeros(2), x.new_ones(2)]))

    torch.manual_seed(0)
    for model in (Added(), Joined()):
        found = nld.find_symmetries(model, torch.randn(9, 3))
        assert not found
        assert not found.not_analysed  # nothing was proposed that the measurement had to refuse
