"""The books of the figure: what is drawn as a prediction is one, and the residual can fail."""

import numpy as np
import pytest
import torch
import xarray as xr

from nld.experiment.datasets import data
from nld.experiment.studies import monitored
from nld.experiment.training.batches import BatchOrder, batch
from nld.figures import fig_books


def record_of(epsilon):
    model, blocks = monitored.setup("mlp", width=0.1, precision="float64", epsilon=epsilon)
    return monitored.train_with_monitor(model, blocks, "SGD", learning_rate=0.1, steps=20, weight_decay=0.01)


@pytest.fixture(scope="module")
def record():
    return record_of(1e-20)


def test_fig_books_the_prediction_is_the_charge_and_needs_the_kinetic_term(record):
    charge, law, without = fig_books.one_charge(record, "scale")
    scale = np.abs(charge).max()
    assert scale > 0
    np.testing.assert_allclose(law, charge, atol=1e-13 * scale)
    assert np.abs(without - charge).max() > 0.1 * scale


def test_fig_books_without_a_kinetic_term_nothing_is_missing():
    """On a charge that weight decay alone feeds, c <- 0.8 c + d, the dotted line is the measured one."""
    fed, charge = np.array([0.5, -0.2, 0.1, 0.3]), [0.0]
    for more in fed:
        charge.append(0.8 * charge[-1] + more)
    place = ("block", "step", "unit")
    terms = {
        "charge": charge[1:],
        "dissipation": -0.2 * np.array(charge[:-1]),
        "kinetic_symmetry_breaking": 0 * fed,
        "weight_decay_term": fed,
    }
    record = xr.Dataset(
        {name: (place, np.reshape(values, (1, -1, 1))) for name, values in terms.items()}
        | {"kind": ("block", ["scale"]), "momentum": ("step", np.full(4, 0.8))},
        coords={"block": ["only"]},
    )
    found, law, without = fig_books.one_charge(record, "scale")
    np.testing.assert_allclose(law, found, rtol=1e-14)
    np.testing.assert_allclose(without, found, rtol=1e-14)


def test_fig_books_all_kinds_balance_and_default_epsilon_breaks_only_scale(record):
    assert set(record.kind.values) == {"scale", "rescale", "translation"}
    assert float(record.relative_residual.max()) < 1e-12
    broken = record_of(1e-3)
    worst = broken.relative_residual.max(["step", "unit"])
    assert float(worst[(broken.kind == "scale").values].max()) > 1e-5
    assert float(worst[(broken.kind != "scale").values].max()) < 1e-12


def test_monitored_training_is_training():
    """The loop with the monitor ends at the bits of a loop without it."""
    watched, blocks = monitored.setup("mlp", width=0.1)
    monitored.train_with_monitor(watched, blocks, "AdamW", learning_rate=0.01, weight_decay=0.01, steps=5)
    bare, _ = monitored.setup("mlp", width=0.1)
    update, source = torch.optim.AdamW(bare.parameters(), lr=0.01), data.digits()
    order = BatchOrder(source, monitored.BATCH, 0)
    for step in range(5):
        images, labels = batch(source, order(step), torch.float32)
        update.zero_grad()
        torch.nn.functional.cross_entropy(bare(images), labels).backward()
        update.step()
    assert all(torch.equal(a, b) for a, b in zip(watched.parameters(), bare.parameters(), strict=True))
