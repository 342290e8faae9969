"""A head of attention with biases: its gradient, its symmetries and its laws, against PyTorch and written-out heads."""

import numpy as np
import pytest
import torch

from nld.experiment.studies import biased_attention
from nld.experiment.training.runge_kutta import runge_kutta
from nld.learning_rules.rules import adam, gradient_descent, heavy_ball, iterate


def by_torch(head, q):
    """The same head by PyTorch's layers and its attention: outputs and gradients in the order of the flat point."""
    maps = {}
    for name, weight in head.maps(q).items():
        layer = torch.nn.Linear(weight.shape[1] - 1, weight.shape[0], dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.as_tensor(weight[:, :-1]))
            layer.bias.copy_(torch.as_tensor(weight[:, -1]))
        maps[name] = layer
    x, y = torch.as_tensor(head.x), torch.as_tensor(head.y)
    mixed = torch.nn.functional.scaled_dot_product_attention(
        maps["query"](x), maps["key"](x), maps["value"](x), scale=1.0
    )
    out = maps["output"](mixed)
    ((out - y).square().sum(-1).mean() / 2).backward()
    parts = [torch.cat([m.weight.grad, m.bias.grad[:, None]], 1).ravel() for m in maps.values()]
    return out.detach().numpy(), torch.cat(parts).numpy()


@pytest.mark.parametrize("seed", [0, 1])
def test_outputs_and_gradient_are_those_of_pytorch(seed):
    head, q = biased_attention.taught(seed)
    outputs, gradient = by_torch(head, q)
    np.testing.assert_allclose(head.outputs(q), outputs, atol=1e-13)
    np.testing.assert_allclose(head.gradient(q), gradient, atol=1e-13)
    assert np.abs(head.maps(gradient)["key"][:, -1]).max() < 1e-12 * np.abs(gradient).max()


def test_law_charges_of_attention_are_kept_with_biases_and_to_order_four():
    head, start = biased_attention.taught(1)
    drifts = []
    for step in (0.04, 0.02):
        path = runge_kutta(lambda q: -head.gradient(q), start, 2.0, step)
        drifts.append([np.abs(c - c[0]).max() for c in head.charges(path).values()])
    assert (14 * np.array(drifts[1]) < drifts[0]).all()
    assert all(np.abs(c - c[0]).max() > 1e-2 for c in head.charges(path, biases=False).values())


@pytest.mark.parametrize("rule", [gradient_descent(0.1), heavy_ball(0.05, 0.9), adam(0.01)], ids=lambda rule: rule.name)
def test_law_training_notices_a_shift_of_the_value_bias_and_none_of_the_key_bias(rule):
    head, start = biased_attention.taught(0)
    end = iterate(rule, head.gradient, start, 100).position[-1]
    for name, same in (("key", True), ("value", False)):
        moved = head.shifted(start, name, np.array([0.8, -0.6]))
        assert np.abs(moved - start).max() > 0.5
        np.testing.assert_allclose(head.outputs(moved), head.outputs(start), atol=1e-14)
        losses = head.loss(iterate(rule, head.gradient, moved, 100).position[-1]), head.loss(end)
        assert (abs(losses[0] - losses[1]) < 1e-12) == same


@pytest.mark.parametrize(
    ("biases", "directions", "laws", "with_momentum"),
    [((), 2, 2, 0), (("key",), 3, 3, 2), (("value", "output"), 3, 2, 0), (biased_attention.NAMES, 4, 3, 2)],
)
def test_law_the_value_bias_adds_a_direction_and_no_law(biases, directions, laws, with_momentum):
    counted = biased_attention.law_counts(biases, "gradient")
    assert (counted.dimension - counted.ranks[0], int(counted), counted.settled) == (directions, laws, True)
    assert int(biased_attention.law_counts(biases, "momentum")) == with_momentum
