"""What a width changes in the angle per step of a matrix whose norm the loss ignores, for white gradients under AdamW.

With d = η k and U = E|u|², the update q' = (1 - d) q - η u turns q by

    cos θ = ((1 - d) R - η c)/sqrt(R R'),    R' = (1 - d)² R - 2 (1 - d) η c + η² U,    c = <u, q>.

c would be zero for a gradient; u is their running mean and remembers. With m the mean before its bias is corrected,
u = m/b and b = 1 - β^{n+1},

    <m', q'> = β ((1 - d) <m, q> - η b U),    U = C (1 - β) (2 - b)/((1 + β) b),

where C counts coordinates. On a sphere q' is scaled back, and <m', q'> with it. Means of products are taken to be
products of means. Beyond ``nld.theory.rotation``, which has the equilibrium, these are the steps that lead there.
"""

from collections.abc import Sequence

import numpy as np


def angles(
    learning_rates: Sequence[float] | np.ndarray,
    weight_decay: float,
    *,
    momentum: float,
    size: int,
    squared_norm: float,
    held: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Angle of every step in radians and the squared norm before it, in w², (steps,) each.

    Args:
        learning_rates: η of every step.
        weight_decay: k, decoupled.
        momentum: β.
        size: C, how many coordinates the matrix has.
        squared_norm: |q|² at the start.
        held: whether each step ends at the norm at which it began.
    """
    norm, charge = float(squared_norm), 0.0  # charge of the mean before its bias is corrected
    turned, norms = [], []
    for step, rate in enumerate(learning_rates):
        bias, kept = 1 - momentum ** (step + 1), 1 - rate * weight_decay
        squared_update = size * (1 - momentum) * (2 - bias) / ((1 + momentum) * bias)
        along = charge / bias
        after = kept**2 * norm - 2 * kept * rate * along + rate**2 * squared_update
        turned.append(np.arccos((kept * norm - rate * along) / np.sqrt(norm * after)))
        norms.append(norm)
        charge = momentum * (kept * charge - rate * bias * squared_update)
        if held:
            charge, after = charge * np.sqrt(norm / after), norm
        norm = after
    return np.array(turned), np.array(norms)
