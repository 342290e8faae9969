"""Gradient flow of a network's parameters: its end, its charges, and the order that it reports."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn

from nld.errors import InvalidInput
from nld.experiment.training.gradient_flow import gradient_flow


def network(activation, dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4, bias=False), activation, nn.Linear(4, 2, bias=False)).to(dtype)


INPUTS = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
TARGETS = torch.randn(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def loss(outputs):
    return (outputs - TARGETS).square().sum() / 2 / 12


@pytest.mark.parametrize("step", [0.2, 0.1])
def test_it_ends_where_another_solver_ends_and_knows_how_far_off_it_is(step):
    model = network(nn.Identity())
    before = [q.detach().clone() for q in model.parameters()]
    found = gradient_flow(model, loss, INPUTS, 2.0, step)
    x, y = INPUTS.numpy(), TARGETS.numpy()

    def slope(_, q):
        first, second = q[:12].reshape(4, 3), q[12:].reshape(2, 4)
        back = (x @ first.T @ second.T - y) / 12
        return -np.concatenate([(second.T @ back.T @ x).ravel(), (back.T @ x @ first.T).ravel()])

    start = np.concatenate([q.numpy().ravel() for q in before])
    exact = solve_ivp(slope, (0, 2), start, method="DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    end = np.concatenate([found.position[name][-1].numpy().ravel() for name in ("0.weight", "2.weight")])
    off = np.abs(end - exact).max()
    assert found.error / 3 < off < 3 * found.error
    assert all(torch.equal(now, then) for now, then in zip(model.parameters(), before, strict=True))
    assert len(found.time) == len(found.position["0.weight"]) == round(2 / step) + 1
    np.testing.assert_array_equal(found.position["0.weight"][0], before[0])


def test_it_reports_order_four_where_the_loss_is_smooth_and_less_at_kinks():
    assert gradient_flow(network(nn.Tanh()), loss, INPUTS, 2.0, 0.1).order == pytest.approx(4, abs=0.2)
    assert gradient_flow(network(nn.ReLU()), loss, INPUTS, 6.0, 0.2).order < 3.5


def test_law_the_charges_of_two_linear_layers_are_kept():
    found = gradient_flow(network(nn.Identity()), loss, INPUTS, 2.0, 0.05)
    first, second = found.position["0.weight"], found.position["2.weight"]
    charge = first @ first.mT - second.mT @ second
    assert (charge - charge[0]).abs().max() < 1e-8
    assert (first - first[0]).abs().max() > 0.1


def test_single_precision_is_refused():
    with pytest.raises(InvalidInput, match="double precision"):
        gradient_flow(network(nn.Tanh(), torch.float32), loss, INPUTS.float(), 1.0, 0.1)
