"""Groups from symmetry: a table by hand, and the loss of models whose tensors are multiplied."""

import copy
import warnings

import pytest
import torch
from torch import nn

import nld
from nld.advice import Scale
from tests.advice.architectures import ARCHITECTURES, NONE, VECTORS, Transformer, smooth, tokens, vectors

FACTOR = 1.7


def groups_of(architecture):
    torch.manual_seed(1)
    model = architecture.build()
    return model, nld.param_groups(model, architecture.inputs())


@pytest.fixture(scope="module", params=ARCHITECTURES, ids=lambda architecture: architecture.name)
def grouped(request):
    return request.param, *groups_of(request.param)


def generic_output(model, inputs):
    """At weights away from initial ones and zeros, in float64, with normalizations nearly without their epsilon."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = copy.deepcopy(model).double()
    generator = torch.Generator().manual_seed(3)
    for module in model.modules():
        if getattr(module, "eps", None) is not None or isinstance(module, nn.RMSNorm):
            module.eps = 1e-14
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    return model, lambda: model(inputs)


def multiply(model, factors, factor=FACTOR):
    """Entries as a string index them, times factor to a power."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for entries, power in factors.items():
            name, _, index = entries.partition("[")
            part = parameters[name]
            for axis, limits in enumerate(index.rstrip("]").split(", ") if index else []):
                if limits != ":":
                    start, stop = map(int, limits.split(":"))
                    part = part.narrow(axis, start, stop - start)
            part.mul_(factor**power)


def changes(model, output, factors):
    before = output()
    multiply(model, factors)
    after = output()
    return ((after - before).norm() / before.norm()).item()


def test_every_tensor_is_in_the_group_where_it_belongs_by_hand(grouped):
    architecture, model, groups = grouped
    assert {group["scale"]: sorted(group["names"]) for group in groups} == {
        scale: sorted(names) for scale, names in architecture.classes.items()
    }
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in model.parameters())
    for name, units in architecture.units.items():
        (part,) = groups.parts[name]
        assert part.block.units == units


def test_the_loss_does_not_notice_what_is_said_to_be_a_symmetry(grouped):
    architecture, model, groups = grouped
    for parts in groups.parts.values():
        for part in parts:
            if part.scale is Scale.NONE:
                assert part.factors == {}
                continue
            twin, output = generic_output(model, architecture.inputs())
            assert part.cell.entries in part.factors or part.cell.parameter in part.factors
            assert changes(twin, output, part.factors) < 1e-7


def test_the_loss_notices_every_factor_that_is_not_said_to_be_free(grouped):
    architecture, model, groups = grouped
    for name, parts in groups.parts.items():
        own = [part for part in parts if part.scale is Scale.OWN and not part.partners]
        if len(own) == len(parts):
            continue
        twin, output = generic_output(model, architecture.inputs())
        others = {part.cell.entries: 1.0 for part in parts if part not in own}
        noticed = changes(twin, output, others) > 1e-4
        # a bias in front of batch normalization is not seen at all, with or without a factor
        assert noticed or architecture.name == "convolutions with biases", name


@pytest.mark.parametrize("shared", [False, True])
def test_no_entry_lies_on_two_spheres(grouped, shared):
    _, model, groups = grouped
    counts = {name: torch.zeros(p.shape) for name, p in model.named_parameters()}
    for block in groups.scale_blocks(shared):
        assert block.kind == "scale"
        for member in block.members:
            member.write(counts[member.parameter], member.rows(counts[member.parameter]) + 1)
    assert max(float(count.max()) for count in counts.values()) <= 1
    for name, parts in groups.parts.items():
        held = bool((counts[name] == 1).all())
        assert held == all(part.scale is Scale.OWN or (shared and part.scale is Scale.SHARED) for part in parts)


@pytest.mark.parametrize("kind", ["SGD", "AdamW", "NAdam"])
def test_any_optimizer_takes_the_groups_and_saves_them(kind):
    model, groups = groups_of(ARCHITECTURES[0])
    optimizer = getattr(torch.optim, kind)(groups, lr=0.1)
    model(ARCHITECTURES[0].inputs()).square().sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    assert [group["scale"] for group in state["param_groups"]] == [group["scale"] for group in groups]
    optimizer.load_state_dict(state)


