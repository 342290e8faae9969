"""Adam on the full gradients of a quotient of quadratic forms: by how much its updates lengthen the weight.

No data set and no network: the gradients are smooth, as those of full batches are.
"""

import dataclasses

import numpy as np

from nld.learning_rules.rules import LearningRule, adam
from nld.results import arithmetic

SIZE, TIME = 20, 1.0  # coordinates; learning rate times steps


def growth_factor(learning_rate: float, *, shared: bool, momentum: float = 0.9, seed: int = 0) -> float:
    """Growth of |q|^2 over the sum of squared updates, under Adam without decay, from |q| = 1 w.

    On f = <q, A q>/|q|^2 with a random A. One if updates were orthogonal to the weight.

    Args:
        learning_rate: eta, in w; over TIME/eta steps.
        shared: whether all coordinates have one denominator, the root of their mean square.
        seed: of A and of the first direction.
    """
    random = np.random.default_rng(seed)
    form = random.normal(size=(SIZE, SIZE))
    form, start = form @ form.T / SIZE, random.normal(size=SIZE)
    q = arithmetic.moved(start / np.linalg.norm(start))
    rule = adam(learning_rate, momentum, 0.999, 0, 1e-12, decoupled=True)
    if shared:
        rule = dataclasses.replace(rule, update=_with_one_denominator)
    first, state, moved_by = q @ q, (), 0.0
    for _ in range(round(TIME / learning_rate)):
        after, state = rule.step(q, state, lambda at: _gradient(form, at))
        moved_by += (after - q) @ (after - q)
        q = after
    return float((q @ q - first) / moved_by)


def _gradient(form: np.ndarray, q: np.ndarray) -> np.ndarray:
    square, moved = q @ q, form @ q
    return 2 * (moved / square - q * (q @ moved) / square**2)


def _with_one_denominator(rule: LearningRule, q, state, gradient):
    steps, buffer, square = state or (0, 0.0, 0.0)
    force, steps = gradient(q), steps + 1
    buffer = rule.momentum * buffer + (1 - rule.momentum) * force
    square = rule.square_decay * square + (1 - rule.square_decay) * np.mean(force**2)
    scale = np.sqrt(square / (1 - rule.square_decay**steps)) + rule.epsilon
    return q - rule.learning_rate * buffer / (1 - rule.momentum**steps) / scale, (steps, buffer, square)
