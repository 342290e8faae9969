"""What surrounds the search: nothing is touched, nothing is claimed that fails, everything real is survived."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import nld
from nld.cli import main
from nld.finder import Member, Symmetries, table
from tests.finder import models, symmetric


def normalized() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.3), nn.Linear(4, 2))


def kinds(found) -> dict[str, int]:
    return {kind: sum(b.units for b in found if b.kind == kind) for kind in sorted({b.kind for b in found})}


class Branching(nn.Module):
    """Asks its data which way to go."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        y = F.relu(self.first(x))
        return self.last(y) if y.sum().item() < 1e9 else y


class Detached(Branching):
    """Cuts the gradient, so that the optimizer does not see the loss that the forward pass computes."""

    def forward(self, x):
        return self.last(F.relu(self.first(x)).detach())


class Foreign(Branching):
    """Uses an operation that the analysis has no rule for."""

    def forward(self, x):
        return self.last(torch.logcumsumexp(F.relu(self.first(x)), 1))


class Checkpointed(Branching):
    def forward(self, x):
        return checkpoint(lambda y: self.last(F.relu(self.first(y))), x, use_reentrant=False)


class WritesInPlace(Branching):
    """Fills a buffer piece by piece through views of it."""

    def forward(self, x):
        out = x.new_zeros(len(x), 4)
        out[:, :2] = self.first(x)[:, :2]
        out[:, 2:] = self.first(x)[:, 2:].sigmoid()
        return self.last(out)


@pytest.mark.parametrize("call", ["find", "check"])
def test_the_model_comes_back_untouched(call):
    torch.manual_seed(0)
    model, x = normalized(), torch.randn(8, 3)
    model[1].eval()
    model(x).sum().backward()
    blocks = nld.find_symmetries(model, x)
    state = {name: t.clone() for name, t in model.state_dict().items()}
    grads = [p.grad.clone() for p in model.parameters()]
    flags = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    if call == "find":
        nld.find_symmetries(model, x)
    else:
        nld.check_symmetries(model, lambda m: m(x).square().mean(), blocks)
    assert all(torch.equal(t, state[name]) for name, t in model.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), grads, strict=True))
    assert flags == [module.training for module in model.modules()]
    assert torch.equal(random, torch.get_rng_state())


def test_check_measures_symmetries_and_their_absence():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    x, y = torch.randn(16, 3).double(), torch.randint(2, (16,))
    true = nld.find_symmetries(model, x)
    false = [
        nld.Block("scale", "first", (Member("0.weight", (4, 3)),)),
        nld.Block("rescale", "wrong way", (Member("0.weight", (4, 3)), Member("2.weight", (2, 4), (1,), 1.0))),
        nld.Block("translation", "rows", (Member("0.weight", (4, 3), (0,)),)),
        nld.Block("general_linear", "through relu", (Member("0.weight", (1, 4, 3), (0,), 1.0, (), 1),)),
    ]
    report = nld.check_symmetries(model, lambda m: F.cross_entropy(m(x), y), [*true, *false])
    for violation in report[: len(true)]:
        assert violation.gradient < 1e-12
        assert violation.loss_change < 1e-12
    for violation in report[len(true) :]:
        assert violation.gradient > 1e-3
        assert violation.loss_change > 1e-3
    with pytest.raises(ValueError, match="find its symmetries again"):
        nld.check_symmetries(nn.Linear(2, 2), lambda m: m(torch.ones(1, 2)).sum(), true)


def test_law_epsilon_breaks_scale_in_proportion():
    torch.manual_seed(0)
    model, x = normalized().double().train(), torch.randn(64, 3).double()
    model[3].p = 0.0
    scale = [b for b in nld.find_symmetries(model, x) if b.kind == "scale"]
    violations = []
    for epsilon in (1e-3, 1e-5, 1e-7):
        model[1].eps = epsilon
        violations.append(nld.check_symmetries(model, lambda m: m(x).square().mean(), scale)[0].gradient)
    assert violations[0] / violations[1] == pytest.approx(100, rel=0.05)
    assert violations[1] / violations[2] == pytest.approx(100, rel=0.05)


@pytest.mark.parametrize(
    ("model", "expected", "note"),
    [
        (Branching, {}, "a number read out of a tensor"),
        (Detached, {}, "refused by the measurement"),
        (Foreign, {}, "logcumsumexp"),
        (Checkpointed, {"rescale": 4}, None),
        (WritesInPlace, {}, None),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)), {"scale": 2}, None),
        (lambda: nn.utils.weight_norm(nn.Linear(3, 2)), {"scale": 2}, None),
        (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2)), {"scale": 1}, None),
    ],
    ids=["branch", "detach", "foreign", "checkpoint", "in-place", "weight-norm", "old-weight-norm", "spectral-norm"],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_models_that_tracers_stumble_over(model, expected, note):
    torch.manual_seed(0)
    found = nld.find_symmetries(model(), torch.randn(8, 3))
    assert kinds(found) == expected
    assert note is None or any(note in line for line in found.not_analysed)


