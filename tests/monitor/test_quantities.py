"""One declaration a quantity: what records say of it, and what stands for a block, follow from it."""

import numpy as np
import pytest
import torch

import nld
from nld.monitor.quantities import BALANCE, QUANTITIES, Quantity
from tests.monitor.zoo import BLOCKS, train, zoo

# By hand: the averages that a record of means has, and the units of each quantity.
EXPECTED = {
    "charge": ("mean", "ℓ (translation: ℓ/w)"),
    "dissipation": ("mean", "ℓ (translation: ℓ/w)"),
    "kinetic_symmetry_breaking": ("mean", "ℓ (translation: ℓ/w)"),
    "weight_decay_term": ("mean", "ℓ (translation: ℓ/w)"),
    "residual": ("mean", "ℓ (translation: ℓ/w)"),
    "relative_residual": ("max", "1"),
    "violation": ("max", "1"),
    "squared_norm": ("mean", "w^2"),
    "imbalance": ("mean", "w^2 (translation: w)"),
    "velocity_along_symmetry": ("mean", "ℓ (translation: ℓ/w)"),
    "squared_step": ("mean", "w^2"),
    "squared_gradient": ("mean", "ℓ^2/w^2"),
    "angular_step": ("mean", "rad"),
    "effective_learning_rate": ("mean", "1/ℓ"),
    "gradient_autocorrelation": ("mean", "1"),
    "learning_rate": ("one", "w^2/ℓ"),
    "momentum": ("one", "1"),
    "coefficient": ("one", "1"),
    "weight_decay": ("one", "ℓ/w^2 (decoupled: as learning_rate^-1)"),
}


def watched(**options):
    network, optimizer = zoo("momentum", torch.float64)
    with nld.Monitor(network, optimizer, BLOCKS, **options) as monitor:
        train(network, optimizer, 8)
    return monitor.record()


def test_each_quantity_has_its_row_here():
    assert {name: (row.over_units, row.units) for name, row in QUANTITIES.items()} == EXPECTED
    assert set(BALANCE) <= set(QUANTITIES)


@pytest.mark.parametrize("over_units", ["mean", "max", "one"])
def test_a_new_quantity_is_one_declaration(over_units, monkeypatch, tmp_path):
    """Its values, units and dimensions are in the record, in its means, and in a stream."""

    def spread(known):
        return known["learning_rate"] * 3 if over_units == "one" else known["squared_norm"] * known["squared_step"]

    row = Quantity("spread", "w^4", "|q|^2 |Δq|^2", spread, over_units)
    monkeypatch.setitem(QUANTITIES, "spread", row)
    every, means, streamed = watched(), watched(units="mean"), watched(stream=tmp_path / "run.nc")
    assert every.spread.attrs == {"units": "w^4", "long_name": "|q|^2 |Δq|^2"}
    expected = every.learning_rate * 3 if over_units == "one" else every.squared_norm * every.squared_step
    np.testing.assert_array_equal(every.spread, expected)
    np.testing.assert_array_equal(streamed.spread, expected)
    if over_units == "one":
        assert every.spread.dims == means.spread.dims == ("step", "block")
        np.testing.assert_array_equal(means.spread, expected)
    else:
        combined = expected.max("unit") if over_units == "max" else expected.mean("unit")
        np.testing.assert_allclose(means.spread.isel(unit=0), combined, rtol=1e-12)
    with pytest.raises(ValueError, match="no spread"):
        nld.monitor.findings(every.drop_vars("spread"))
