"""The entropy on either side of zero: the metric 1/|q|, with which a weight never changes its sign."""

import numpy as np

from nld.learning_rules.potentials import Potential


def signed_entropy(signs: np.ndarray) -> Potential:
    """h = sum |q| log |q| - |q|, so F = 1/|q|: what ``potentials.p_norm`` is for p = 1.

    Args:
        signs: any numbers with the signs of q, none of them zero.
    """
    signs = np.sign(signs)
    return Potential(
        "signed entropy",
        value=lambda q: (np.abs(q) * np.log(np.abs(q)) - np.abs(q)).sum(-1),
        gradient=lambda q: signs * np.log(np.abs(q)),
        inverse=lambda z: signs * np.exp(signs * z),
        inverse_metric=lambda q, g: np.abs(q) * g,
    )
