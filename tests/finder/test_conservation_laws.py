"""Counts of conservation laws against closed forms, and against what symmetries explain."""

import itertools

import pytest
import torch
from torch import nn
from torch.func import functional_call

import nld
from nld import symmetry
from nld.learning_rules import potentials
from tests.finder.parameterizations import attention, block, convolutions, deep_linear, linear_pair, normal, relu_pair


def count(case, flow="gradient", **options):
    return nld.count_conservation_laws(*case, flow, **options)


def sound(laws):
    """Settled, and the singular values on either side of the rank are decades apart."""
    return laws.settled and laws.smallest_kept > 1e-6 and laws.largest_dropped < 1e-11


def gradient_laws(n, m, r):
    """Closed form for U V^T (Marcotte, Gribonval, Peyré 2024)."""
    return r * (r + 1) // 2 if r <= n + m else (n + m) * (2 * r - (n + m) + 1) // 2


def momentum_laws(n, m, r):
    """The same for momentum, for max(n, m) at least 2: the algebra is sp(2 (n + m))."""
    both = n + m
    return r * (r - 1) // 2 if r <= 2 * both else both * (2 * r - 2 * both - 1)


PAIRS = [(n, m, r) for n, m in ((1, 2), (2, 2), (3, 2), (1, 3)) for r in (1, 2, 3, 4, 5)]


@pytest.mark.parametrize("sizes", PAIRS, ids=str)
def test_law_two_linear_layers_have_the_number_of_laws_of_the_closed_forms(sizes):
    for flow, expected in (("gradient", gradient_laws(*sizes)), ("momentum", momentum_laws(*sizes))):
        laws = count(linear_pair(*sizes), flow)
        assert int(laws) == expected, laws
        assert sound(laws), laws


@pytest.mark.parametrize(("sizes", "gradient", "momentum"), [((1, 2, 7), 18, 21), ((1, 2, 5), 12, 10)])
def test_momentum_has_more_laws_only_deep_in_overparametrization(sizes, gradient, momentum):
    assert int(count(linear_pair(*sizes))) == gradient
    assert int(count(linear_pair(*sizes), "momentum")) == momentum


@pytest.mark.parametrize(("r", "expected"), [(2, 2), (3, 6), (4, 10), (5, 14), (6, 18)])
def test_a_product_of_two_vectors_is_special_under_momentum_and_takes_many_rounds(r, expected):
    laws = count(linear_pair(1, 1, r), "momentum")
    assert int(laws) == expected
    assert laws.ranks == (2, 3, 5, 6, 7, 7)


NARROW = ((1, 2, 4), (1, 2, 5), (2, 2, 5))  # their brackets add directions for longer than six rounds


@pytest.mark.parametrize(
    "sizes",
    [s if s in ((2, 2, 2), (3, 2, 2)) else pytest.param(s, marks=pytest.mark.slow) for s in PAIRS],
    ids=str,
)
def test_the_friction_that_fades_keeps_the_same_number(sizes):
    laws = count(linear_pair(*sizes), "momentum", friction=lambda t: 3 / t)
    assert laws.settled == (sizes not in NARROW), laws
    if laws.settled:
        assert int(laws) == momentum_laws(*sizes)
    else:
        assert int(laws) >= momentum_laws(*sizes)
        assert str(laws).startswith("at most"), laws


@pytest.mark.parametrize("r", [1, 2, 3])
def test_relu_has_one_law_a_unit_and_none_under_momentum(r):
    assert int(count(relu_pair(2, 2, r))) == r
    assert int(count(relu_pair(2, 2, r), "momentum")) == 0


def test_deep_relu_networks_have_one_law_a_hidden_unit():
    """phi lists the product of weights along every path from an input to an output."""
    case = (lambda q: torch.einsum("ai,ba,ob->oiab", *q)), normal((2, 2), (2, 2), (2, 2))
    laws = count(case)
    assert (int(laws), laws.ranks) == (4, (8, 8))


def test_the_law_of_multiplicative_updates_holds_along_their_flow_and_the_euclidean_one_does_not():
    u, v = (part.abs() + 0.1 for part in normal((3, 2), (4, 2)))
    (goal,) = normal((3, 4), seed=2)

    def slope(u, v):
        residual = u @ v.T - goal.abs()
        return -u * (residual @ v), -v * (residual.T @ u)

    def laws(u, v):
        return u.sum(0) - v.sum(0), (u**2).sum(0) - (v**2).sum(0)

    linear, square = laws(u, v)
    for _ in range(400):
        k1 = slope(u, v)
        k2 = slope(u + 0.005 * k1[0], v + 0.005 * k1[1])
        k3 = slope(u + 0.005 * k2[0], v + 0.005 * k2[1])
        k4 = slope(u + 0.01 * k3[0], v + 0.01 * k3[1])
        u, v = (q + 0.01 / 6 * (a + 2 * b + 2 * c + d) for q, a, b, c, d in zip((u, v), k1, k2, k3, k4, strict=True))
    assert float((laws(u, v)[0] - linear).abs().max()) < 1e-10
    assert float((laws(u, v)[1] - square).abs().max()) > 0.1


