"""Large models are studied in single precision, and in double precision only where that cannot decide."""

import pytest
import torch
from torch import nn

import nld
from nld.finder import Block, Member, find
from nld.finder.overlaps import PIECE, pieces
from nld.finder.twin import DECIDED, TOLERANCE, Twin
from tests.finder import foreign_models, symmetric


@pytest.mark.parametrize("case", symmetric.CASES + foreign_models.CASES, ids=lambda case: case.name)
def test_law_single_precision_finds_what_double_precision_finds(case, monkeypatch):
    torch.manual_seed(case.seed)
    model, x = case.build(), case.inputs()
    expected = nld.find_symmetries(model, x, loss=case.loss)
    monkeypatch.setattr(find, "LARGE", 0)
    found = nld.find_symmetries(model, x, loss=case.loss)
    assert list(found) == list(expected)
    assert found.not_analysed == expected.not_analysed


def twin_and_candidates() -> tuple[Twin, Block, Block]:
    """A network in single precision, what it has, and what it nearly has: a bias that counts for next to nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    (true,) = nld.find_symmetries(model, torch.randn(5, 3))
    false = Block("translation", "last.bias", (Member("2.bias", (1, 2)),))
    return Twin(model, torch.randn(5, 3), None, torch.float32), true, false


def test_what_single_precision_accepts_is_not_measured_again():
    twin, true, _ = twin_and_candidates()
    ((violation, holds),) = twin.measure([true])
    assert holds
    assert 0 < max(violation.gradient, violation.loss_change) < DECIDED
    assert twin.precision is torch.float32
    assert {p.dtype for p in twin.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("size", [1e-6, 1.0])
def test_what_single_precision_does_not_accept_is_measured_in_double(size, monkeypatch):
    """A violation that rounding could have made is told from rounding, beside one that holds."""
    monkeypatch.setattr("nld.finder.twin.DECIDED", 1e-9)  # less than rounding: nothing is accepted
    twin, true, false = twin_and_candidates()
    scalar = twin.scalar
    twin.scalar = lambda output: scalar(output - output.mean(0, keepdim=True)) + size * scalar(output)
    (first, first_holds), (second, second_holds) = twin.measure([true, false])
    assert twin.precision is torch.float64
    assert first_holds
    assert first.gradient < 1e-12  # no longer the rounding of single precision
    assert not second_holds
    assert second.loss_change > TOLERANCE[torch.float64]


def test_pieces_are_all_of_a_tensor_once():
    large = torch.zeros(3, PIECE)
    counted = 0
    for axis, start, (piece,) in pieces(large):
        assert piece.numel() <= PIECE
        assert piece.data_ptr() == large.narrow(axis, start, 1).data_ptr()
        piece += 1
        counted += piece.numel()
    assert counted == large.numel()
    assert bool((large == 1).all())


def test_law_a_large_block_is_measured_and_moved_as_a_small_one(monkeypatch):
    """Violations and finite transformations do not depend on the size of the pieces."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    blocks = [
        Block("rescale", "pair", (Member("0.weight", (4, 3)), Member("2.weight", (2, 4), (1,), -0.5))),
        Block("translation", "columns", (Member("2.weight", (2, 4), (1,)), Member("0.bias", (4,), (0,), -2.0))),
        Block("scale", "all", (Member("0.weight", (1, 4, 3)),)),
    ]

    def measured():
        return [(v.gradient, v.loss_change) for v in nld.check_symmetries(model, lambda m: m(x).exp().sum(), blocks)]

    whole = measured()
    for most in (1, 3, 5):
        monkeypatch.setattr("nld.finder.overlaps.PIECE", most)
        assert measured() == [pytest.approx(pair, rel=1e-10) for pair in whole]
