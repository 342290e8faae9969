"""Charges of two layers with an element-wise activation between them.

Let the inputs be the columns of an orthogonal matrix, here the identity, and the network U sigma(V) with one row of V
and one column of U for each hidden unit k. The activations of a unit are then free, and the loss cannot tell U_k times
(1 + s) with sigma(V_k)/(1 + s) from what was there: a symmetry with the generator

    A(U_k, V_kj) = (U_k, -sigma(V_kj)/sigma'(V_kj)),

which is linear for homogeneous activations only. It is the gradient of

    C_k = |U_k|^2/2 - sum_j Phi(V_kj),    Phi' = sigma/sigma',

so that gradient flow conserves C_k (Zhao and others 2023). A step q -> q - eta g moves it by

    eta^2/2 (|g_U|^2 - sum_j Phi''(V_kj) g_V^2) + O(eta^3),    Phi'' = 1 - sigma sigma''/sigma'^2,

exactly so where Phi is quadratic. The law in steps is ours.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy as sp

from nld.symmetry import Symmetry

X = sp.Symbol("x", real=True)


@dataclass(frozen=True)
class ActivationCharge:
    """An activation and what its charge is made of, as expressions in ``X``.

    Args:
        name: of the activation.
        sigma: the activation.
        inverse: of sigma, or None where it has none.
        integral: Phi. For homogeneous activations X^2/2; where a ReLU is off it has no gradient, and any Phi will do.
        supremum: least upper bound of sigma.
    """

    name: str
    sigma: sp.Expr
    inverse: sp.Expr | None
    integral: sp.Expr
    supremum: float = math.inf

    @property
    def ratio(self) -> sp.Expr:
        """Phi' = sigma/sigma', minus the generator of V."""
        return self.integral.diff(X)

    @cached_property
    def arrays(self) -> dict[str, Callable]:
        """``sigma``, ``inverse``, ``integral``, ``ratio`` and ``curvature``, which is Phi'', as functions of arrays."""
        expressions = {
            "sigma": self.sigma, "integral": self.integral, "ratio": self.ratio, "curvature": self.ratio.diff(X),
        }  # fmt: skip
        if self.inverse is not None:
            expressions["inverse"] = self.inverse
        return {name: _on_arrays(expression) for name, expression in expressions.items()}


def _on_arrays(expression: sp.Expr) -> Callable:
    function = sp.lambdify(X, expression, "numpy")
    return lambda values: function(values) + 0.0 * values  # a constant becomes an array, too


_QUADRATIC = X**2 / 2
_SIGMOID = 1 / (1 + sp.exp(-X))
ACTIVATIONS = {
    activation.name: activation
    for activation in (
        ActivationCharge("linear", X, X, _QUADRATIC),
        ActivationCharge("ReLU", sp.Piecewise((X, X > 0), (0, True)), None, _QUADRATIC),
        ActivationCharge(
            "leaky ReLU", sp.Piecewise((X, X > 0), (X / 10, True)), sp.Piecewise((X, X > 0), (10 * X, True)), _QUADRATIC
        ),
        ActivationCharge("tanh", sp.tanh(X), sp.atanh(X), sp.sinh(X) ** 2 / 2, 1.0),
        ActivationCharge("sigmoid", _SIGMOID, sp.log(X / (1 - X)), X + sp.exp(X), 1.0),
    )
}


def unit_charges(activation: ActivationCharge, outgoing, incoming):
    """C_k = |U_k|^2/2 - sum_j Phi(V_kj) of every hidden unit, shape (..., units), in w^2 for quadratic Phi.

    Args:
        outgoing: U, shape (..., outputs, units).
        incoming: V, shape (..., units, inputs).
    """
    return (outgoing**2).sum(-2) / 2 - activation.arrays["integral"](incoming).sum(-1)


def predict_charge_change(activation: ActivationCharge, incoming, gradient_outgoing, gradient_incoming, rate: float):
    """What a step of gradient descent adds to ``unit_charges``: to second order in the rate, exact for quadratic Phi.

    Args:
        incoming: V before the step, shape (..., units, inputs).
        gradient_outgoing, gradient_incoming: of the loss, in the shapes of U and V.
        rate: eta, in w^2/ℓ.
    """
    curvature = activation.arrays["curvature"](incoming)
    return rate**2 / 2 * ((gradient_outgoing**2).sum(-2) - (curvature * gradient_incoming**2).sum(-1))


def activation_rescale(activation: ActivationCharge) -> Symmetry:
    """U_k -> (1 + s) U_k, V_kj -> sigma^{-1}(sigma(V_kj)/(1 + s)): outputs stay, on inputs that are the identity.

    Of a point (U_k, V_k). A(q) = (U_k, -sigma/sigma'). 1 + s must leave sigma(V)/(1 + s) in the range of sigma.
    """
    arrays = activation.arrays
    return Symmetry(
        f"rescale of {activation.name} units",
        lambda q, s: ((1 + s) * q[0], arrays["inverse"](arrays["sigma"](q[1]) / (1 + s))),
        lambda q: (1 * q[0], -arrays["ratio"](q[1])),
    )


def starting_moments(activation: ActivationCharge, inputs: int, units: int, outputs: int) -> tuple[float, float]:
    """Mean and standard deviation of the sum of all charges where U ~ N(0, 1/units) and V ~ N(0, 1/inputs).

    outputs/2 - inputs units E[Phi] and the root of outputs/(2 units) + inputs units Var[Phi], by Gauss's quadrature.
    For linear units outputs/2 - units/2 and the root of outputs/(2 units) + units/(2 inputs).
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()
    values = activation.arrays["integral"](nodes / np.sqrt(inputs))
    mean = float(weights @ values)
    variance = float(weights @ (values - mean) ** 2)
    return outputs / 2 - inputs * units * mean, float(np.sqrt(outputs / (2 * units) + inputs * units * variance))
