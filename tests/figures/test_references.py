"""Every figure has reference data to be verified against: small, readable, and of several arithmetics."""

import numpy as np
import pytest

from nld import figures
from nld.figures.verification import reference as references
from nld.figures.verification.verify import compare_with_reference, moved_verdicts, reference_path
from nld.inference.verdict import REVERSED
from tests.figures.stored import whole_reference
from tests.test_chapters import ROOT

LARGEST = 1_000_000  # bytes
HINT = "look at the figure, then: nld figure verify {} --accept"


@pytest.mark.parametrize("name", figures.names())
def test_a_figure_has_a_small_reference(name):
    path = reference_path(ROOT, name)
    assert path.exists(), HINT.format(name)
    assert path.stat().st_size <= LARGEST
    reference = whole_reference(name)
    assert reference.data_vars
    assert all(np.isfinite(v).any() for v in reference.data_vars.values() if np.issubdtype(v.dtype, np.number))
    assert set(getattr(figures.load(name), "ROUNDING", ())) <= {str(variable) for variable in reference.data_vars}


@pytest.mark.parametrize("name", figures.names())
def test_a_reference_holds_several_arithmetics_and_agrees_with_each(name):
    """One of them is a rounding twin; none reverses a verdict, and each is within what verify allows."""
    reference = whole_reference(name)
    parts = references.split(reference)
    assert len(parts) >= 2
    assert any("unit in the last place" in arithmetic for arithmetic in parts)
    for data in parts.values():
        assert not [row for row in compare_with_reference(figures.load(name), data, reference) if not row.holds]
        assert not [words for how, words in moved_verdicts(figures.load(name), data, reference) if how == REVERSED]


def test_no_reference_outlives_its_figure():
    stored = {path.stem for path in reference_path(ROOT, "any").parent.glob("*.nc")}
    assert stored <= set(figures.names())
