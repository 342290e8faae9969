"""Drifts of conserved charges in a small network, at few learning rates."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nld import symmetry
from nld.experiment.datasets import data
from nld.experiment.studies import conservation

RATES, END = (0.2, 0.1), 2.0


@pytest.fixture(scope="module")
def drifts():
    return [conservation.drifts("gradient descent", rate, round(END / rate)) for rate in RATES]


def test_fig_conservation_isometries_are_kept_and_others_drift_at_first_order(drifts):
    coarse, fine = drifts
    assert max(coarse["translation"], fine["translation"]) < 1e-13
    for name in ("scale", "rescale", "general_linear"):
        assert np.log2(coarse[name] / fine[name]) == pytest.approx(1, abs=0.1), name


def test_fig_conservation_adam_keeps_nothing():
    coarse, fine = (conservation.drifts("Adam", rate, round(0.08 / rate)) for rate in (0.002, 0.001))
    for name, drift in fine.items():
        assert drift > 0.01, name
        assert drift > 0.6 * coarse[name], name


def test_fig_conservation_the_network_has_the_symmetries():
    """Finite transforms of its layers do not change the loss."""
    source = data.load("digits", train_size=conservation.IMAGES)
    images = source.normalized(source.train_images, torch.float64).flatten(1)
    model = conservation.network(images.shape[1], source.classes, 0)
    first, second, third, last = (p.data for p in model.parameters())

    def loss():
        with torch.no_grad():
            return F.cross_entropy(model(images), source.train_labels).item()

    before = loss()
    last[:] = torch.stack(symmetry.translation([1] * len(last)).transform(list(last), 0.3))
    first[2] = symmetry.scale().transform([first[2]], 0.7)[0]
    second[1], third[:, 1] = symmetry.rescale().transform([second[1], third[:, 1]], 0.5)
    parts = symmetry.general_linear(10, 2, 5).transform([*third, *last.T], 0.4)
    third[:], last[:] = torch.stack(parts[:10]), torch.stack(parts[10:]).T
    assert loss() == pytest.approx(before, rel=1e-12)
    last[0] *= 1.1
    assert abs(loss() - before) > 1e-4


def test_unknown_optimizer_is_said():
    with pytest.raises(
        ValueError, match="expected an optimizer among gradient descent, heavy ball, Nesterov, Adam, got 'sgd'"
    ):
        conservation.drifts("sgd", 0.1, 1)
