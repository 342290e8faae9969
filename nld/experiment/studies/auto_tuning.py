"""Gradient descent on a quotient of quadratic forms, which no learning rate makes diverge, and on a form alone.

f(q) = <q, A q>/|q|^2 is scale-invariant: the smallest model of a weight in front of a normalization. The coordinates
are those in which A is diagonal. There is no network, so this is no training loop: a rule acts on one array of points.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nld.learning_rules.rules import gradient_descent
from nld.results import arithmetic

POINTS = 60  # of the record, evenly spaced in the logarithm of the step


def eigenvalues(size: int = 20) -> np.ndarray:
    """From 1/size to 1 evenly, in ℓ: gradient descent on <q, A q> itself is stable below a learning rate of 1."""
    return np.arange(1, size + 1) / size


def start(size: int, seed: int) -> np.ndarray:
    """A point of the unit sphere, uniformly."""
    q = np.random.default_rng(seed).normal(size=size)
    return arithmetic.moved(q / np.linalg.norm(q))


def unit_gradient(q: np.ndarray, spectrum: np.ndarray) -> np.ndarray:
    """Gradient of <q, A q>/|q|^2 at q/|q|, in ℓ; shape (..., size)."""
    direction = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return _across(direction, 2 * spectrum * direction)


def descend(
    learning_rates,
    steps: int,
    *,
    noise: float = 0.0,
    weight_decay: float | np.ndarray = 0.0,
    seed: int | Sequence[int] = 0,
) -> xr.Dataset:
    """All learning rates side by side from one start, or each from its own.

    Args:
        learning_rates: in w^2/ℓ, shape (rates,).
        noise: root mean square length of what is added to the unit gradient at right angles to q, in ℓ: white, the
            same kind in every direction, the symmetry of every mini-batch loss kept.
        weight_decay: k, in ℓ/w^2, one for all or one a rate.
        seed: of the start and the noise; several, one a rate, give each its own start and all the first one's noise.

    Returns:
        Dataset over (rate, step), step being POINTS numbers of steps done: ``squared_norm`` in w^2, ``counted`` =
        |q_0|^2 + sum of |q_{n+1} - q_n|^2, ``unit_gradient``, the root mean square of its length without noise since
        the point before, in ℓ, ``smallest_gradient`` so far and ``largest_late_gradient`` of the second half of the
        run so far.
    """
    spectrum = eigenvalues()
    rates = np.asarray(learning_rates, float)
    rule = gradient_descent(rates[:, None], np.broadcast_to(weight_decay, rates.shape)[:, None])
    seeds = [seed] * len(rates) if isinstance(seed, int) else list(seed)
    rng = np.random.default_rng([seeds[0], 1])
    q, state = np.stack([start(len(spectrum), each) for each in seeds]), ()
    marks = np.unique(np.geomspace(1, steps, POINTS).round().astype(int))
    names = ("squared_norm", "counted", "unit_gradient", "smallest_gradient", "largest_late_gradient")
    rows = []
    counted, smallest, late = (q * q).sum(1), np.full(len(rates), np.inf), np.zeros(len(rates))
    square, last = np.zeros(len(rates)), 0
    for step in range(steps):
        norm = np.linalg.norm(q, axis=1, keepdims=True)
        clean = unit_gradient(q, spectrum)
        length = np.linalg.norm(clean, axis=1)
        sample = clean + noise * _tangential(rng, q / norm) if noise else clean
        before, (q, state) = q, rule.step(q, state, lambda _, g=sample / norm: g)
        counted = counted + ((q - before) ** 2).sum(1)
        smallest, square = np.minimum(smallest, length), square + length**2
        late = np.maximum(late, length) if 2 * step >= steps else late
        if step + 1 in marks:
            rows.append(((q * q).sum(1), counted, np.sqrt(square / (step + 1 - last)), smallest, late))
            square, last = np.zeros(len(rates)), step + 1
    return xr.Dataset(
        {name: (("rate", "step"), np.array(row).T) for name, row in zip(names, zip(*rows, strict=True), strict=True)},
        coords={"learning_rate": ("rate", rates), "step": marks},
    )


def squared_norms_on_the_form(learning_rates, steps: int, *, seed: int = 0) -> np.ndarray:
    """|q_n|^2 of gradient descent on <q, A q>, which is not scale-invariant, after ``steps`` steps: (rates,).

    Each coordinate is multiplied by 1 - 2 eta lambda in a step, infinity where that leaves the range of numbers.
    """
    spectrum = eigenvalues()
    factor = 1 - 2 * np.asarray(learning_rates, float)[:, None] * spectrum
    q = start(len(spectrum), seed)
    with np.errstate(over="ignore"):
        for _ in range(steps):
            q = q * factor
            if not np.isfinite(q).any():
                break
        return np.square(q).sum(-1)


def _tangential(rng: np.random.Generator, direction: np.ndarray) -> np.ndarray:
    """White noise at right angles to each direction, of mean square length 1; the same draw for all rows."""
    noise = np.broadcast_to(rng.normal(size=direction.shape[-1]), direction.shape)
    return _across(direction, noise) / np.sqrt(direction.shape[-1] - 1)


def _across(direction: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The part of a vector at right angles to a unit vector."""
    return vector - direction * (direction * vector).sum(-1, keepdims=True)