def test_weight_decay_goes_to_all_but_gains_and_biases():
    torch.manual_seed(1)
    groups = nld.param_groups(Transformer(), tokens(), weight_decay=0.1)
    assert {group["scale"]: group["weight_decay"] for group in groups if group["scale"] == VECTORS} == {VECTORS: 0.0}
    assert all(group["weight_decay"] == 0.1 for group in groups if group["scale"] != VECTORS)
    assert all("weight_decay" not in group for group in nld.param_groups(Transformer(), tokens()))
    with pytest.raises(ValueError, match="expected weight_decay to be a finite number >= 0"):
        nld.param_groups(Transformer(), tokens(), weight_decay=-1.0)


def test_frozen_parameters_are_in_no_group_and_carry_no_symmetry():
    model = Transformer(nn.LayerNorm)
    model.token.weight.requires_grad_(False)
    groups = nld.param_groups(model, tokens())
    assert "token.weight" not in groups.parameters
    assert "shared" not in [group["scale"] for group in groups]  # the frozen embedding pins the residual's scale


class Opaque(nn.Module):
    """A normalized layer behind an operation without a rule."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 4, bias=False), nn.Linear(4, 2)

    def forward(self, x):
        y = torch.special.bessel_j0(self.first(x))
        return self.last(torch.nn.functional.normalize(y, dim=-1))


def test_what_was_not_analysed_is_never_passed_over():
    with pytest.warns(UserWarning, match="not everything was analysed.*special_bessel_j0"):
        groups = nld.param_groups(Opaque(), vectors())
    for text in (str(groups), groups.explain("first.weight")):
        assert "Not analysed" in text
        assert "special_bessel_j0" in text
        assert "Every operation was analysed" not in text
    assert any("special_bessel_j0" in note for note in groups.not_analysed)


def test_an_analysed_model_says_so_and_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        groups = nld.param_groups(smooth(), vectors())
    assert "Every operation was analysed." in str(groups)


def test_the_table_has_every_tensor_once_and_a_heading_for_every_group(grouped):
    _, model, groups = grouped
    lines = str(groups).splitlines()
    for name, _ in model.named_parameters():
        assert sum(line.split()[:1] == [name] for line in lines) == 1
    assert [line.split(":")[0].lower() for line in lines if line.split(":")[0].isupper()] == [
        group["scale"] for group in groups
    ]
    assert max(map(len, lines)) <= 110


def test_explain_says_what_follows():
    torch.manual_seed(1)
    model = Transformer(query_key_norm=True, gated=True, tied=True)
    groups = nld.param_groups(model, tokens())
    assert "Its norm may be held" in groups.explain("query.weight")
    assert "λ γ/γ_max" in groups.explain("query.weight")
    assert "the same tensor as token.weight" in groups.explain("head.weight")
    assert "undone by norm.weight" in groups.explain("head.weight")
    assert "derived under these assumptions, not measured in this model" in groups.explain("head.weight")
    assert "derived, not measured here" in " ".join(str(groups).split())
    assert groups.scale_of("head.weight") == groups.scale_of("token.weight") == "compensated"
    torch.manual_seed(1)
    plain = nld.param_groups(Transformer(gains=False), tokens())
    assert "A learnable gain behind it would make its norm free." in plain.explain("head.weight")
    assert plain.scale_of("head.weight") == NONE
    fused = nld.param_groups(Transformer(gains=False, query_key_norm=True, fused=True), tokens())
    assert "qkv.weight[0:16]: a scale symmetry of its own" in fused.explain("qkv.weight")
    with pytest.raises(ValueError, match=r"got 'heat\.weight'; did you mean 'head\.weight'"):
        plain.explain("heat.weight")


def test_symmetries_of_another_model_are_refused():
    with pytest.raises(ValueError, match="expected symmetries of this model"):
        nld.param_groups(smooth(), vectors(), symmetries=nld.find_symmetries(Transformer(), tokens()))
