"""Records of every format stay readable: of each one is held here, as the nld that had it wrote it.

`python -m tests.monitor.test_record_formats` writes the one of today's format.
"""

import gzip
import shutil
import tempfile
from pathlib import Path

import pytest
import xarray as xr

import nld
from nld.cli import main
from nld.monitor.monitor_record import FORMAT, format_of, lacking
from nld.monitor.quantities import QUANTITIES, Quantity
from tests.monitor.zoo import BLOCKS, train, zoo

FOLDER = Path(__file__).parent / "records"  # netCDF, compressed: most of a small file is HDF5's own
FORMATS = range(1, FORMAT + 1)


def of_today() -> xr.Dataset:
    """The training that each format's record is of."""
    network, optimizer = zoo("momentum")
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 12)
    return monitor.record()


@pytest.fixture(scope="module", params=FORMATS)
def path(request, tmp_path_factory):
    unpacked = tmp_path_factory.mktemp("records") / f"format-{request.param}.nc"
    with gzip.open(FOLDER / f"{unpacked.name}.gz") as packed, open(unpacked, "wb") as file:
        shutil.copyfileobj(packed, file)
    return unpacked


@pytest.fixture(scope="module")
def record(path):
    return nld.monitor.load(path)


def test_there_is_a_record_of_each_format():
    assert {path.name for path in FOLDER.iterdir()} == {f"format-{number}.nc.gz" for number in FORMATS}


def test_a_record_of_each_format_is_what_its_training_gives_today(path, record):
    assert f"format-{format_of(record)}" == path.stem
    today = of_today()[list(record.data_vars)]
    # Starts are drawn as normal numbers of single precision, which differ by a rounding of 1e-7 between instruction
    # sets; twelve steps multiply that by some ten.
    xr.testing.assert_allclose(record, today, rtol=1e-4, atol=1e-6)


def test_a_record_of_each_format_is_read_lazily_too(path, record):
    with nld.monitor.load(path, lazy=True) as lazy:
        xr.testing.assert_identical(lazy.load(), record)


def test_findings_and_report_of_each_format(path, tmp_path, unrendered, capsys):
    assert main(["report", str(path), "--output", str(tmp_path / "page.html")]) == 0
    assert "All 7 books balance" in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text()
    assert "All 7 books balance" in page
    assert page.count("<figure") == 5


def test_what_came_later_is_not_demanded(record, monkeypatch):
    """A variable of the present format is missed in a record of that format and in no older one."""
    record = record.copy()
    newest = Quantity("newcomer", "1", "what came last", lambda known: known["charge"], since=FORMAT)
    monkeypatch.setitem(QUANTITIES, newest.name, newest)
    assert lacking(record) == ("no newcomer" if format_of(record) == FORMAT else "")
    assert lacking(record.drop_vars("charge")).startswith("no charge")
    record.attrs.pop("model")
    assert lacking(record).endswith("no attribute model")


def test_a_record_that_says_no_format_is_of_the_first():
    assert format_of(xr.Dataset()) == 1
    assert [format_of(xr.Dataset(attrs={"format": number})) for number in (0, 1, FORMAT, FORMAT + 1, 1.5, "x")] == [
        None,
        1,
        FORMAT,
        None,
        None,
        None,
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        nld.monitor.save(of_today(), Path(folder) / "record.nc")
        packed = gzip.compress((Path(folder) / "record.nc").read_bytes(), mtime=0)
    place = FOLDER / f"format-{FORMAT}.nc.gz"
    if place.exists():
        raise SystemExit(f"{place} is there already; it stays as the nld that had this format wrote it")
    place.write_bytes(packed)
    print(place)
