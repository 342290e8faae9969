"""Records in files: no place for units that a block lacks, and whatever is read of one is what memory has."""

import h5netcdf
import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import nld
from nld.finder import Block, Member
from nld.monitor.monitor_record import append
from nld.monitor.record_layout import packed
from tests.monitor.zoo import BLOCKS, train, zoo


@pytest.fixture(scope="module")
def lazy(path):
    with nld.monitor.load(path, lazy=True) as lazy:
        yield lazy


@pytest.fixture(scope="module")
def path(record, tmp_path_factory):
    return nld.monitor.save(record, tmp_path_factory.mktemp("records") / "record.nc")


def test_a_file_has_a_value_for_each_unit_and_no_more(record, path):
    assert bool(record.charge.isnull().any())
    with h5netcdf.File(path) as file:
        assert file.variables["charge"].shape == (sum(block.units for block in BLOCKS), 9)
        assert not any(np.isnan(file.variables["charge"][:]).ravel())
        assert file.variables["momentum"].shape == (9, len(BLOCKS))


PLACES = st.one_of(
    st.integers(0, 3),
    st.builds(slice, st.integers(0, 4), st.integers(0, 9), st.sampled_from([None, 1, 2])),
    st.lists(st.integers(0, 3), max_size=3),
    st.just(slice(None, None, -1)),
)


@settings(max_examples=60)
@given(places=st.fixed_dictionaries({}, optional=dict.fromkeys(("step", "block", "unit"), PLACES)))
def test_any_part_is_read_as_it_is_in_memory(record, lazy, places):
    xr.testing.assert_identical(lazy.charge.isel(places).load(), record.charge.isel(places))
    assert not lazy.charge.variable._in_memory  # each part is read anew


def test_a_lazy_record_reads_no_values_before_they_are_asked_for(path, monkeypatch):
    with nld.monitor.load(path, lazy=True) as lazy:
        part = lazy.charge.isel(block=1, step=slice(2, 4))
        read = []
        original = xr.Variable.__getitem__
        monkeypatch.setattr(xr.Variable, "__getitem__", lambda self, key: read.append(key) or original(self, key))
        part.load()
    first = BLOCKS[0].units
    assert (slice(2, 4, 1), slice(first, first + BLOCKS[1].units)) in read


def test_means_and_parts_of_a_record_come_back_too(record, tmp_path):
    network, optimizer = zoo("momentum")
    with nld.Monitor(network, optimizer, BLOCKS, units="mean") as monitor:
        train(network, optimizer, 3)
    for number, each in enumerate((monitor.record(), record.isel(block=[2, 0]), record.isel(step=slice(0, 0)))):
        back = nld.monitor.load(nld.monitor.save(each, tmp_path / f"{number}.nc"))
        xr.testing.assert_identical(back, each)


def entropy(values: np.ndarray) -> float:
    """Bytes that it takes to write the first bytes of all values, then the second ones, each by how often it occurs."""
    planes = np.ascontiguousarray(values).view(np.uint8).reshape(-1, values.itemsize).T
    shares = [(counts := np.bincount(plane))[counts > 0] / plane.size for plane in planes]
    return sum(float(-(share * np.log2(share)).sum()) for share in shares) * values.size / 8


def test_a_file_takes_as_many_bytes_a_unit_and_step_as_its_numbers_have_and_so_does_one_that_grows(tmp_path):
    torch.manual_seed(0)
    model = nn.Linear(8, 1200, bias=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    with nld.Monitor(model, optimizer, [Block("scale", "rows", (Member("weight", (1200, 8)),))]) as monitor:
        for _ in range(70):
            optimizer.zero_grad()
            nn.functional.normalize(model(torch.randn(4, 8)), dim=0).square().mean().backward()
            optimizer.step()
    record, path = monitor.record(), tmp_path / "grown.nc"
    for begin in range(0, 70, 13):
        append(record.isel(step=slice(begin, begin + 13)), path)
    xr.testing.assert_identical(nld.monitor.load(path), record)
    least = sum(entropy(variable.values) for variable in record.data_vars.values())
    # Blocks of deflate have codes of their own, and HDF5 some kilobytes a variable; chunks that were written anew left
    # as much again before their room was used.
    for each, most in ((nld.monitor.save(record, tmp_path / "saved.nc"), 1.05), (path, 1.15)):
        assert each.stat().st_size < most * least


def test_a_record_of_an_older_format_is_written_as_that_has_it(record, tmp_path):
    older = record.assign_attrs(format=3)
    path = nld.monitor.save(older, tmp_path / "older.nc")
    with h5netcdf.File(path) as file:
        assert file.variables["charge"].shape == record.charge.shape
    xr.testing.assert_identical(nld.monitor.load(path), older)
    assert packed(older).charge.dims == ("entry", "step")
