"""What a linear operation between two layers does to a symmetry: factors, means, poolings and maxima pass it on."""

import pytest
import torch
from torch import nn

import nld
from tests.finder.test_find_symmetries_refuted import hold_by_hand


class Paths(nn.Module):
    """Two linear maps added up in some way, and a nonlinear function after."""

    def __init__(self, function):
        super().__init__()
        self.one, self.two, self.last, self.function = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 2), function

    def forward(self, x):
        return self.last(self.function(self.one(x), self.two(x.sin())).tanh())


FACTORS = {
    "half": (lambda a, b: a / 2 + b, 1 / 2),
    "three times": (lambda a, b: a * 3 + b, 3.0),
    "minus": (lambda a, b: -a + b, -1.0),
    "a quotient of a product": (lambda a, b: (a * 6) / 4 + b, 1.5),
    "a difference": (lambda a, b: 1.0 - a + b, -1.0),
    "a sum with a factor": (lambda a, b: torch.add(b, a, alpha=2), 2.0),
    "a difference with a factor": (lambda a, b: torch.sub(b, a, alpha=3), -3.0),
    "a difference the other way": (lambda a, b: torch.rsub(a, b, alpha=4), -4.0),
}


@pytest.mark.parametrize("name", FACTORS)
def test_a_shift_on_one_path_is_undone_on_the_other_by_the_factor_between(name):
    function, factor = FACTORS[name]
    torch.manual_seed(0)
    model = Paths(function).double()
    found = nld.find_symmetries(model, torch.randn(20, 3, dtype=torch.float64))
    (block,) = found
    assert (block.kind, block.units) == ("translation", 4)
    coefficients = {member.parameter: member.coefficient for member in block.members}
    assert coefficients["two.bias"] / coefficients["one.bias"] == pytest.approx(-factor)
    assert not [note for note in found.not_analysed if "refused" in note]
    assert hold_by_hand(model, found, [torch.randn(20, 3, dtype=torch.float64)])


class Tokens(nn.Module):
    """Two linear maps on tokens, and a linear reduction over the tokens between them."""

    def __init__(self, reduce):
        super().__init__()
        self.first, self.last, self.reduce = nn.Linear(5, 3, bias=False), nn.Linear(3, 5, bias=False), reduce

    def forward(self, x):
        return self.last(self.reduce(self.first(x)))


REDUCTIONS = {
    "mean": lambda y: y.mean(1),
    "kept mean": lambda y: y.mean(1, keepdim=True),
    "sum": lambda y: y.sum(1),
    "kept sum": lambda y: y.sum(-2, keepdim=True),
    "two axes": lambda y: y.mean((0, 1)),
    "kept, then dropped": lambda y: y.mean(1, keepdim=True).squeeze(1),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_matrix_passes_through_a_mean_over_tokens(name):
    torch.manual_seed(0)
    model, x = Tokens(REDUCTIONS[name]).double(), torch.randn(6, 4, 5, dtype=torch.float64)
    found = nld.find_symmetries(model, x)
    (block,) = found
    assert (block.kind, block.units, block.size) == ("general_linear", 1, 3)
    matrix = torch.linalg.matrix_exp(torch.randn(3, 3, dtype=torch.float64))
    before = model(x)
    with torch.no_grad():
        model.first.weight.copy_(matrix @ model.first.weight)
        model.last.weight.copy_(model.last.weight @ torch.linalg.inv(matrix))
    torch.testing.assert_close(model(x), before)


@pytest.mark.parametrize("shape", [(40, 3), (8, 5, 3), (4, 2, 5, 3)])
@pytest.mark.parametrize("axis", ["last", "first from the end"])
def test_a_mean_that_is_subtracted_forgets_a_shift_however_many_axes_there_are(shape, axis):
    class Centred(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            y = self.first(x)
            return self.last(y - y.mean(-1 if axis == "first from the end" else y.ndim - 1, keepdim=True)).tanh()

    torch.manual_seed(0)
    model, x = Centred().double(), torch.randn(shape, dtype=torch.float64)
    found = nld.find_symmetries(model, x)
    units = {kind: sum(b.units for b in found if b.kind == kind) for kind in {b.kind for b in found}}
    # One constant for the bias and one for each column before, one for each row of the weight behind; one factor.
    assert units == {"translation": 1 + 3 + 2, "rescale": 1}
    assert hold_by_hand(model, found, [x])


class Grid(nn.Module):
    """A factor of its own for every pixel, then a pooling over both axes."""

    def __init__(self):
        super().__init__()
        self.factors, self.last = nn.Parameter(torch.randn(2, 4, 4)), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(nn.functional.adaptive_avg_pool2d(x * self.factors, 2).flatten(1))


def test_a_pooling_ties_both_axes():
    torch.manual_seed(0)
    model, x = Grid().double(), torch.randn(6, 2, 4, 4, dtype=torch.float64)
    found = nld.find_symmetries(model, x)
    assert [(block.kind, block.units) for block in found] == [("rescale", 2)]
    assert not [note for note in found.not_analysed if "refused" in note]
    assert hold_by_hand(model, found, [x])


class Highest(nn.Module):
    """The largest values of a batch, behind something that forgets a constant."""

    def __init__(self, forget):
        super().__init__()
        self.first, self.last, self.forget = nn.Linear(3, 4), nn.Linear(4, 2), forget

    def forward(self, x):
        return self.last(self.forget(self.first(x)).tanh())


def centred_maximum(y):
    largest = y.amax(0, keepdim=True)
    return largest - largest.mean(1, keepdim=True)


# What follows, and for how many units a constant on the bias is forgotten. A constant on a column of the weight moves
# every image by another amount: then another image has the maximum.
FORGETFUL = {"distance": (lambda y: y - y.amax(0, keepdim=True), 4), "centred": (centred_maximum, 1)}


@pytest.mark.parametrize("name", FORGETFUL)
def test_a_maximum_follows_a_constant_and_nothing_else(name):
    forget, units = FORGETFUL[name]
    torch.manual_seed(0)
    model, x = Highest(forget).double(), torch.randn(20, 3, dtype=torch.float64)
    found = nld.find_symmetries(model, x)
    assert [(b.kind, b.units, b.parameters) for b in found] == [("translation", units, ("first.bias",))]
    assert not [note for note in found.not_analysed if "refused" in note]
    assert hold_by_hand(model, found, [x])
