"""The tables that the law tests run over: every symmetry, every learning rule, once."""

import numpy as np
import sympy as sp

from nld import symmetry
from nld.learning_rules import potentials, rules

# name -> (symmetry, number of parts, a loss of numpy parts that has it)
SYMMETRIES = {
    "translation": (
        symmetry.translation((1, -2, 0.5)),
        3,
        lambda q: np.sin(2 * q[0] + q[1]).sum() + ((q[1] + 4 * q[2]) ** 2).sum(),
    ),
    "scale": (symmetry.scale(), 3, lambda q: sum(np.sum(w) * c for w, c in zip(q, (1, 2, -1), strict=True)) / _norm(q)),
    "rescale": (symmetry.rescale((1, 1, -1)), 3, lambda q: np.sin(q[0] * q[2]).sum() + ((q[1] * q[2]) ** 2).sum()),
    "rotation": (symmetry.rotation(0, 2), 3, lambda q: np.cos(q[0] ** 2 + q[2] ** 2).sum() + (q[1] ** 3).sum()),
    "shear": (symmetry.general_linear(2, 0, 1), 4, lambda q: np.sin(np.outer(q[2], q[0]) + np.outer(q[3], q[1])).sum()),
    "stretch": (
        symmetry.general_linear(2, 1, 1),
        4,
        lambda q: np.sin(np.outer(q[2], q[0]) + np.outer(q[3], q[1])).sum(),
    ),
}

# The same of generators that are not affine: a shift along parallel cubic curves, and the flow of q^2 in each entry.
CURVED = {
    "curve": (
        symmetry.Symmetry(
            "curve",
            lambda q, s: (q[0] + s, q[1] + s * q[0] ** 2 + s**2 * q[0] + s**3 / 3),
            lambda q: (1 + 0 * q[0], q[0] ** 2),
        ),
        2,
        lambda q: np.sin(q[1] - q[0] ** 3 / 3).sum(),
    ),
    "projective": (
        symmetry.Symmetry(
            "projective", lambda q, s: tuple(part / (1 - s * part) for part in q), lambda q: tuple(w**2 for w in q)
        ),
        2,
        lambda q: np.exp(-((1 / q[0] - 1 / q[1]) ** 2)).sum(),
    ),
}

# Isometries of the Euclidean metric: their kinetic energy is not broken.
ISOMETRIES = {"translation", "rotation"}

METRIC = np.array([[2.0, 0.5], [0.5, 1.0]])


def quasi_hyperbolic(learning_rate, momentum, share, weight_decay=0):
    """A rule that nld does not have, made as a user would: a step is (1 - v) g + v times a sum of past gradients.

    The sum is kept c/v times as large, so that under a lasting gradient the step is the buffer, c g/mu. A step is beta
    times the last one plus c g_n + (1 - v) beta (g_n - g_{n-1}), c = 1 - (1 - v) beta, which gives the lookahead.
    """
    weight = 1 - (1 - share) * momentum

    def update(rule, q, state, gradient):
        (buffer,) = state or (0,)
        force = gradient(q) + rule.weight_decay * q
        buffer = rule.momentum * buffer + weight * force
        return q - rule.learning_rate * ((1 - share) * force + share / weight * buffer), (buffer,)

    return rules.LearningRule(
        "quasi-hyperbolic momentum",
        update,
        learning_rate,
        momentum,
        weight_decay,
        gradient_weight=weight,
        lookahead=learning_rate * (1 - share) * momentum / weight,
    )


# name -> learning rate -> rule, for every rule with a second-order model
MODELLED_RULES = {
    "gradient descent": lambda lr: rules.gradient_descent(lr),
    "gradient descent, weight decay": lambda lr: rules.gradient_descent(lr, weight_decay=0.3),
    "heavy ball 0.5": lambda lr: rules.heavy_ball(lr, 0.5),
    "heavy ball 0.8, weight decay": lambda lr: rules.heavy_ball(lr, 0.8, 0.2),
    "Nesterov 0.7": lambda lr: rules.nesterov(lr, 0.7),
    "quasi-hyperbolic 0.7": lambda lr: quasi_hyperbolic(lr, 0.7, 0.5),
    "mirror, entropy": lambda lr: rules.mirror(lr, potentials.entropy),
    "mirror, entropy, momentum": lambda lr: rules.mirror(lr, potentials.entropy, momentum=0.5),
    "mirror, 1.5-norm": lambda lr: rules.mirror(lr, potentials.p_norm(1.5)),
    "mirror, 3-norm, weight decay": lambda lr: rules.mirror(lr, potentials.p_norm(3), weight_decay=0.2),
    "mirror, quadratic form": lambda lr: rules.mirror(lr, potentials.quadratic_form(METRIC), momentum=0.3),
}

POTENTIALS = {
    "euclidean": potentials.euclidean,
    "entropy": potentials.entropy,
    "Burg": potentials.burg,
    "1.5-norm": potentials.p_norm(1.5),
    "3-norm": potentials.p_norm(3),
    "quadratic form": potentials.quadratic_form(METRIC),
}


def polynomial_potential(x):
    """Every polynomial of degree 4 in two variables: undetermined coefficients, exact derivatives at any order.

    Enough for limits that see derivatives of h up to the fourth, where sympy cannot expand an undetermined h.
    """
    return sum(sp.Symbol(f"c{i}{j}") * x[0] ** i * x[1] ** j for i in range(5) for j in range(5 - i))


def numeric_gradient(loss, q, step=1e-6):
    """Central differences of a loss of a tuple of arrays: the naive oracle."""
    gradient = [np.zeros_like(part) for part in q]
    for part, slope in zip(q, gradient, strict=True):
        for index in np.ndindex(part.shape):
            kept = part[index]
            part[index] = kept + step
            above = loss(q)
            part[index] = kept - step
            below = loss(q)
            part[index] = kept
            slope[index] = (above - below) / (2 * step)
    return gradient


def _norm(q):
    return np.sqrt(sum(np.sum(part**2) for part in q))
