"""From solved unknowns to blocks: each decision on its own, beside a slow second way to make it."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

import nld
from nld.finder.directions import Part, Place, parts, sparser
from nld.finder.linear_system import Axis
from nld.finder.matrix.blocks import signature
from nld.finder.patterns import regular_pattern, runs
from nld.finder.scale.scale_exponents import _plan
from nld.finder.tape import record
from nld.finder.translation.shifts import _axes, shifts

SMALL = st.integers(1, 4)


def spelled_out(start, outer, before, inner, after):
    """The index sets of a pattern: unit (v, w) has start + ((v before + p) inner + w) after + t for all p and t."""
    return [
        tuple(start + ((v * before + p) * inner + w) * after + t for p in range(before) for t in range(after))
        for v in range(outer)
        for w in range(inner)
    ]


@given(start=st.integers(0, 5), outer=SMALL, before=SMALL, inner=SMALL, after=SMALL)
def test_law_a_pattern_holds_exactly_the_sets_that_it_was_made_of(start, outer, before, inner, after):
    sets = spelled_out(start, outer, before, inner, after)
    pattern = regular_pattern(sets)
    assert pattern is not None
    assert spelled_out(*pattern) == sets
    if outer * inner > 1:
        assert regular_pattern(sets[::-1]) is None
    broken = [*sets[:-1], (*sets[-1][:-1], sets[-1][-1] + 1)]
    assert regular_pattern(broken) is None or spelled_out(*regular_pattern(broken)) == broken


@pytest.mark.parametrize(
    ("sets", "pattern"),
    [
        ([(3,), (4,), (5,)], (3, 1, 1, 3, 1)),
        ([(0, 1), (2, 3)], (0, 1, 1, 2, 2)),
        ([(0, 2), (1, 3)], (0, 1, 2, 2, 1)),
        ([(0, 2), (1, 3), (4, 6), (5, 7)], (0, 2, 2, 2, 1)),
        ([(0, 1), (3, 4)], None),
        ([(0, 3), (1, 2)], None),
    ],
)
def test_patterns_by_hand(sets, pattern):
    assert regular_pattern(sets) == pattern


@given(st.sets(st.integers(0, 12), min_size=1))
def test_law_runs_are_the_indices_in_fewest_ranges(indices):
    ordered = tuple(sorted(indices))
    ranges = runs(ordered)
    assert [start + i for start, length in ranges for i in range(length)] == list(ordered)
    assert all(a + length < b for (a, length), (b, _) in itertools.pairwise(ranges))


@given(st.data())
def test_law_a_direction_of_rows_and_columns_is_written_with_fewest_entries(data):
    """A constant of a group may stand on its rows or its columns; it stays where it is unless moving it saves some."""
    groups, tall, wide = (data.draw(SMALL) for _ in range(3))
    number = st.integers(-1, 1)
    rows, columns = (
        np.array(data.draw(st.lists(st.lists(number, min_size=n, max_size=n), min_size=groups, max_size=groups)))
        for n in (tall, wide)
    )
    whole = rows[:, :, None] + columns[:, None, :]
    assume(whole.any())
    shape = (groups, tall, wide)
    axes = [Axis("a", shape, (0, i), torch.arange(values.size)) for i, values in ((1, rows), (2, columns))]
    sparse = ({j: v for j, v in enumerate(values.ravel().tolist()) if v} for values in (rows, columns))
    found = parts(dict(enumerate(sparse)), axes)

    result = {1: np.zeros(rows.size), 2: np.zeros(columns.size)}
    for place, coefficient, indices in found:
        result[place.axes[1]][list(indices)] = coefficient
    below, beside = result[1].reshape(rows.shape), result[2].reshape(columns.shape)
    again = below[:, :, None] + beside[:, None, :]
    factor = whole[again != 0][0] / again[again != 0][0]
    np.testing.assert_allclose(factor * again, whole)
    for group in range(groups):
        counts = {c: np.count_nonzero(columns[group] - c) + np.count_nonzero(rows[group] + c) for c in range(-1, 2)}
        assert np.count_nonzero(below[group]) + np.count_nonzero(beside[group]) == min(counts.values())
        if counts[0] == min(counts.values()):
            np.testing.assert_allclose(factor * beside[group], columns[group])


ROWS, COLUMNS, OTHER = Place("a", (4, 3), (0,)), Place("a", (4, 3), (1,)), Place("b", (5,), (0,))


def test_a_signature_tells_what_moves_and_not_which_way():
    shapes = {"a": (4, 3), "b": (5,)}
    unit = [Part(ROWS, 1.0, (1,)), Part(OTHER, -2.0, (0, 3))]
    expected = frozenset({("a", 0, 1.0, (1,)), ("b", 0, -2.0, (0, 3))})
    assert signature(unit, shapes) == expected
    assert signature([Part(ROWS, -1.0, (1,)), Part(OTHER, 2.0, (0, 3))], shapes) == expected
    assert signature([Part(OTHER, 2.0, (0, 3)), Part(ROWS, -1.0, (1,))], shapes) == expected
    assert signature([Part(ROWS, 1.0, (1,)), Part(OTHER, 2.0, (0, 3))], shapes) != expected
    assert signature([Part(COLUMNS, 1.0, (1,)), Part(OTHER, -2.0, (0, 3))], shapes) != expected
    half = [Part(ROWS, 0.5, (1,)), Part(OTHER, -1.0, (0, 3))]  # the scale of a coefficient does count
    assert signature(half, shapes) == frozenset({("a", 0, 0.5, (1,)), ("b", 0, -1.0, (0, 3))})
    whole = [Part(Place("a", (4, 3), axes), 3.0, tuple(range(n))) for axes, n in (((0,), 4), ((1,), 3))]
    assert signature(whole[:1], shapes) == signature(whole[1:], shapes) == frozenset({("a", None, 3.0)})


def test_a_unit_that_holds_another_one_whole_is_left_without_it():
    small, large = [Part(ROWS, 1.0, (1,))], [Part(ROWS, 1.0, (0, 1)), Part(OTHER, -2.0, (2,))]
    assert sparser([large, small]) == [[Part(ROWS, 1.0, (0,)), Part(OTHER, -2.0, (2,))], small]
    opposite = [Part(ROWS, 1.0, (0,)), Part(ROWS, -1.0, (1,))]  # the same entry, another coefficient
    assert sparser([opposite, small]) == [opposite, small]
    first_gone = [Part(ROWS, 1.0, (1,)), Part(OTHER, -2.0, (2,))]
    assert sparser([first_gone, small]) == [[Part(OTHER, 1.0, (2,))], small]


@pytest.mark.parametrize(
    ("shape", "axes", "features"),
    [
        ((4,), [0], 0),
        ((1,), [0], 0),
        ((4, 3), [0, 1], 1),
        ((4, 1), [0, 1], 1),
        ((2, 3), [0, 1], 1),
        ((1, 3), [1], 1),
        ((2, 3, 4), [0, 1, 2], 2),
        ((4, 3, 2, 2), [0, 1], 1),
        ((4, 1, 3, 3), [0, 1], 1),
        ((4, 2, 3, 3, 3), [0, 1], 1),
    ],
)
def test_axes_of_shifts(shape, axes, features):
    assert _axes(shape) == (axes, features)


def test_full_shifts_are_sought_of_tables_and_of_weights_even_with_one_column():
    """A vector that is added has the same shifts among its even ones."""
    torch.manual_seed(0)
    x, shapes = torch.randn(4, 3), {"table": (4, 2), "vector": (2,), "column": (3, 1)}
    given = {name: torch.randn(shape) for name, shape in shapes.items()}
    tape = record(lambda: (x @ given["column"] + given["table"] + given["vector"]).softmax(1), given)
    full = [(axis.parameter, axis.axes) for axis in shifts(tape, set(shapes)).full]
    assert full == [("table", (0,)), ("table", (1,)), ("column", (0,))]


@pytest.mark.parametrize(
    ("shape", "groups", "view", "axes"),
    [
        ((), 1, (), [()]),
        ((1, 1), 1, (1, 1), [()]),
        ((4,), 1, (4,), [(0,)]),
        ((4, 3), 1, (4, 3), [(0,), (1,)]),
        ((4, 1), 1, (4, 1), [(0,)]),
        ((2, 3, 4), 1, (2, 3, 4), [(0,), (1,), (2,)]),
        ((4, 3, 2, 2), 1, (4, 3, 2, 2), [(0,), (1,)]),
        ((6, 2, 3, 3), 3, (3, 2, 2, 3, 3), [(0, 1), (0, 2)]),
        ((6, 1, 3, 3), 6, (6, 1, 1, 3, 3), [(0, 1)]),
    ],
)
def test_axes_of_exponents(shape, groups, view, axes):
    assert _plan(shape, groups) == (view, axes)


class SinglePrecision(nn.Module):
    """A layer that insists on float32, whatever it is given."""

    def __init__(self, width: int = 4):
        super().__init__()
        self.first, self.last = nn.Linear(3, width), nn.Linear(4, 2)
        self.register_buffer("shift", torch.zeros(3))

    def forward(self, x):
        return self.last(torch.relu(nn.functional.linear(x.float(), self.first.weight, self.first.bias)))


def test_a_layer_that_fixes_its_precision_is_studied_in_it_and_errors_of_the_model_come_back():
    torch.manual_seed(0)
    found = nld.find_symmetries(SinglePrecision(), torch.randn(8, 3))
    assert [(block.kind, block.units) for block in found] == [("rescale", 4)]
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        nld.find_symmetries(SinglePrecision(width=5), torch.randn(8, 3))
