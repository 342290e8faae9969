"""Records with fewer digits in files: how far a number may move, what must not, and what is concluded from them."""

import h5netcdf
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import nld
from nld.monitor.audit import faults
from nld.monitor.monitor_record import append
from nld.monitor.quantities import QUANTITIES
from nld.monitor.significant_digits import BITS, rounded
from tests.monitor.zoo import BLOCKS, train, zoo

FLOATS = st.sampled_from([np.dtype("f4"), np.dtype("f8")])


@given(
    values=FLOATS.flatmap(lambda dtype: arrays(dtype, (7,), elements={"allow_subnormal": False})),
    bits=st.integers(1, 60),
)
def test_a_number_moves_by_half_of_its_last_bit_at_most_and_has_no_bits_beyond(values, bits):
    found, mantissa = rounded(values, bits), np.finfo(values.dtype).nmant
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(rounded(found, bits), found)
    finite = np.isfinite(values)
    np.testing.assert_array_equal(found[~finite], values[~finite])
    assert np.isfinite(found[finite]).all()
    fraction, _ = np.frexp(found[finite].astype(float))
    whole = fraction * 2.0 ** (min(bits, mantissa) + 1)
    np.testing.assert_array_equal(whole, np.round(whole))
    largest = np.finfo(values.dtype).max / 2  # above it the nearest may be infinite, and bits are cut off instead
    usual = finite & (np.abs(values) < largest)
    error = np.abs(found[usual].astype(float) - values[usual])
    assert (error <= 2.0 ** -(min(bits, mantissa) + 1) * np.abs(values[usual])).all()


def test_a_tie_goes_to_the_even_neighbour_as_ieee_rounds():
    """Against a second implementation: single precision is double precision with 23 bits, half precision with 10."""
    values = np.random.default_rng(0).normal(size=1000)
    ties = (1 + np.arange(64) / 2**11).astype("f4")
    np.testing.assert_array_equal(rounded(values, 23), values.astype("f4").astype("f8"))
    np.testing.assert_array_equal(rounded(ties, 10), ties.astype("f2").astype("f4"))


@pytest.mark.parametrize("digits", [1, 2, 3, 4])
def test_a_file_keeps_so_many_digits_and_says_so(record, tmp_path, digits):
    path = nld.monitor.save(record, tmp_path / "record.nc", digits=digits)
    found = nld.monitor.load(path)
    assert set(found.data_vars) == set(record.data_vars)
    for name, quantity in QUANTITIES.items():
        before, after = record[name].values, found[name].values
        np.testing.assert_array_equal(np.isnan(after), np.isnan(before), err_msg=name)
        if quantity.over_units == "one":  # hyper-parameters are what they are
            np.testing.assert_array_equal(after, before)
            assert BITS not in found[name].attrs
            continue
        most = 0.5 * 10.0 ** -max(digits - quantity.spare, 1)
        assert (np.abs(after - before) <= most * np.abs(before))[~np.isnan(before)].all(), name
        assert (after != before)[~np.isnan(before)].any(), name
        assert found[name].attrs[BITS] == np.ceil(max(digits - quantity.spare, 1) * np.log2(10)), name
    with xr.open_dataset(path, engine="h5netcdf") as plain:  # whoever has no nld reads the same numbers
        np.testing.assert_allclose(plain.charge.sum("entry"), found.charge.sum(("block", "unit")), rtol=1e-14)


def test_what_has_all_digits_is_not_touched_and_rounding_twice_is_rounding_once(record, tmp_path):
    exact = nld.monitor.load(nld.monitor.save(record, tmp_path / "exact.nc", digits=20))
    xr.testing.assert_identical(exact, record)
    once = nld.monitor.load(nld.monitor.save(record, tmp_path / "once.nc", digits=2))
    xr.testing.assert_identical(nld.monitor.load(nld.monitor.save(once, tmp_path / "again.nc")), once)
    xr.testing.assert_identical(nld.monitor.load(nld.monitor.save(once, tmp_path / "more.nc", digits=4)), once)


def test_a_stream_with_digits_is_the_saved_record_with_them(record, tmp_path, monkeypatch):
    monkeypatch.setattr("nld.monitor.measurement_buffer._BUDGET", 1)
    network, optimizer = zoo("momentum")
    with nld.Monitor(network, optimizer, BLOCKS, stream=tmp_path / "run.nc", digits=3) as monitor:
        train(network, optimizer, 9)
    saved = nld.monitor.load(nld.monitor.save(record, tmp_path / "saved.nc", digits=3))
    xr.testing.assert_identical(monitor.record().load().drop_attrs(deep=False), saved.drop_attrs(deep=False))
    for begin in (0, 4):
        append(record.isel(step=slice(begin, begin + 5)), tmp_path / "grown.nc", digits=3)
    xr.testing.assert_identical(nld.monitor.load(tmp_path / "grown.nc"), saved)


def test_three_digits_take_less_than_half_the_room(record, tmp_path):
    sizes = []
    for digits in (None, 3):
        with h5netcdf.File(nld.monitor.save(record, tmp_path / f"{digits}.nc", digits=digits)) as file:
            stored = [file._h5file[name].id.get_storage_size() for name in QUANTITIES]
        sizes.append(sum(stored))
    assert sizes[1] < 0.5 * sizes[0]


@pytest.mark.parametrize("broken", [False, True])
def test_the_same_is_found_with_three_digits(tmp_path, broken):
    network, optimizer = zoo("momentum")

    def disturb(step):
        if broken and step == 5:
            for state in optimizer.state.values():
                state["momentum_buffer"].mul_(2.0)

    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 12, after=disturb)
    record = monitor.record()
    rounded_record = nld.monitor.load(nld.monitor.save(record, tmp_path / "record.nc", digits=3))
    exact, found = nld.monitor.findings(record), nld.monitor.findings(rounded_record)
    assert [(one.topic, one.block, one.good) for one in found] == [(one.topic, one.block, one.good) for one in exact]
    assert all(one.good for one in exact if one.topic == "books") != broken


def test_books_that_were_changed_are_called_out_also_with_three_digits(record, tmp_path):
    path = nld.monitor.save(record, tmp_path / "record.nc", digits=3)
    found = nld.monitor.load(path)
    assert faults(found) == {}
    found.charge[5, 0, 2] *= 1.1
    assert list(faults(found)) == [BLOCKS[0].name]


@pytest.mark.parametrize("digits", [0, -1, 2.0, True, "3"])
def test_what_is_no_number_of_digits_is_refused(record, tmp_path, digits):
    with pytest.raises(ValueError, match="expected digits"):
        nld.monitor.save(record, tmp_path / "record.nc", digits=digits)
    network, optimizer = zoo("momentum")
    with pytest.raises(ValueError, match="expected digits"):
        nld.Monitor(network, optimizer, BLOCKS, stream=tmp_path / "run.nc", digits=digits)
    assert not list(tmp_path.iterdir())


def test_digits_without_a_file_are_refused():
    network, optimizer = zoo("momentum")
    with pytest.raises(ValueError, match="expected a stream"):
        nld.Monitor(network, optimizer, BLOCKS, digits=3)
    assert not optimizer._optimizer_step_pre_hooks
