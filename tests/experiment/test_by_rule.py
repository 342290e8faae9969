"""Training by a rule against PyTorch's own optimizers, and what it measures against its definition."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nld.experiment.datasets import data
from nld.experiment.studies import train_with_rule
from nld.experiment.studies.measure import squared_norms
from nld.experiment.training import batches, networks
from nld.learning_rules import rules

ETA, K, STEPS = 0.01, 0.1, 6
PAIRS = {
    "AdamW": (
        rules.adam(ETA, 0.9, 0.99, K, 1e-8, decoupled=True),
        lambda p: torch.optim.AdamW(p, lr=ETA, betas=(0.9, 0.99), weight_decay=K, eps=1e-8),
    ),
    "heavy ball": (
        rules.heavy_ball(ETA, 0.9, K),
        lambda p: torch.optim.SGD(p, lr=ETA, momentum=0.9, weight_decay=K),
    ),
}


def by_torch(make, seed, network):
    """Batch losses, filter norms and the last filters' steps of a plain loop."""
    source = data.digits()
    model = networks.build(network, source.image, source.classes, width=0.25, epsilon=1e-8, seed=seed).double()
    optimizer, order = make(model.parameters()), batches.BatchOrder(source, 64, seed)
    losses = []
    for step in range(STEPS):
        images, labels = batches.batch(source, order(step), torch.float64)
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    filters = [networks.squared_norms(model.get_parameter(name)) for name in networks.filter_names(model)]
    return np.array(losses), torch.cat(filters).detach().numpy() if filters else None


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("network", ["digits_cnn", "bare_mlp"])
def test_by_rule_trains_as_pytorch_does(name, network):
    rule, make = PAIRS[name]
    record = train_with_rule.train_with_rule(rule, (0, 3), steps=STEPS, network=network, width=0.25)
    for index, seed in enumerate((0, 3)):
        losses, norms = by_torch(make, seed, network)
        np.testing.assert_allclose(record["loss"].values[index], losses, rtol=1e-7)
        if norms is not None:
            np.testing.assert_allclose(squared_norms(record)[index, -1], norms, rtol=1e-7)
    assert ("squared_norm" in record) == (network == "digits_cnn")


def test_by_rule_measures_updates_without_their_decay():
    """The first update of Adam is one in every coordinate whose gradient is not zero; its alignment is a cosine."""
    record = train_with_rule.train_with_rule(PAIRS["AdamW"][0], (0,), steps=3, network="digits_cnn", width=0.25)
    assert record["largest_update"].values[0, 0] == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(record["squared_update"].values[0, 0, :2], 9 * ETA**2, rtol=1e-2)
    assert np.abs(record["alignment"].values).max() <= 1
    assert 0 <= record["test_accuracy"].values[0] <= 1
