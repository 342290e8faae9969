"""Operations that move rows by an index, and layers that refuse float64: followed, or named."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nld

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
