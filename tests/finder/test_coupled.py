"""Symmetries whose generators depend on other weights: they are flows, exact at finite size, and have the exact law."""

from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from torch import nn

import nld
from nld.finder.check import own_random_state
from nld.finder.coupled import Coupled
from nld.finder.coupled_search import coupled_violations
from nld.finder.find import table
from nld.theory import discrete
from tests.finder import null_space
from tests.finder.models import FusedGPT, OnePlusNorm, ScaledGPT, frozen

MODELS = {
    "layer norm": FusedGPT,
    "rms norm": partial(FusedGPT, norm=nn.RMSNorm),
    "gain 1 + w": partial(FusedGPT, norm=OnePlusNorm),
    "layer scale": ScaledGPT,
    "layer scale, rms norm": partial(ScaledGPT, norm=nn.RMSNorm),
}
TOKENS = torch.randint(7, (4, 5), generator=torch.Generator().manual_seed(0))


@cache
def searched(name: str) -> tuple[nn.Module, nld.finder.find.Symmetries]:
    torch.manual_seed(0)
    model = null_space.generic_point(MODELS[name]())
    return model, nld.find_symmetries(model, TOKENS)


def found_in(name: str) -> tuple[nn.Module, nld.finder.find.Symmetries]:
    """A model of its own each time, and what was found in it once."""
    model, found = searched(name)
    torch.manual_seed(0)  # whoever searched first
    return deepcopy(model), found


def parameters(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def direction(one: Coupled) -> torch.Tensor:
    return torch.randn(one.shape, generator=torch.Generator().manual_seed(1)).double() / one.shape[0] ** 0.5


@pytest.mark.parametrize("name", MODELS)
def test_law_transforms_are_a_flow_of_their_generator(name):
    model, found = found_in(name)
    for one in found.coupled:
        symmetry, point = one.symmetry(direction(one)), one.point(parameters(model))
        twice = symmetry.transform(symmetry.transform(point, 0.3), 0.5)
        ahead, behind = symmetry.transform(point, 1e-4), symmetry.transform(point, -1e-4)
        for end, once, a, b, velocity in zip(
            twice, symmetry.transform(point, 0.8), ahead, behind, symmetry.generator(point), strict=True
        ):
            torch.testing.assert_close(end, once, rtol=1e-10, atol=1e-12)
            torch.testing.assert_close((a - b) / 2e-4, velocity, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_law_outputs_do_not_notice_a_large_transformation(name):
    model, found = found_in(name)
    before = model(TOKENS)
    for one in found.coupled:
        moved = dict(
            zip(
                (*one.flow.moved, *one.flow.read),
                one.symmetry(direction(one)).transform(one.point(parameters(model)), 2.0),
                strict=True,
            )
        )
        after = torch.func.functional_call(model, moved, (TOKENS,))
        torch.testing.assert_close(after, before, rtol=1e-8, atol=1e-8)
        assert max(float((moved[p] - model.get_parameter(p).detach()).abs().max()) for p in one.parameters) > 0.1


@pytest.mark.parametrize("name", MODELS)
def test_law_the_exact_discrete_law_holds_with_these_generators(name):
    """Whatever the steps are: the change of the charge is dissipation, symmetry breaking and weight decay."""
    model, found = found_in(name)
    rule = nld.heavy_ball(learning_rate=0.02, momentum=0.9, weight_decay=1e-2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-2)
    symmetries = [(one, one.symmetry(direction(one))) for one in found.coupled]
    torch.manual_seed(1)
    targets = torch.randint(7, TOKENS.shape)
    last: list[tuple] = []
    for step in range(6):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(TOKENS).flatten(0, 1), targets.flatten()).backward()
        now = parameters(model)
        optimizer.step()
        buffers = {n: rule.gradient_weight * optimizer.state[p]["momentum_buffer"] for n, p in model.named_parameters()}
        states = [(one.point(buffers), one.point(now)) for one, _ in symmetries]
        if step:
            for (one, symmetry), (buffer, before), (after, q) in zip(symmetries, last, states, strict=True):
                charges = discrete.noether_charge(symmetry, after, q), discrete.noether_charge(symmetry, buffer, before)
                change = discrete.charge_change(rule, symmetry, buffer, before, q)
                size = sum((x * y).abs().sum() for x, y in zip(after, symmetry.generator(q), strict=True))
                assert float(abs(charges[0] - charges[1] - change)) < 1e-12 * float(size), one.name
                assert float(abs(charges[0])) > 1e-6 * float(size)
        last = states


def test_a_false_one_among_true_ones_is_refused_and_named():
    """One sink of an absorption is forgotten: the others hold, and the model comes back."""
    model, found = found_in("layer norm")
    true = [one for one in found.coupled if one.kind == "absorption"]
    chosen = next(one for one in true if len(one.flow.shifts) > 1)
    false = replace(chosen, flow=replace(chosen.flow, shifts=chosen.flow.shifts[:-1]))
    before = parameters(model)
    weights = torch.randn(7).double()
    with own_random_state(model):
        measured = coupled_violations(
            model, lambda: (model(TOKENS) @ weights).sum(), [*true, false, *found.coupled], nullcontext, 1e-7
        )
    assert [violation.holds(1e-7) for violation in measured] == [True] * len(true) + [False] + [True] * len(
        found.coupled
    )
    for name, value in parameters(model).items():
        torch.testing.assert_close(value, before[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("layer scale")])
def test_law_gains_that_stand_behind_weights_hide_nothing(name):
    """What is found lies in the null space, and is all of it."""
    model, found = found_in(name)
    parts = [null_space.generators(model, found), null_space.coupled_generators(model, found.coupled)]
    columns, null = torch.cat(parts, 1), null_space.null_directions(model, lambda: torch.randint(7, (4, 5)))
    outside = columns - null @ (null.T @ columns)
    assert float((outside.norm(dim=0) / columns.norm(dim=0)).max()) < 1e-8
    assert null_space.rank(columns) == null.shape[1]
    assert {one.kind for one in found.coupled if "gain" in " ".join(one.flow.read)} >= {"rotation"}


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (("norm2.weight",), 0),
        (("up.weight",), 0),
        (("head.weight",), 0),
        # What a gain adds together with a frozen bias the next bias could take away, too.
        (("norm2.bias",), 7),
    ],
)
def test_law_frozen_parameters_do_not_move(names, missing):
    """What is left lies in the null space of the parameters that are trained, and is all but what is said."""
    torch.manual_seed(0)
    model = null_space.generic_point(frozen(FusedGPT(), *names))
    found = nld.find_symmetries(model, TOKENS)
    assert not {name for one in found.coupled for name in one.parameters} & set(names)
    parts = [null_space.generators(model, found), null_space.coupled_generators(model, found.coupled)]
    columns, null = torch.cat(parts, 1), null_space.null_directions(model, lambda: torch.randint(7, (4, 5)))
    outside = columns - null @ (null.T @ columns)
    assert float((outside.norm(dim=0) / columns.norm(dim=0)).max()) < 1e-8
    assert null_space.rank(columns) + missing == null.shape[1]