def test_wrappers_precision_and_inputs():
    torch.manual_seed(0)
    model, x = normalized(), torch.randn(8, 3)
    plain = nld.find_symmetries(model, (x,))
    assert plain.epsilons == (1e-5,)
    compiled = torch.compile(model)
    for block, same in zip(nld.find_symmetries(compiled, {"input": x}), plain, strict=True):
        assert block.parameters == tuple(f"_orig_mod.{name}" for name in same.parameters)
        assert set(block.parameters) <= dict(compiled.named_parameters()).keys()
    assert list(nld.find_symmetries(model.bfloat16(), x.bfloat16())) == list(plain)
    assert kinds(nld.find_symmetries(model.eval(), x.bfloat16())) == {"rescale": 4}
    with pytest.raises(ValueError, match="unfreeze"):
        nld.find_symmetries(model.requires_grad_(False), x.bfloat16())


def test_fused_rows_of_one_parameter_make_members_of_their_own():
    block = next(b for b in nld.find_symmetries(models.FusedGPT(), symmetric.tokens()()) if b.kind == "general_linear")
    assert {(member.entries, member.coefficient) for member in block.members} == {
        ("qkv.weight[0:4]", 1), ("qkv.bias[0:4]", 1), ("qkv.weight[4:8]", -1), ("qkv.bias[4:8]", -1),
    }  # fmt: skip
    text = block.describe()
    assert text.startswith(
        "general linear, 2 units, each on its own: an invertible 2 x 2 matrix applied to qkv.weight[0:4]"
    )
    assert "its inverse transpose to qkv.weight[4:8]" in text


@settings(max_examples=12, deadline=None)
@given(
    widths=st.lists(st.integers(3, 6), min_size=1, max_size=3),
    normalize=st.lists(st.sampled_from([None, nn.BatchNorm1d, nn.LayerNorm]), min_size=3, max_size=3),
    bias=st.booleans(),
)
def test_law_counts_of_a_perceptron(widths, normalize, bias):
    torch.manual_seed(0)
    layers, features, expected = [], 3, {"rescale": 0, "scale": 0, "translation": 0}
    for width, norm in zip(widths, normalize, strict=False):
        layers += [nn.Linear(features, width, bias=bias), *([norm(width)] if norm else []), nn.LeakyReLU(0.3)]
        expected["rescale"] += width
        if norm is nn.BatchNorm1d:
            expected["scale"] += width
            expected["translation"] += width * bias
        elif norm is nn.LayerNorm:
            expected["scale"] += 1
            expected["translation"] += features + bias
        features = width
    model = nn.Sequential(*layers, nn.Linear(features, 2))
    found = nld.find_symmetries(model, torch.randn(9, 3))
    assert kinds(found) == {kind: n for kind, n in sorted(expected.items()) if n}
    assert not found.not_analysed


def test_command_line(capsys):
    def run(*words: str) -> int:
        return main(["symmetries", *words])

    assert run("tests.finder.models:Residual", "--input", "3,2,5,5", "--describe") == 0
    out = capsys.readouterr().out
    assert "rescale" in out
    assert "stem.weight" in out
    assert "Scale symmetries hold up to eps" in out
    assert run("tests.finder.models:FusedGPT", "--input", "3,5", "--tokens", "7", "--loss", "none") == 0
    assert run("tests.finder.models:Residual", "--input", "3,9,5,5") == 1
    assert run("tests.finder.models:nothing", "--input", "3,2,5,5") == 2
    assert run("tests.finder.models", "--input", "3,2,5,5") == 2
    assert "none found" in table(Symmetries())


class Normalized(nn.Module):
    """A root mean square written out, with an epsilon, and small numbers that are none."""

    def __init__(self, inverse):
        super().__init__()
        self.first, self.last, self.inverse = nn.Linear(3, 5, bias=False), nn.Linear(5, 2), inverse

    def forward(self, x):
        y = self.first(x)
        y = y * self.inverse(y.square().mean(-1, keepdim=True) + 1e-6)
        return self.last(torch.tanh(y + 1e-4) + 2e-4)


@pytest.mark.parametrize(
    "inverse", [torch.rsqrt, lambda y: y.pow(-0.5), lambda y: 1 / y.sqrt(), lambda y: (y**0.5).reciprocal()]
)
def test_only_small_numbers_of_denominators_are_epsilons(inverse):
    found = nld.find_symmetries(Normalized(inverse), torch.randn(7, 3))
    assert found.epsilons == (1e-6,)
    assert ("scale", ("first.weight",)) in {(str(block.kind), block.parameters) for block in found}


class Padded(nn.Module):
    """An embedding of which a token is padding, behind which all tokens of a text are normalized together."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(7, 4, padding_idx=0)

    def forward(self, tokens):
        y = self.tokens(tokens).flatten(1)
        return F.layer_norm(y, y.shape[1:])


def test_a_padding_row_that_is_used_is_named():
    clean = nld.find_symmetries(Padded(), torch.randint(1, 7, (3, 5)))
    used = nld.find_symmetries(Padded(), torch.tensor([[0, 1, 2, 3, 4, 5, 6]]))
    assert "scale" in {block.kind for block in clean}
    assert not any("padding_idx" in note for note in clean.not_analysed)
    assert "scale" not in {block.kind for block in used}
    assert any(note.startswith("tokens.weight: the example inputs hold token 0") for note in used.not_analysed)
