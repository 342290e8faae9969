"""The drift guard must see what moved, and nothing else."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from nld.figures.verify import DEFAULT, compare_with_reference, moved_verdicts
from nld.inference.verdict import REFUTED, REPRODUCED, Verdict


def dataset(values, name="loss"):
    return xr.Dataset({name: ("step", np.asarray(values, float))})


def module(**tolerance):
    return SimpleNamespace(__name__="fig_x", TOLERANCE=tolerance)


@given(st.floats(-12, -1), st.sampled_from([1e-9, 1e-3]))
def test_law_verify_holds_exactly_up_to_the_tolerance(exponent, tolerance):
    reference, shift = np.linspace(1, 2, 7), 10.0**exponent
    (moved,) = compare_with_reference(module(loss=tolerance), dataset(reference + shift), dataset(reference))
    assert moved.difference == pytest.approx(shift / 2, rel=1e-3, abs=1e-15)
    assert moved.holds == (moved.difference <= tolerance)


@pytest.mark.parametrize(
    ("new", "why"),
    [
        ([1.0, 2.0], "another shape"),
        ([1.0, 2.0, np.nan], "no longer finite"),
        ([1.0, 2.0, np.inf], "diverged"),
    ],
)
def test_verify_sees_shape_and_divergence(new, why):
    (moved,) = compare_with_reference(module(loss=1e9), dataset(new), dataset([1.0, 2.0, 3.0]))
    assert not moved.holds, why


@pytest.mark.parametrize(("new", "holds"), [(np.inf, True), (-np.inf, False), (np.nan, False)])
def test_verify_tells_the_infinities_and_nan_apart(new, holds):
    (moved,) = compare_with_reference(module(), dataset([1.0, new]), dataset([1.0, np.inf]))
    assert moved.holds == holds


def test_verify_sees_a_coordinate_that_moved():
    before, after = (dataset([1.0, 2.0]).assign_coords(step=[0, last]) for last in (10, 20))
    rows = compare_with_reference(module(), after, before)
    assert {row.variable: row.holds for row in rows} == {"loss": True, "step": False}


def test_verify_reports_variables_that_came_or_went():
    rows = compare_with_reference(module(), dataset([1.0], "new"), dataset([1.0], "old"))
    assert {row.variable for row in rows if not row.holds} == {"new", "old"}


def test_verify_uses_the_default_where_nothing_is_declared():
    reference = dataset([1.0, 2.0])
    (moved,) = compare_with_reference(module(), dataset([1.0, 2.0 * (1 + 3 * DEFAULT)]), reference)
    assert not moved.holds
    assert moved.tolerance == DEFAULT


def test_verify_refuses_a_tolerance_for_nothing():
    with pytest.raises(ValueError, match="TOLERANCE to name variables"):
        compare_with_reference(module(los=0.1), dataset([1.0]), dataset([1.0]))


def test_verify_sees_a_verdict_that_moved():
    def judge(data):
        return [Verdict("it-learns", REPRODUCED if float(data["loss"][-1]) < 1 else REFUTED, "")]

    figure = SimpleNamespace(__name__="fig_x", judge=judge)
    low, high = dataset([2.0, 0.5]), dataset([2.0, 1.5])
    assert moved_verdicts(figure, low, low) == []
    assert moved_verdicts(figure, high, low) == ["it-learns: reproduced -> not reproduced"]
    assert moved_verdicts(module(), high, low) == []


def test_verify_tells_of_a_reference_of_another_form_without_ruling_on_it():
    figure = SimpleNamespace(__name__="fig_x", judge=lambda data: data["loss"].sel(seed=0), TOLERANCE={})
    new, old = dataset([2.0, 0.5]).expand_dims(seed=[0]), dataset([2.0, 0.5])
    assert [row.variable for row in compare_with_reference(figure, new, old) if not row.holds] == ["loss", "seed"]
    assert moved_verdicts(figure, new, old) == []
