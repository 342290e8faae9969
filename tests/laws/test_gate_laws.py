"""Gates of a mixture of experts: what training keeps of them, decided in exact arithmetic and counted.

*Conservation Laws for Modern Neural Architectures* (arXiv 2606.17816) is publicly quoted to say in its Theorem 4.7 that
with gates sigma(W_i x)/sum_p sigma(W_p x) every conservation law coincides with that of softmax gates, among which is
the sum of the W_i: https://github.com/MachineLearning-Nerd/icml26-conservation-laws, whose counterexample is this one.
"""

import pytest
import sympy as sp
import torch
import torch.nn.functional as F

import nld

GATES = {
    "softmax": lambda z: torch.softmax(z, -1),
    "normalized sigmoid": lambda z: torch.sigmoid(z) / torch.sigmoid(z).sum(-1, keepdim=True),
}


def drift(weight):
    """d/dt of W_11 + W_21 under gradient flow of |output|^2/2, exactly, with d = 3, x = e_1 and target 0.

    Two SwiGLU experts a silu(b x) (c x) with outputs 0 and e_1 at x, and logits 0 and log 3.
    """
    w1, w2 = sp.symbols("w1 w2", real=True)  # the gates' rows along e_1; the others do not see x
    sigmoid = 1 / (1 + sp.exp(-sp.log(3)))
    a, b, c = 4 / (3 * sp.log(3)), sp.log(3), 1
    expert = sp.simplify(a * (b * sigmoid) * c)
    assert expert == 1
    total = weight(w1) + weight(w2)
    loss = (weight(w2) / total * expert) ** 2 / 2
    rate = -(sp.diff(loss, w1) + sp.diff(loss, w2))
    return sp.nsimplify(sp.simplify(rate.subs({w1: 0, w2: sp.log(3)})))


def test_law_the_sum_of_softmax_gates_stays_and_that_of_normalized_sigmoids_moves():
    assert drift(sp.exp) == 0
    assert drift(lambda z: 1 / (1 + sp.exp(-z))) == sp.Rational(9, 250)


@pytest.mark.parametrize(("gate", "laws"), [("softmax", 2 + 2), ("normalized sigmoid", 2)])
def test_law_normalized_sigmoid_gates_have_no_law_of_their_own(gate, laws):
    """With d = 2 and one hidden unit in each of two experts: a law a unit, and for softmax d more, the sum of rows."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(30, 2, dtype=torch.float64, generator=random)
    shapes = {"w": (2, 2), "a": (2, 1), "b": (2, 2), "c": (2, 2)}
    theta = {name: torch.randn(shape, dtype=torch.float64, generator=random) for name, shape in shapes.items()}

    def outputs(q):
        hidden = F.silu(x @ q["b"].T) * (x @ q["c"].T)  # a unit an expert
        return (GATES[gate](x @ q["w"].T) * hidden) @ q["a"]

    count = nld.count_conservation_laws(outputs, theta)
    assert count.settled
    assert int(count) == laws
