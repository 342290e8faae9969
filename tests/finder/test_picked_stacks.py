"""Experts as ``transformers`` multiplies them in batches: an index picks for each token the matrices of its expert."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nld
from tests.finder import null_space

WIDTH, HIDDEN, EXPERTS, TOKENS = 4, 6, 3, 40


class Layer(nn.Module):
    """One layer of gated or plain experts; a fixed router sends each token to two of them, or to what it is told.

    Args:
        one_index: whether one tensor picks the matrices of both stacks; else the second has a router of its own.
        spelled_out: by a product with all experts, whose rows a one-hot vector picks: the same function.
    """

    def __init__(self, gated: bool, one_index: bool = True, spelled_out: bool = False, top: int = 2):
        super().__init__()
        self.gated, self.one_index, self.spelled_out, self.top = gated, one_index, spelled_out, top
        self.up = nn.Parameter(torch.randn(EXPERTS, (2 if gated else 1) * HIDDEN, WIDTH))
        self.down = nn.Parameter(torch.randn(EXPERTS, WIDTH, HIDDEN))
        generator = torch.Generator().manual_seed(1)
        for name in ("router", "second_router"):
            self.register_buffer(name, torch.randn(WIDTH, EXPERTS, generator=generator))

    def product(self, stack, expert, x):
        if self.spelled_out:
            return torch.einsum("sg,gab,sb->sa", F.one_hot(expert, EXPERTS).to(x), stack, x)
        return torch.bmm(stack[expert], x.unsqueeze(-1)).squeeze(-1)

    def forward(self, x):
        weight, expert = (x @ self.router).softmax(-1).topk(self.top, -1)
        expert, token = expert.reshape(-1), torch.arange(len(x)).repeat_interleave(self.top)
        y = self.product(self.up, expert, x[token])
        if self.gated:
            gate, y = y.chunk(2, -1)
            y = F.silu(gate) * y
        else:
            y = F.relu(y)
        if not self.one_index:
            expert = (x @ self.second_router).topk(self.top, -1).indices.reshape(-1)
        y = self.product(self.down, expert, y) * weight.reshape(-1, 1)
        return y.view(len(x), self.top, WIDTH).sum(1)


class Two(nn.Module):
    """Two such layers beside a residual stream; each has an index of its own."""

    def __init__(self, **options):
        super().__init__()
        self.first, self.second = Layer(True, **options), Layer(False, **options)

    def forward(self, x):
        x = x + self.first(F.rms_norm(x, (WIDTH,)))
        return x + self.second(F.rms_norm(x, (WIDTH,)))


MODELS = {
    "gated": (lambda **options: Layer(True, **options), EXPERTS * HIDDEN),
    "plain": (lambda **options: Layer(False, **options), EXPERTS * HIDDEN),
    "two layers": (Two, 2 * EXPERTS * HIDDEN),
}


@pytest.mark.parametrize("name", MODELS)
def test_units_of_single_experts_are_all_that_the_loss_does_not_see(name):
    torch.manual_seed(0)
    make, count = MODELS[name]
    found = nld.find_symmetries(make(), torch.randn(TOKENS, WIDTH))
    assert found.not_analysed == ()
    assert {block.kind for block in found} == {"rescale"}
    assert sum(block.units for block in found) == count
    spelled_out = null_space.generic_point(make(spelled_out=True))
    null = null_space.null_directions(spelled_out, lambda: 3 * torch.randn(TOKENS, WIDTH))
    columns = null_space.generators(spelled_out, found)
    assert float((columns - null @ (null.T @ columns)).norm()) < 1e-8
    assert null.shape[1] == count == null_space.rank(columns)


def test_an_expert_that_got_no_example_moves_with_another_and_is_named():
    torch.manual_seed(0)
    model = Layer(True, top=1)
    x = torch.randn(200, WIDTH)
    first = (x @ model.router).argmax(-1)
    found = nld.find_symmetries(model, x[first != 2])
    assert sum(block.units for block in found) == (EXPERTS - 1) * HIDDEN
    assert {note.split(":")[0] for note in found.not_analysed} == {"up", "down"}
    assert all("give inputs that reach all" in note for note in found.not_analysed)
    weights = torch.randn(200, WIDTH).double()
    violations = nld.check_symmetries(model.double(), lambda model: (weights * model(x.double())).sum(), found)
    assert all(violation.holds(1e-9) for violation in violations)


@pytest.mark.parametrize("tokens", [2, TOKENS])
def test_stacks_that_two_indices_pick_are_taken_as_one_and_named(tokens):
    """The examples pair some of the matrices, other inputs others: only what all of them share is a symmetry."""
    torch.manual_seed(0)
    model = Layer(False, one_index=False, top=1)
    found = nld.find_symmetries(model, torch.randn(tokens, WIDTH))
    assert sum(block.units for block in found) == HIDDEN
    x, weights = torch.randn(200, WIDTH).double(), torch.randn(200, WIDTH).double()
    violations = nld.check_symmetries(model.double(), lambda model: (weights * model(x)).sum(), found)
    assert all(violation.holds(1e-9) for violation in violations)
    if tokens == 2:
        assert {note.split(":")[0] for note in found.not_analysed} == {"up", "down"}
        assert all("symmetries of single ones may be missing" in note for note in found.not_analysed)


def test_a_stack_that_two_indices_pick_in_turn_is_named():
    class Twice(Layer):
        def forward(self, x):
            other = (x @ self.second_router).argmax(-1)
            return super().forward(x) + F.relu(self.product(self.up, other, x)).sum(-1, keepdim=True)

    found = nld.find_symmetries(Twice(False), torch.randn(TOKENS, WIDTH))
    assert [note.split(":")[0] for note in found.not_analysed] == ["up"]
