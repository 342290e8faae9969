"""The optimum of an orbit against a general minimizer that measures gradients at every point that it tries."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn
from torch.func import functional_call, grad, vmap

import nld
from nld.finder import Block, Member

RATE, DECAY = 0.05, 0.3


class Unit(nn.Module):
    """Two layers: ReLU with a bias, linear without, or a normalized first layer."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.inner = nn.Parameter(torch.randn(3, 6))
        self.outer = nn.Parameter(torch.randn(4, 3))
        if kind == "rescale":
            self.bias = nn.Parameter(torch.randn(3))

    def forward(self, x):
        inner = self.inner / self.inner.norm(dim=1, keepdim=True) if self.kind == "scale" else self.inner
        hidden = x @ inner.T + (self.bias if self.kind == "rescale" else 0)
        return (hidden.relu() if self.kind == "rescale" else hidden) @ self.outer.T


MEMBERS = {
    "rescale": (Member("inner", (3, 6)), Member("bias", (3,)), Member("outer", (4, 3), (1,), -1.0)),
    "scale": (Member("inner", (3, 6)),),
    "general_linear": (
        Member("inner", (1, 3, 6), (0,), 1.0, matrix_axis=1),
        Member("outer", (1, 4, 3), (0,), -1.0, matrix_axis=2),
    ),
}


def case(kind, seed=0, samples=40):
    """A block, its parameters, and the loss's gradients by sample as a function of parameters."""
    torch.manual_seed(seed)
    model = Unit(kind).double()
    x, y = torch.randn(samples, 6).double(), torch.randn(samples, 4).double()

    def loss(parameters, x, y):
        return (functional_call(model, parameters, (x,)) - y).square().sum()

    parameters = {name: p.detach() for name, p in model.named_parameters()}
    gradients = lambda at: vmap(grad(loss), (None, 0, 0))(dict(at), x, y)  # noqa: E731
    value = lambda at: float(loss(dict(at), x, y))  # noqa: E731
    return Block(kind, kind, MEMBERS[kind]), parameters, gradients, value


def objective(at, gradients, decay):
    """F by its definition, over all parameters."""
    noise = sum(g.flatten(1).square().sum(1).mean() for g in gradients(at).values())
    return float(RATE / 2 * noise + decay * (1 - RATE * decay / 2) * sum(p.square().sum() for p in at.values()))


def placed(block, parameters, numbers):
    """The parameters moved by log factors, or by a symmetric matrix B, entry by entry."""
    at = {name: p.clone() for name, p in parameters.items()}
    if block.kind == "general_linear":
        lower = torch.zeros(3, 3, dtype=torch.float64)
        lower[tuple(torch.tril_indices(3, 3))] = torch.as_tensor(numbers)
        b = lower + lower.tril(-1).T
        at["inner"] = torch.linalg.matrix_exp(b) @ at["inner"]
        at["outer"] = at["outer"] @ torch.linalg.matrix_exp(-b)
        return at, b[None]
    factor = torch.as_tensor(numbers).exp()
    at["inner"] = at["inner"] * factor[:, None]
    if block.kind == "rescale":
        at["bias"] = at["bias"] * factor
        at["outer"] = at["outer"] / factor
    return at, torch.as_tensor(numbers)


CASES = [("rescale", 0.0), ("rescale", DECAY), ("scale", DECAY), ("general_linear", 0.0), ("general_linear", DECAY)]


@pytest.mark.parametrize(("kind", "decay"), CASES)
def test_law_no_point_of_the_orbit_is_lower(kind, decay):
    block, parameters, gradients, value = case(kind)
    optimum = nld.orbit_optimum(block, gradients(parameters), parameters, learning_rate=RATE, weight_decay=decay)
    size = 6 if kind == "general_linear" else 3
    tried = minimize(
        lambda numbers: objective(placed(block, parameters, numbers)[0], gradients, decay), np.zeros(size), tol=1e-10
    )
    torch.testing.assert_close(optimum.log_factor, placed(block, parameters, tried.x)[1], atol=1e-4, rtol=0)
    moved = optimum.moved(parameters)
    assert value(moved) == pytest.approx(value(parameters), rel=1e-12)
    rest = objective(parameters, gradients, decay) - float(optimum.objective.sum())
    assert objective(moved, gradients, decay) == pytest.approx(float(optimum.least.sum()) + rest, rel=1e-12)
    assert objective(moved, gradients, decay) <= tried.fun * (1 + 1e-12)


