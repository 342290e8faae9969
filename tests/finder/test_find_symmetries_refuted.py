"""Operations that a search could take for homogeneous: what is claimed survives a large finite transformation."""

import math

import pytest
import torch
from torch import nn

import nld
from nld.finder import Block, Member
from nld.finder.check import check_symmetries, transform


class Between(nn.Module):
    """Two linear maps, and a function between them."""

    def __init__(self, function, width: int = 4):
        super().__init__()
        self.first, self.last, self.function = nn.Linear(3, width), nn.Linear(width, 2), function

    def forward(self, x):
        return self.last(self.function(self.first(x)))


class Gate(nn.Module):
    """A mask that compares an activation, beside a path of its own: the mask has no gradient that could refute."""

    def __init__(self, compare):
        super().__init__()
        self.score, self.path, self.compare = nn.Linear(3, 2), nn.Linear(3, 2), compare

    def forward(self, x):
        return self.path(x).tanh() * self.compare(self.score(x)).to(x.dtype)


def spread(y):
    return y - y.mean(1, keepdim=True)


# function between, units of each kind that are there
BETWEEN = {
    "variance as a divisor": (lambda y: y / y.var(1, keepdim=True), {"scale": 1}),  # with the last weight
    "square over variance": (lambda y: y.square() / y.var(1, keepdim=True), {"scale": 1}),
    "centred square over variance": (lambda y: spread(y).square() / y.var(1, keepdim=True),
                                     {"scale": 1, "translation": 4}),
    "deviation as a divisor": (lambda y: y / y.std(1, keepdim=True), {"scale": 1}),
    "variance and mean": (lambda y: y.square() / torch.var_mean(y, 1, keepdim=True)[0], {"scale": 1}),
    "mean beside variance": (lambda y: y / torch.var_mean(y, 1, keepdim=True)[1].abs(), {"scale": 1}),
    "variance over the batch": (lambda y: y.square() / y.var(0, keepdim=True), {"scale": 4}),
    "sums along the units": (lambda y: y.relu().cumsum(1), {"rescale": 1}),
    "sums along the batch": (lambda y: y.relu().cumsum(0), {"rescale": 4}),
    "greater than a constant": (lambda y: torch.where(y > 0.5, y, 0.1 * y), {}),
    "greater than zero": (lambda y: torch.where(y > 0, y, 0.1 * y), {"rescale": 4}),
    "a constant instead": (lambda y: torch.where(y > 0, y, torch.ones_like(y)), {}),
    "zero instead": (lambda y: torch.where(y > 0, y, torch.zeros_like(y)), {"rescale": 4}),
    "a mask of a constant": (lambda y: y * (y > 0.5), {}),
    "a mask of a negative constant": (lambda y: y * (y <= -0.5), {}),
    "a mask of zero": (lambda y: y * (y >= 0), {"rescale": 4}),
    "a floor": (lambda y: y.clamp_min(0.5), {}),
    "a ceiling": (lambda y: y.clamp(0.0, 1.0), {}),
    "a floor of zero": (lambda y: y.clamp_min(0.0), {"rescale": 4}),
    "filled with a constant": (lambda y: y.masked_fill(y < 0, 0.3), {}),
    "filled with zero": (lambda y: y.masked_fill(y < 0, 0.0), {"rescale": 4}),
    "a threshold": (lambda y: nn.functional.threshold(y, 0.5, 0.0), {}),
    "a threshold at zero": (lambda y: nn.functional.threshold(y, 0.0, 0.0), {"rescale": 4}),
}  # fmt: skip


def moved_by_hand(model: nn.Module, block: Block, unit: int, amount: float) -> None:
    """The finite transformation of one unit, entry by entry; of kinds without a matrix."""
    named = dict(model.named_parameters())
    with torch.no_grad():
        for member in block.members:
            p = named[member.parameter]
            places = member.rows(torch.arange(p.numel()).view(p.shape))[unit].reshape(-1)
            flat, c = p.view(-1), member.coefficient
            flat[places] = (
                flat[places] + c * amount if block.kind == "translation" else flat[places] * math.exp(c * amount)
            )


