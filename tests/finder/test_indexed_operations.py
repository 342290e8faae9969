"""Operations that move rows by an index, and layers that refuse float64: followed, or named."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nld
from tests.finder import null_space

SOURCE, TARGET = torch.tensor([0, 1, 2, 3, 4, 5, 1, 3]), torch.tensor([1, 2, 0, 4, 5, 3, 4, 0])


class GraphConvolutions(nn.Module):
    """Two graph convolutions: rows of the neighbours, weighted and added up."""

    def __init__(self, add):
        super().__init__()
        self.first, self.last, self.add = nn.Linear(3, 4, bias=False), nn.Linear(4, 3, bias=False), add
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        weight = torch.linspace(0.5, 1.0, len(SOURCE), dtype=x.dtype)[:, None]
        x = self.add(weight * self.first(x)[SOURCE]).tanh()
        return self.add(weight * self.last(x).index_select(0, SOURCE)) + self.bias


ADDITIONS = {
    "index_add": lambda rows: rows.new_zeros(6, rows.shape[1]).index_add(0, TARGET, rows),
    "scatter_add": lambda rows: rows.new_zeros(6, rows.shape[1]).scatter_add(
        0, TARGET[:, None].expand(-1, rows.shape[1]), rows
    ),
}


@pytest.mark.parametrize("name", ADDITIONS)
def test_the_last_graph_convolution_has_the_translations_of_a_softmax(name):
    found = nld.find_symmetries(
        GraphConvolutions(ADDITIONS[name]), torch.randn(6, 3), loss=lambda y: F.cross_entropy(y, torch.arange(6) % 3)
    )
    units = {block.parameters: block.units for block in found if block.kind == "translation"}
    assert units == {("last.weight",): 4, ("bias",): 1}


ENDS = (2, 5, 9)  # of the rows that go to each expert


class Experts(nn.Module):
    """Two layers of experts, with or without the product of groups that PyTorch has in single precision only."""

    def __init__(self, grouped: bool, ends: tuple[int, ...] = ENDS):
        super().__init__()
        self.ends = ends
        self.up, self.down = nn.Parameter(torch.randn(3, 4, 8)), nn.Parameter(torch.randn(3, 8, 4))
        self.grouped = grouped

    def product(self, x, matrices):
        if self.grouped:
            return torch._grouped_mm(x, matrices, offs=torch.tensor(self.ends, dtype=torch.int32))
        return torch.cat([x[a:b] @ m for a, b, m in zip((0, *self.ends), self.ends, matrices, strict=False)])

    def forward(self, x):
        return self.product(F.relu(self.product(x, self.up)), self.down)


@pytest.mark.parametrize("grouped", [True, False])
def test_hidden_units_of_each_expert_are_rescaled_alone(grouped):
    torch.manual_seed(0)
    found = nld.find_symmetries(Experts(grouped), torch.randn(9, 4))
    assert found.not_analysed == ()
    assert {block.kind for block in found} == {"rescale"}
    spelled_out = null_space.generic_point(Experts(grouped=False))
    null = null_space.null_directions(spelled_out, lambda: 3 * torch.randn(9, 4))
    columns = null_space.generators(spelled_out, found)
    assert float((columns - null @ (null.T @ columns)).norm()) < 1e-8
    assert null.shape[1] == 3 * 8 == null_space.rank(columns)  # each unit of each expert


@pytest.mark.parametrize("grouped", [True, False])
def test_what_is_found_holds_for_experts_that_got_no_example(grouped):
    torch.manual_seed(0)
    found = nld.find_symmetries(Experts(grouped, (2, 2, 9)), torch.randn(9, 4))
    assert sum(block.units for block in found) == 2 * 8
    model, x = Experts(grouped=False).double(), torch.randn(9, 4).double()
    weights = torch.randn(9, 4).double()
    violations = nld.check_symmetries(model, lambda model: (weights * model(x)).sum(), found)
    assert all(violation.holds(1e-9) for violation in violations)


class Halves(nn.Module):
    """Experts of which one half of the units gates the other."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Parameter(torch.randn(3, 12, 4)), nn.Parameter(torch.randn(3, 4, 6))

    def forward(self, x):
        gate, y = (x @ self.up.mT).chunk(2, -1)
        return (gate.sigmoid() * y) @ self.down.mT


def test_units_in_a_part_of_each_matrix_of_a_stack():
    torch.manual_seed(0)
    found = nld.find_symmetries(Halves(), torch.randn(3, 5, 4))
    assert {block.name: block.units for block in found} == {"up[:, 6:12] → down": 3 * 6}
    model = null_space.generic_point(Halves())
    null = null_space.null_directions(model, lambda: 3 * torch.randn(3, 5, 4))
    columns = null_space.generators(model, found)
    assert float((columns - null @ (null.T @ columns)).norm()) < 1e-8
    assert null.shape[1] == 3 * 6 == null_space.rank(columns)


class Between(nn.Module):
    """Two linear maps that would rescale, and a function between them."""

    def __init__(self, function):
        super().__init__()
        self.first, self.last, self.function = nn.Linear(3, 6), nn.Linear(6, 2), function

    def forward(self, x):
        return self.last(self.function(self.first(x)))


def assigned(y):
    result = torch.ones_like(y)
    result[:, :3] = y[:, :3]
    return result


INDEXED = {
    "gather": lambda y: y.gather(1, torch.tensor([[5, 0, 1, 2, 3, 4]]).expand(len(y), -1)),
    "scatter_reduce": lambda y: torch.zeros_like(y).scatter_reduce(
        1, torch.tensor([[5, 0, 1, 2, 3, 4]]).expand(len(y), -1), y, "amax", include_self=False
    ),
    "copy": assigned,
}


@pytest.mark.parametrize("name", INDEXED)
def test_what_is_not_followed_is_named(name):
    found = nld.find_symmetries(Between(INDEXED[name]), torch.randn(5, 3))
    assert any(name in note for note in found.not_analysed)


@pytest.mark.parametrize("error", [RuntimeError, NotImplementedError, TypeError, ValueError, AssertionError])
def test_a_layer_that_refuses_float64_is_studied_in_its_own_precision(error):
    def only_single(y):
        if y.dtype != torch.float32:
            raise error("expected float32")
        return y.relu()

    assert [(b.kind, b.units) for b in nld.find_symmetries(Between(only_single), torch.randn(5, 3))] == [("rescale", 6)]