def test_a_row_that_has_no_gradient_by_decree_breaks_a_rotation():
    """The padding row is used but never trained, so that the law would not hold in training."""
    torch.manual_seed(0)
    model = FusedGPT(norm=nn.RMSNorm)
    model.token = nn.Embedding(7, 4, padding_idx=0)
    found = nld.find_symmetries(model, torch.cat([torch.zeros(4, 1, dtype=torch.long), TOKENS[:, 1:]], 1))
    assert not [one for one in found.coupled if one.kind == "rotation"]
    assert any("rotation in" in note for note in found.not_analysed)


def test_small_contributions_to_an_overlap_count():
    """Numbers as small as an epsilon are changed while a model is measured without its epsilons, but not these."""
    torch.manual_seed(0)
    model = FusedGPT()
    for norm in (model.norm1, model.norm2, model.norm):
        nn.init.normal_(norm.bias, std=1e-4)
    found = nld.find_symmetries(model, TOKENS)
    assert sum(one.dimension for one in found.coupled) == 4 + (12 + 4) + (5 + 4) + 4 + 3
    assert not found.not_analysed


def test_names_carry_the_prefix_of_a_wrapper_and_words_say_what_moves():
    torch.manual_seed(0)
    plain = FusedGPT()
    found = nld.find_symmetries(nn.DataParallel(plain), TOKENS)
    names = {name for one in found.coupled for name in one.parameters}
    assert names
    assert all(name.startswith("module.") for name in names)
    assert [one.parameters for one in nld.find_symmetries(plain, TOKENS).coupled] == [
        tuple(name.removeprefix("module.") for name in one.parameters) for one in found.coupled
    ]
    assert "absorption in 4 directions: norm1.bias → qkv.bias" in table(found)
    assert found.coupled[0].describe().startswith("absorption in 4 directions: norm1.bias → qkv.bias; ")


def test_a_direction_of_the_wrong_shape_says_which_is_right():
    _, found = found_in("layer norm")
    with pytest.raises(nld.errors.InvalidInput, match=r"shape \(4,\)"):
        found.coupled[0].symmetry(torch.zeros(3))
