"""What tests of pages about records share."""

import pytest

from nld.figures._render import monitor_report


@pytest.fixture
def unrendered(monkeypatch):
    """Pictures of reports are drawn, but neither laid out nor written, which takes far longer than all else."""

    def save(draw, record, folder, printed):
        draw(record)
        for name in ("figure.svg", "figure-dark.svg"):
            (folder / name).write_text("<svg/>")

    monkeypatch.setattr(monitor_report, "save", save)
