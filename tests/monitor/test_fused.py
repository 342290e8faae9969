"""The compiled pass over large matrices against the definitions, and against the pages that it replaces."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nld
from nld.monitor import Member, fused
from nld.monitor.layout import Use
from nld.monitor.sheet import COLUMNS, Sheet
from tests.monitor.zoo import BLOCKS, OPTIMIZERS, train, zoo

pytest.importorskip("numba")


@pytest.fixture
def always(monkeypatch):
    """The compiled pass, however small the parameters are."""
    monkeypatch.setattr(fused, "LEAST", 0)


def defined(member: Member, gradient, momentum, old, new) -> torch.Tensor:
    """COLUMNS by their definition, (columns, units)."""
    g, m, q, d = (member.rows(each) for each in (gradient, momentum, old, new - old))
    pairs = ((g, g), (m, m), (q, q), (d, d), (q, d), (g, q), (g, d), (m, q), (m, d), (q, q))
    assert len(pairs) == len(COLUMNS)
    return torch.stack([(a * b).sum(1) for a, b in pairs])


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 11), st.integers(1, 7), st.integers(1, 3)),
    sides=st.sampled_from([("rows",), ("columns",), ("rows", "columns"), ("columns", "rows", "columns")]),
    threads=st.integers(1, 3),
    missing=st.sets(st.sampled_from(["gradient", "momentum"])),
    scale=st.sampled_from([None, 4.0]),
    skipped=st.sampled_from([None, 0.0, 1.0]),
    remember=st.booleans(),
)
def test_products_are_their_definition(shape, sides, threads, missing, scale, skipped, remember):
    kept, fused.LEAST, before = fused.LEAST, 0, torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        member = {"rows": Member("a", shape), "columns": Member("a", shape, unit_axes=(1,), coefficient=-1.0)}
        firsts = np.cumsum([0, *(member[side].units for side in sides)])
        uses = [Use(i, "rescale", member[side], 0, int(firsts[i]), 1) for i, side in enumerate(sides)]
        old, new, newer, gradient, momentum = torch.randn(5, *shape, dtype=torch.float64)
        sheet = Sheet([new], uses)
        assert sheet._fused is not None and not sheet.pages
        sheet.remember([old])
        scalars = [None if each is None else torch.tensor(each) for each in (scale, skipped)]
        given_gradient = None if "gradient" in missing else gradient * (scale or 1.0)
        given_momentum = None if "momentum" in missing else momentum
        at = old
        for now in (new, newer):
            sheet.measure([given_gradient], [given_momentum], [now], *scalars, remember=remember)
            g = torch.zeros_like(gradient) if skipped or "gradient" in missing else gradient
            m = torch.zeros_like(momentum) if "momentum" in missing else momentum
            expected = torch.cat([defined(member[side], g, m, at, now) for side in sides], 1)
            found = sheet.products[sheet.columns].view(len(COLUMNS), -1)
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
            at = now if remember else at
    finally:
        fused.LEAST = kept
        torch.set_num_threads(before)


def test_a_gradient_that_a_scaler_threw_away_is_not_read(always):
    member = Member("a", (4, 3))
    sheet = Sheet([torch.ones(4, 3)], [Use(0, "scale", member, 0, 0, 1)])
    sheet.measure([torch.full((4, 3), torch.inf)], [None], [torch.ones(4, 3)], None, torch.ones(()))
    assert torch.isfinite(sheet.products).all()


def test_sums_over_many_rows_keep_their_digits(always):
    """Each strip of rows is summed in single precision, the strips in double."""
    torch.manual_seed(0)
    matrix = torch.rand(40_000, 2)
    sheet = Sheet([matrix], [Use(0, "rescale", Member("a", (40_000, 2), unit_axes=(1,)), 0, 0, 1)])
    sheet.remember([matrix])
    sheet.measure([None], [None], [matrix])
    found = sheet.products[sheet.columns].view(len(COLUMNS), 2)[COLUMNS.index("position_position")]
    torch.testing.assert_close(found.double(), matrix.double().square().sum(0), rtol=2e-7, atol=0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_books_are_those_of_the_pages(name, monkeypatch):
    records = []
    for least in (10**12, 0):
        monkeypatch.setattr(fused, "LEAST", least)
        network, optimizer = zoo(name, torch.float64)
        with nld.Monitor(network, optimizer, BLOCKS) as monitor:
            assert (monitor._ledger.sheets[0]._fused is not None) == (least == 0)
            train(network, optimizer, 12)
        records.append(monitor.record())
    assert float(records[1].relative_residual.max()) < 1e-12
    for variable in ("charge", "residual", "squared_step", "kinetic_symmetry_breaking", "gradient_autocorrelation"):
        np.testing.assert_allclose(records[1][variable], records[0][variable], rtol=1e-9, atol=1e-12, err_msg=variable)


def test_without_numba_the_pages_do_all(monkeypatch, always):
    monkeypatch.setattr(fused, "_compiled", lambda dtype: None)
    sheet = Sheet([torch.ones(4, 3)], [Use(0, "scale", Member("a", (4, 3)), 0, 0, 1)])
    assert sheet._fused is None