def hold_by_hand(model: nn.Module, blocks, inputs) -> bool:
    """Whether the output stays as it is under large transformations of every unit, on fresh data."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    before = [model(x).detach() for x in inputs]
    for block in blocks:
        for unit in range(block.units):
            for amount in (-2.0, 2.0):
                moved_by_hand(model, block, unit, amount)
                after = [model(x).detach() for x in inputs]
                model.load_state_dict(state)
                if not all(torch.allclose(a, b, rtol=1e-8, atol=1e-9) for a, b in zip(after, before, strict=True)):
                    return False
    return True


@pytest.mark.parametrize("name", BETWEEN)
def test_no_symmetry_is_claimed_that_a_finite_transformation_refutes(name):
    function, units = BETWEEN[name]
    torch.manual_seed(0)
    model, x = Between(function).double(), torch.randn(40, 3, dtype=torch.float64)
    found = nld.find_symmetries(model, x)
    assert {kind: sum(b.units for b in found if b.kind == kind) for kind in {b.kind for b in found}} == units
    # Nothing was proposed that only the measurement has refused: on other data it might not have.
    assert not [note for note in found.not_analysed if "refused" in note]
    inputs = [scale * torch.randn(40, 3, dtype=torch.float64) for scale in (0.1, 1.0, 10.0)]
    assert hold_by_hand(model, found, inputs)


COMPARED = {
    "greater": (lambda y: y > 0.5, 0),
    "at least": (lambda y: y >= -0.5, 0),
    "less": (lambda y: y < 0.5, 0),
    "constant first": (lambda y: torch.tensor(0.5) > y, 0),
    "another tensor": (lambda y: y > torch.full_like(y, 0.5), 0),
    "zero": (lambda y: y > 0, 2),
}


@pytest.mark.parametrize("name", COMPARED)
def test_a_mask_without_gradient_is_judged_by_what_it_compares_with(name):
    """On the example no score is near the constant: no measurement there could see that it matters."""
    compare, units = COMPARED[name]
    torch.manual_seed(0)
    model = Gate(compare).double()
    x = torch.randn(30, 3, dtype=torch.float64)
    with torch.no_grad():
        model.score.weight.mul_(1e-6)
        model.score.bias.copy_(torch.tensor([1e6, -1e6]))
    found = [b for b in nld.find_symmetries(model, x) if any("score" in name for name in b.parameters)]
    assert sum(b.units for b in found if b.kind == "scale") == units
    assert not [b for b in found if b.kind != "scale"]
    assert hold_by_hand(model, found, [x])


def weighted(model: nn.Module) -> torch.Tensor:
    """A loss without symmetry whose gradient is known: the weights themselves, and ten for the last bias."""
    total = sum((torch.linspace(-1, 1.5, p.numel(), dtype=p.dtype).view(p.shape) * p).sum() for p in model.parameters())
    return total + 10 * model.last.bias.sum()  # pyright: ignore


def gradients_of(model):
    model.zero_grad()
    weighted(model).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def test_a_violation_of_a_rotation_is_that_of_its_planes():
    """One plane: the cosine between gradient and motion. Three: the root of the sum of squares over the planes."""
    torch.manual_seed(0)
    for width in (2, 3):
        model = Between(torch.tanh, width).double()
        q, g = model.first.weight.detach(), gradients_of(model)["first.weight"]
        block = Block("rotation", "rows", (Member("first.weight", (1, width, 3), matrix_axis=1),))
        total = 0.0
        for i in range(width):
            for j in range(i):
                motion = torch.zeros_like(q)
                motion[i], motion[j] = -q[j], q[i]
                total += float((g * motion).sum()) ** 2
        (violation,) = check_symmetries(model, weighted, [block])
        assert violation.gradient == pytest.approx(math.sqrt(total) / float(g.norm() * q.norm()), rel=1e-12)


def test_violations_are_their_definition_for_each_kind():
    torch.manual_seed(0)
    model = Between(torch.tanh).double()
    q, g = dict(model.named_parameters()), gradients_of(model)
    first, last = q["first.weight"].detach(), q["last.weight"].detach()
    blocks = [
        Block("scale", "twice", (Member("first.weight", (4, 3), coefficient=2.0),)),
        Block("translation", "shift", (Member("first.weight", (1, 4, 3), coefficient=-3.0),
                                       Member("first.bias", (1, 4)))),
        Block("rescale", "pair", (Member("first.weight", (4, 3)), Member("last.weight", (2, 4), (1,), -0.5))),
        Block("general_linear", "mixed", (Member("first.weight", (1, 4, 3), matrix_axis=1),
                                          Member("last.weight", (2, 1, 4), (1,), -1.0, matrix_axis=2))),
    ]  # fmt: skip
    along = [
        abs(2 * (g["first.weight"] * first).sum(1)) / (g["first.weight"].norm(dim=1) * 2 * first.norm(dim=1)),
        abs(-3 * g["first.weight"].sum() + g["first.bias"].sum())
        / ((g["first.weight"].square().sum() + g["first.bias"].square().sum()).sqrt() * math.sqrt(9 * 12 + 4)),
        abs((g["first.weight"] * first).sum(1) - 0.5 * (g["last.weight"] * last).sum(0))
        / (g["first.weight"].square().sum(1) + g["last.weight"].square().sum(0)).sqrt()
        / (first.square().sum(1) + 0.25 * last.square().sum(0)).sqrt(),
        (g["first.weight"] @ first.T - last.T @ g["last.weight"]).norm()
        / (g["first.weight"].square().sum() + g["last.weight"].square().sum()).sqrt()
        / (first.square().sum() + last.square().sum()).sqrt(),
    ]
    for number, (violation, expected) in enumerate(zip(check_symmetries(model, weighted, blocks), along, strict=True)):
        assert violation.gradient == pytest.approx(float(expected.max()), rel=1e-12), violation.block.name
        twin = Between(torch.tanh).double()
        twin.load_state_dict(model.state_dict())
        transform(violation.block, {name: p.detach() for name, p in twin.named_parameters()}, 0.3, seed=number)
        before, after = float(weighted(model)), float(weighted(twin))
        whole = math.sqrt(sum(float(each.square().sum()) for each in g.values()))
        expected = abs(after - before) / max(abs(before), 1e-3 * whole)
        assert violation.loss_change == pytest.approx(expected, rel=1e-9), violation.block.name


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_gradient_that_nearly_vanishes_is_measured_against_the_whole_one(dtype):
    """Of a part below (machine epsilon)^(1/4) of the whole gradient, what is left may be rounding."""
    torch.manual_seed(0)
    model = Between(torch.tanh).to(dtype)
    small = 1e-3 * torch.finfo(dtype).eps ** 0.25

    def loss(m):
        return small * (m.first.weight.square().sum() / 2) + 3 * m.last.bias.sum()

    q = model.first.weight.detach().double()
    block = Block("scale", "all", (Member("first.weight", (1, 4, 3)),))
    (violation,) = check_symmetries(model, loss, [block])
    whole = math.sqrt(18 + small**2 * float(q.square().sum()))  # the gradient is small q, and 3 for each of two biases
    expected = small * float(q.square().sum()) / (torch.finfo(dtype).eps ** 0.25 * whole * float(q.norm()))
    assert violation.gradient == pytest.approx(expected, rel=1e-5)


def test_a_loss_near_zero_is_no_measure_of_its_change():
    """Then a thousandth of the gradient is: what a step of a thousandth would do."""
    torch.manual_seed(0)
    model = Between(torch.tanh).double()
    whole = math.sqrt(sum(float(g.square().sum()) for g in gradients_of(model).values()))
    before = float(weighted(model))
    block = Block("translation", "all", (Member("first.bias", (1, 4)),))
    (violation,) = check_symmetries(model, lambda m: weighted(m) - before + 1e-6, [block], amount=1e-4)
    twin = Between(torch.tanh).double()
    twin.load_state_dict(model.state_dict())
    transform(block, {name: p.detach() for name, p in twin.named_parameters()}, 1e-4, seed=0)
    assert violation.loss_change == pytest.approx(abs(float(weighted(twin)) - before) / (1e-3 * whole), rel=1e-6)


def test_finite_transformations_by_hand():
    """Each kind, unit by unit: one random amount a unit, coefficients as multiples or powers, inverse transposes."""
    generator = torch.Generator().manual_seed(3)
    s = 0.7 * torch.randn((4,), generator=generator, dtype=torch.float64)
    q = torch.randn(4, 3, dtype=torch.float64)
    for kind, expected in {"translation": q - 2 * s[:, None], "scale": q * torch.exp(-2 * s[:, None])}.items():
        moved = {"q": q.clone()}
        transform(Block(kind, "rows", (Member("q", (4, 3), coefficient=-2.0),)), moved, 0.7, seed=3)
        torch.testing.assert_close(moved["q"], expected)
    generator = torch.Generator().manual_seed(3)
    s = 0.7 * torch.randn((2, 3, 3), generator=generator, dtype=torch.float64)
    pair = {"in": torch.randn(2, 3, 5, dtype=torch.float64), "out": torch.randn(5, 2, 3, dtype=torch.float64)}
    members = (Member("in", (2, 3, 5), matrix_axis=1), Member("out", (5, 2, 3), (1,), -1.0, matrix_axis=2))
    for kind, generators in {"general_linear": s, "rotation": s - s.mT}.items():
        moved = {name: value.clone() for name, value in pair.items()}
        transform(Block(kind, "heads", members), moved, 0.7, seed=3)
        for head in range(2):
            matrix = torch.linalg.matrix_exp(generators[head] / math.sqrt(3))
            torch.testing.assert_close(moved["in"][head], matrix @ pair["in"][head])
            torch.testing.assert_close(moved["out"][:, head], pair["out"][:, head] @ torch.linalg.inv(matrix))
        product = torch.einsum("ohd,hdi->oi", moved["out"], moved["in"])
        torch.testing.assert_close(product, torch.einsum("ohd,hdi->oi", pair["out"], pair["in"]))


def test_a_loss_without_gradient_violates_nothing():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    blocks = nld.find_symmetries(model, torch.randn(5, 3))
    report = nld.check_symmetries(model, lambda m: 0.0 * m(torch.ones(5, 3)).sum(), blocks)
    assert blocks
    assert [(violation.gradient, violation.loss_change) for violation in report] == [(0.0, 0.0)] * len(blocks)
