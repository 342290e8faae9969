"""The books of the figure: what is drawn as a prediction is one, and the residual can fail."""

import numpy as np
import pytest
import torch

from nld.experiment import data, monitored
from nld.experiment.batches import BatchOrder, batch
from nld.figures import fig_books


def record_of(epsilon):
    model, blocks = monitored.setup("mlp", width=0.1, precision="float64", epsilon=epsilon)
    return monitored.train(model, blocks, "SGD", learning_rate=0.1, steps=20, weight_decay=0.01)


@pytest.fixture(scope="module")
def record():
    return record_of(1e-20)


def test_fig_books_the_prediction_is_the_charge_and_needs_the_kinetic_term(record):
    charge, law, without = fig_books._one_charge(record, "scale")
    scale = np.abs(charge).max()
    assert scale > 0
    np.testing.assert_allclose(law, charge, atol=1e-13 * scale)
    assert np.abs(without - charge).max() > 0.1 * scale


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
    monitored.train(watched, blocks, "AdamW", learning_rate=0.01, weight_decay=0.01, steps=5)
    bare, _ = monitored.setup("mlp", width=0.1)
    update, source = torch.optim.AdamW(bare.parameters(), lr=0.01), data.digits()
    order = BatchOrder(source, monitored.BATCH, 0)
    for step in range(5):
        images, labels = batch(source, order(step), torch.float32)
        update.zero_grad()
        torch.nn.functional.cross_entropy(bare(images), labels).backward()
        update.step()
    assert all(torch.equal(a, b) for a, b in zip(watched.parameters(), bare.parameters(), strict=True))
