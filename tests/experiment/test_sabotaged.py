"""The training with which somebody tampers: measured by definition, and as the monitor measures it."""

import numpy as np
import pytest
import torch

from nld.experiment.studies import sabotaged
from nld.experiment.studies.page_training import batches, two_layers
from nld.finder import find_symmetries
from nld.monitor import Monitor
from nld.publish.explorables.explorable_books import books


@pytest.fixture(scope="module")
def runs():
    return {name: sabotaged.train_sabotaged(name) for name in sabotaged.SABOTAGES}


def test_the_untouched_training_is_the_one_that_the_monitor_records(runs):
    network = two_layers()
    network[1].eps = sabotaged.EPSILON
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    blocks = find_symmetries(network, next(batches(1))[0], torch.nn.CrossEntropyLoss())
    with Monitor(network, optimizer, [block for block in blocks if block.kind == "scale"]) as monitor:
        for images, labels in batches(sabotaged.STEPS):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
    row = monitor.record().isel(block=0, unit=sabotaged.UNIT)
    run, kept = runs["none"], books(runs["none"], 0.9)
    size = np.abs(run["charge"].values).max()
    for name, values in {
        "charge": run["charge"].values,
        "dissipation": kept["dissipation"],
        "kinetic_symmetry_breaking": kept["kinetic"],
        "weight_decay_term": kept["decay"],
        "residual": kept["residual"],
    }.items():
        np.testing.assert_allclose(values, row[name].values, rtol=0, atol=1e-12 * size, err_msg=name)


def test_until_somebody_tampers_all_are_one_training(runs):
    for run in runs.values():
        assert run.isel(step=slice(sabotaged.TAMPERED)).equals(runs["none"].isel(step=slice(sabotaged.TAMPERED)))


def test_the_books_notice_what_breaks_the_law_and_nothing_else(runs):
    """Clipping the norm changes every step from the first clipped one on, and still leaves the gradient orthogonal."""
    tampered = sabotaged.TAMPERED
    for name, run in runs.items():
        relative = books(run, 0.9)["relative"]
        assert relative[:tampered].max() < 1e-14, name
        noticed = name in ("entries", "momentum", "epsilon")
        assert bool(relative[tampered] > 1e-4) == noticed, name
        assert (relative[tampered:].max() < 1e-14) == (not noticed), name
        assert bool(run["violation"][tampered:].max() > 1e-4) == (name in ("entries", "epsilon")), name
        assert bool((run["charge"] != runs["none"]["charge"])[-1]) == (name != "none"), name
    assert books(runs["momentum"], sabotaged.LOWERED_MOMENTUM)["relative"][tampered:].max() < 1e-14


def test_an_unknown_sabotage_is_named():
    with pytest.raises(ValueError, match="among none, norm, entries, momentum, epsilon, got 'fire'"):
        sabotaged.train_sabotaged("fire")
