"""What tests of records, and of pages about them, share."""

import pytest
import xarray as xr

import nld
from nld.figures._render import monitor_report
from tests.monitor.zoo import BLOCKS, train, zoo


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    """Nine steps of the zoo under momentum."""
    network, optimizer = zoo("momentum")
    with nld.Monitor(network, optimizer, BLOCKS) as monitor:
        train(network, optimizer, 9)
    return monitor.record()


@pytest.fixture
def unrendered(monkeypatch):
    """Pictures of reports are drawn, but neither laid out nor written, which takes far longer than all else."""

    def save(draw, record, folder, printed):
        draw(record)
        for name in ("figure.svg", "figure-dark.svg"):
            (folder / name).write_text("<svg/>")

    monkeypatch.setattr(monitor_report, "save", save)
