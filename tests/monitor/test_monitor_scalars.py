"""What a monitor hands to ``log``: every recorded step once, in order, under names that stay."""

import re

import numpy as np
import pytest

import nld
from nld.monitor.scalars import LOGGED, names
from tests.monitor.zoo import BLOCKS, train, zoo


@pytest.mark.parametrize("options", [{}, {"every": 3}, {"units": "mean"}, {"every": [2, 5, 6]}], ids=str)
def test_scalars_are_the_records_means_over_units(options, monkeypatch):
    monkeypatch.setattr("nld.monitor.monitor.LOG", 0.0)  # after each step
    network, optimizer = zoo("momentum")
    logged, seen = {}, []

    def log(scalars, step):
        logged[step] = scalars

    with nld.Monitor(network, optimizer, BLOCKS, log=log, **options) as monitor:
        train(network, optimizer, 12, after=lambda step: seen.append(len(logged)))
    record = monitor.record()
    assert list(logged) == record.step.values.tolist()
    assert seen[-1] >= len(logged) - 2, "scalars come while the training goes on"
    blocks = names(record.block.values.tolist())
    for quantity in LOGGED:
        over_units = record[quantity].max("unit") if quantity == "relative_residual" else record[quantity].mean("unit")
        for name, values in zip(blocks, over_units.transpose("block", "step").values, strict=True):
            mine = [logged[step].get(f"nld/{quantity}/{name}", np.nan) for step in record.step.values]
            np.testing.assert_allclose(mine, values, rtol=1e-6)


def test_names_are_plain_distinct_and_stay():
    labels = ["a → b", "a, b", "a (b)", "x[1:2, 3]", "y" * 300, "y" * 299 + "z", "é"]
    result = names(labels)
    assert len(set(result)) == len(labels)
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-/]+", name) and len(name) <= 200 for name in result)
    assert names(labels) == result
    assert result[0] == "a-to-b"


def test_what_log_raises_goes_through_and_the_steps_are_kept():
    network, optimizer = zoo("momentum")

    def log(scalars, step):
        raise ConnectionError("no dashboard")

    monitor = nld.Monitor(network, optimizer, BLOCKS, log=log)
    train(network, optimizer, 2)
    with pytest.raises(ConnectionError):
        monitor.close()
    assert monitor.record().sizes["step"] > 0