def source(kind, at, gradients, decay):
    """The mean change of each charge in a step, by hand, and its size."""
    g = gradients(at)
    shrink = (1 - RATE * decay) ** 2 - 1
    if kind == "general_linear":
        noise = (g["inner"] @ g["inner"].mT).mean(0) - (g["outer"].mT @ g["outer"]).mean(0)
        charge = at["inner"] @ at["inner"].T - at["outer"].T @ at["outer"]
        size = (g["inner"] @ g["inner"].mT).mean(0).norm()
    else:
        noise, charge = g["inner"].square().sum(-1).mean(0), at["inner"].square().sum(-1)
        size = noise.max()
        if kind == "rescale":
            noise = noise + g["bias"].square().mean(0) - g["outer"].square().sum(1).mean(0)
            charge = charge + at["bias"].square() - at["outer"].square().sum(0)
    return RATE**2 * noise + shrink * charge, RATE**2 * float(size)


@pytest.mark.parametrize(("kind", "decay"), CASES)
def test_law_the_source_of_the_charge_vanishes_at_the_optimum(kind, decay):
    block, parameters, gradients, _ = case(kind, seed=1)
    optimum = nld.orbit_optimum(block, gradients(parameters), parameters, learning_rate=RATE, weight_decay=decay)
    before, size = source(kind, parameters, gradients, decay)
    after, _ = source(kind, optimum.moved(parameters), gradients, decay)
    assert before.abs().max() > 0.1 * size
    assert after.abs().max() < 1e-12 * size


@pytest.mark.parametrize(("kind", "decay"), CASES)
def test_law_the_optimum_belongs_to_the_orbit_and_not_to_the_start(kind, decay):
    block, parameters, gradients, _ = case(kind, seed=2)
    other, _ = placed(block, parameters, np.linspace(-1, 1, 6 if kind == "general_linear" else 3))
    ends = [
        nld.orbit_optimum(block, gradients(at), at, learning_rate=RATE, weight_decay=decay).moved(at)
        for at in (parameters, other)
    ]
    for name in parameters:  # of general_linear up to a rotation
        a, b = (end[name] if kind != "general_linear" else torch.linalg.svdvals(end[name]) for end in ends)
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    again = nld.orbit_optimum(block, gradients(ends[0]), ends[0], learning_rate=RATE, weight_decay=decay)
    assert again.distance.max() < 1e-12
    torch.testing.assert_close(again.objective, again.least, rtol=1e-13, atol=0)


def test_the_norm_of_scale_has_a_closed_form():
    """|q|^4 = eta E|g at |q| = 1|^2 / (2 k (1 - eta k/2)), whatever |q| is."""
    block, parameters, gradients, _ = case("scale", seed=3)
    optimum = nld.orbit_optimum(block, gradients(parameters), parameters, learning_rate=RATE, weight_decay=DECAY)
    squared = parameters["inner"].square().sum(1)
    unit = gradients(parameters)["inner"].square().sum(2).mean(0) * squared
    expected = RATE * unit / (2 * DECAY * (1 - RATE * DECAY / 2))
    torch.testing.assert_close(optimum.moved(parameters)["inner"].square().sum(1) ** 2, expected)


@pytest.mark.parametrize("kind", ["rescale", "general_linear"])
def test_without_gradients_the_same_call_balances_weights(kind):
    block, parameters, gradients, value = case(kind, seed=4)
    balanced = nld.orbit_optimum(block, {}, parameters, weight_decay=0.7).moved(parameters)
    charge, _ = source(kind, balanced, lambda at: {n: g * 0 for n, g in gradients(at).items()}, 1.0)
    assert charge.abs().max() < 1e-13
    assert value(balanced) == pytest.approx(value(parameters), rel=1e-12)