DEEP = {(2, 2, 2): (3, (4, 5, 5)), (2, 2, 2, 2): (6, (4, 6, 6)), (2, 1, 3, 2): (7, (3, 4, 4)),
        (2, 3, 2, 2): (9, (4, 7, 7))}  # fmt: skip


@pytest.mark.parametrize("widths", DEEP, ids=str)
def test_deep_linear_networks_conserve_what_lies_between_layers(widths):
    laws = count(deep_linear(*widths))
    assert (int(laws), laws.ranks) == DEEP[widths]
    # an independent lower bound: the rank of the gradients of W_l W_l^T - W_{l+1}^T W_{l+1}
    q = deep_linear(*widths)[1]

    def charges(*q):
        balance = (a @ a.T - b.T @ b for a, b in itertools.pairwise(q))
        return torch.cat([matrix[torch.triu_indices(*matrix.shape).unbind()] for matrix in balance])

    rows = torch.cat([j.flatten(1) for j in torch.autograd.functional.jacobian(charges, tuple(q))], 1)
    assert int(torch.linalg.matrix_rank(rows)) == int(laws)


HEADS = {
    "d 2, head 1": ((2, 1), 2), "d 3, head 1": ((3, 1), 2), "d 2, head 2": ((2, 2), 6), "d 3, head 2": ((3, 2), 6),
    "two heads": ((2, 1, 2), 4), "head 1, biases": ((2, 1, 1, True), 3), "head 2, biases": ((2, 2, 1, True), 8),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_attention_heads(name):
    sizes, expected = HEADS[name]
    laws = count(attention(*sizes))
    assert int(laws) == expected
    assert laws.settled


BLOCKS = {
    "linear": (lambda z: z, 3), "relu": (torch.relu, 2), "tanh": (torch.tanh, 0),
    "softmax": (lambda z: torch.softmax(z, -1), 2),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
def test_a_skip_connection_changes_no_count(name):
    activation, expected = BLOCKS[name]
    assert [int(count(block(activation, skip=skip))) for skip in (False, True)] == [expected, expected]


def test_few_inputs_see_too_little():
    counts = [int(count(block(torch.relu, inputs=inputs))) for inputs in (1, 6, 8, 40)]
    assert counts == [6, 3, 2, 2]


def test_convolutions_have_one_law_a_channel():
    assert int(count(convolutions())) == 2


def test_multiplicative_updates_conserve_differences_of_sums_and_the_finders_rescalings_explain_them():
    phi, (u, v) = linear_pair(3, 2, 2)
    theta = [u.abs() + 0.1, v.abs() + 0.1]
    laws = count((phi, theta), "mirror")
    assert int(laws) == 2
    same = count((phi, theta), "mirror", inverse_metric=lambda q, g: [a * b for a, b in zip(q, g, strict=True)])
    assert laws.ranks == same.ranks
    euclidean = count((phi, theta), "mirror", inverse_metric=lambda q, g: potentials.euclidean.inverse_metric(q, g))
    assert euclidean.ranks == count((phi, theta)).ranks


class Pair(nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.first, self.second = nn.Linear(3, 2, bias=False), nn.Linear(2, 2, bias=False)
        self.activation = activation

    def forward(self, x):
        return self.second(self.activation(self.first(x)))


@pytest.mark.parametrize(
    ("activation", "flow", "expected"),
    [
        (nn.Identity(), "gradient", 3), (nn.Identity(), "momentum", 1), (nn.Identity(), "mirror", 2),
        (nn.ReLU(), "gradient", 2), (nn.ReLU(), "momentum", 0), (nn.ReLU(), "mirror", 2), (nn.Tanh(), "gradient", 0),
    ],
)  # fmt: skip
def test_what_the_finder_finds_is_a_lower_bound_and_meets_the_count(activation, flow, expected):
    torch.manual_seed(0)
    model = Pair(activation).double()
    (x,) = normal((30, 3), seed=1)
    found = nld.find_symmetries(model, x)
    theta = {name: p.detach() for name, p in model.named_parameters()}
    laws = count((lambda q: functional_call(model, q, (x,)), theta), flow, symmetries=found)
    assert (laws.known, int(laws)) == (expected, expected)
    assert laws.complete
    if expected:
        assert not count((lambda q: functional_call(model, q, (x,)), theta), flow).complete


def test_a_translation_has_two_laws_under_momentum_and_one_under_gradient_flow():
    theta = normal((1,), (1,), (1,))  # phi sees two differences
    case = (lambda q: torch.cat([q[0] - q[1], (q[1] - q[2]) ** 3])), theta
    shift = [symmetry.translation((1, 1, 1))]
    for flow, expected in (("gradient", 1), ("momentum", 2)):
        laws = count(case, flow, symmetries=shift)
        assert (laws.known, int(laws)) == (expected, expected), laws


@pytest.mark.parametrize("sizes", [(2, 2, 2), (1, 2, 3), (3, 2, 2)], ids=str)
def test_momentum_mirror_in_the_euclidean_metric_is_momentum_and_in_the_entropys_keeps_nothing(sizes):
    """The second is what Marcotte, Gribonval and Peyré (2024) find for non-negative factorizations."""
    phi, (u, v) = linear_pair(*sizes)
    theta = [u.abs() + 0.1, v.abs() + 0.1]
    euclidean = count((phi, theta), "momentum mirror", inverse_metric=lambda q, g: g)
    assert (int(euclidean), euclidean.settled) == (momentum_laws(*sizes), True)
    entropy = count((phi, theta), "momentum mirror", friction=0.7)
    assert (int(entropy), entropy.settled) == (0, True)
    assert int(count((phi, theta), "mirror")) == sizes[2]


@pytest.mark.parametrize("friction", [0.5, 2.0])
def test_momentum_mirror_keeps_the_slope_of_the_potential_along_a_translation(friction):
    """<∇h(y), A> with y = q + q'/tau, a law that an integration of the flow keeps; without a metric there are two."""
    theta = [0.3 * part.abs() + 0.5 for part in normal((1,), (1,), (1,))]
    case = (lambda q: torch.stack([q[0] - q[1], (q[1] - q[2]) ** 3]).ravel()), theta
    shift = [symmetry.translation((1, 1, 1))]
    laws = count(case, "momentum mirror", symmetries=shift, friction=friction)
    assert (laws.known, int(laws), laws.settled) == (1, 1, True)
    assert int(count(case, "momentum", symmetries=shift)) == 2

    def slopes(q, y):  # q' = tau (y - q), y' = -y ∇L(q): the entropy's metric
        g = torch.autograd.functional.jacobian(lambda p: (case[0](p) - torch.tensor([1.0, -1.0])).square().sum(), q)
        return friction * (y - q), -y * g

    q = torch.cat(theta)
    y = q + torch.tensor([0.2, -0.1, 0.1], dtype=torch.float64)
    start, law, dt = q.clone(), y.log().sum(), 0.005
    for _ in range(400):
        k1 = slopes(q, y)
        k2 = slopes(q + dt / 2 * k1[0], y + dt / 2 * k1[1])
        k3 = slopes(q + dt / 2 * k2[0], y + dt / 2 * k2[1])
        k4 = slopes(q + dt * k3[0], y + dt * k3[1])
        q, y = (x + dt / 6 * (a + 2 * b + 2 * c + d) for x, a, b, c, d in zip((q, y), k1, k2, k3, k4, strict=True))
    assert abs(float(y.log().sum() - law)) < 1e-7
    assert float((q - start).abs().max()) > 0.05


def test_what_is_no_symmetry_or_not_generic_or_unknown_is_refused():
    case = linear_pair(2, 2, 2)
    with pytest.raises(nld.errors.InvalidInput, match="symmetries of phi"):
        count(case, symmetries=[symmetry.scale()])
    with pytest.raises(nld.errors.InvalidInput, match="generic theta"):
        count((case[0], [torch.zeros(2, 2), torch.zeros(2, 2)]))
    with pytest.raises(nld.errors.InvalidInput, match="momentum"):
        count(case, "momentun")
    with pytest.raises(nld.errors.InvalidInput, match="inverse_metric"):
        count(case, inverse_metric=lambda q, g: g)
    with pytest.raises(nld.errors.InvalidInput, match="number > 0 as friction"):
        count(case, "momentum mirror", friction=lambda t: 3 / t)
    with pytest.raises(nld.errors.InvalidInput, match="theta to be a tensor"):
        count((case[0], "weights"))


def test_the_count_reads_as_a_sentence():
    assert str(count(linear_pair(2, 2, 2))).startswith("3 laws under gradient flow: 8 dimensions, Lie algebra of rank")