def test_exponents_need_not_be_of_one_size():
    """A squared ReLU: inner weights times a, outer ones over a squared."""
    torch.manual_seed(5)
    block = Block("rescale", "squares", (Member("inner", (3, 6)), Member("outer", (4, 3), (1,), -2.0)))
    parameters = {"inner": torch.randn(3, 6).double(), "outer": torch.randn(4, 3).double()}
    moved = nld.orbit_optimum(block, {}, parameters, weight_decay=1.0).moved(parameters)
    torch.testing.assert_close(moved["inner"].square().sum(1), 2 * moved["outer"].square().sum(0), rtol=1e-13, atol=0)
    by_inner = moved["inner"] / parameters["inner"]
    torch.testing.assert_close(moved["outer"], parameters["outer"] / by_inner[:, 0] ** 2)


def test_every_block_that_is_found_is_moved_without_a_change_of_outputs():
    torch.manual_seed(6)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2)).double()
    x = torch.randn(30, 4).double()
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    loss = lambda p, x: functional_call(model, p, (x,)).square().sum()  # noqa: E731
    before, blocks = model(x), nld.find_symmetries(model, x)
    assert [block.kind for block in blocks].count("rescale") == 2
    for block in blocks:
        if block.kind == "rescale":
            gradients = vmap(grad(loss), (None, 0))(parameters, x)
            optimum = nld.orbit_optimum(block, gradients, parameters)
            assert optimum.distance.max() > 0.05
            parameters = optimum.moved(parameters)
    torch.testing.assert_close(functional_call(model, parameters, (x,)), before, rtol=1e-12, atol=1e-12)


def test_a_dead_unit_stays_where_it_is():
    block, parameters, gradients, _ = case("rescale")
    parameters["bias"][1] = -1e3
    optimum = nld.orbit_optimum(block, gradients(parameters), parameters)
    assert optimum.log_factor[1] == 0
    assert (optimum.log_factor[[0, 2]] != 0).all()


def test_parameters_in_single_precision_stay_in_it():
    block, parameters, gradients, _ = case("general_linear")
    single = {name: p.float() for name, p in parameters.items()}
    optimum = nld.orbit_optimum(block, gradients(parameters), single, learning_rate=RATE, weight_decay=DECAY)
    moved = optimum.moved(single)
    assert {p.dtype for p in moved.values()} == {torch.float32}
    torch.testing.assert_close(moved["outer"] @ moved["inner"], single["outer"] @ single["inner"], rtol=1e-5, atol=1e-5)
    assert moved["inner"] is not single["inner"]


def test_what_has_no_optimum_is_refused_in_words():
    block, parameters, gradients, _ = case("scale")
    with pytest.raises(ValueError, match=r"none for units \[0, 1, 2\].*a weight_decay > 0"):
        nld.orbit_optimum(block, gradients(parameters))
    pair, parameters, gradients, _ = case("general_linear", samples=2)
    with pytest.raises(ValueError, match="more gradients than there are units"):
        nld.orbit_optimum(pair, gradients(parameters))
    with pytest.raises(ValueError, match="expected gradients or a weight_decay"):
        nld.orbit_optimum(pair, {})
    with pytest.raises(ValueError, match="expected parameters with a weight_decay"):
        nld.orbit_optimum(pair, {}, weight_decay=1.0)
    with pytest.raises(ValueError, match=r"expected gradients of all parameters .* \['outer'\]"):
        nld.orbit_optimum(pair, {"inner": parameters["inner"][None]})
    with pytest.raises(ValueError, match=r"in \[0, 2/learning_rate\), got 1.0 and 2.0"):
        nld.orbit_optimum(pair, {}, parameters, weight_decay=2.0)
    shared = Block("rescale", "rows, columns", (Member("q", (3, 3)), Member("q", (3, 3), (1,), -1.0)))
    with pytest.raises(ValueError, match="several that move the same ones of 'q'"):
        nld.orbit_optimum(shared, {}, {"q": torch.ones(3, 3)}, weight_decay=1.0)


def test_isometries_are_refused_since_noise_does_not_choose_between_their_points():
    block = Block("translation", "shift", (Member("q", (3,)),))
    with pytest.raises(ValueError, match="expected a block among scale, rescale, general linear, got translation"):
        nld.orbit_optimum(block, {"q": torch.ones(2, 3)})
