"""Two linear layers at the edge of stability: how they oscillate across the valley, and what that does to their charge.

Inputs of very different variances make the loss slow in some directions and sharp in others. As the slow ones are
learned, weights grow and the valley of the sharp ones narrows, until steps no longer fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from nld.experiment.studies.linear_chain import LinearChain

WIDTHS = (6, 4, 1)
SLOW = (2e-3, 5e-4)  # variances of the other inputs; the first one has 1
STRENGTH = 6.0  # norm of the target
SHARE = 0.2  # of it that the first input has
START = 0.4  # deviation of the starting weights, times the root of a layer's inputs
JITTER = 1e-5  # of the target from step to step, in w²: without it an oscillation dies out before the edge is there
CURVED = 1e-3  # differences of the gradient, in w


@dataclass(frozen=True, eq=False)
class OscillatingChain:
    """Chains with targets and starts of their own, one a seed, side by side; shapes (runs, ...).

    Args:
        chain: of linear layers.
        start: shape (runs, weights).
        rate: learning rate of each run, shape (runs, 1).
        seeds: of the jitter, one a run.
    """

    chain: LinearChain
    start: np.ndarray
    rate: np.ndarray
    seeds: tuple[int, ...]

    def charge(self, q: np.ndarray) -> np.ndarray:
        """|W_2|^2 - |W_1|^2 of points, outgoing minus incoming, or <v, A v> of directions."""
        first, second = self.chain.layers(q)
        return (second**2).sum((-1, -2)) - (first**2).sum((-1, -2))

    def hessian(self, q: np.ndarray) -> np.ndarray:
        """Of the loss, by differences of the gradient, shape (runs, weights, weights)."""
        shifts = CURVED * np.eye(q.shape[-1])[:, None]
        columns = (self.chain.gradient(q + shifts) - self.chain.gradient(q - shifts)) / (2 * CURVED)
        hessian = columns.swapaxes(0, 1)
        return (hessian + hessian.mT) / 2


def oscillating_chain(seeds: Sequence[int], fraction: float) -> OscillatingChain:
    """Random targets and small random starts.

    Args:
        seeds: one a run.
        fraction: the learning rate, over that at which descent could just stay at a balanced minimum.
    """
    inputs = WIDTHS[0]
    variances = np.concatenate([[1.0], np.geomspace(*SLOW, inputs - 1)])
    targets, starts = [], []
    for seed in seeds:
        slow = np.random.default_rng([seed, 1]).normal(size=inputs - 1)
        slow *= np.sqrt(1 - SHARE**2) / np.linalg.norm(slow)
        targets.append(STRENGTH * np.concatenate([[SHARE], slow])[None])
        starts.append(LinearChain(WIDTHS, targets[-1]).start(seed, START))
    chain = LinearChain(WIDTHS, np.stack(targets), np.diag(variances))
    rate = fraction * 2 / _balanced_sharpness(chain.target, variances)
    return OscillatingChain(chain, np.stack(starts), rate, tuple(seeds))


def _balanced_sharpness(targets: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Largest curvature at W_2 W_1 = m with |W_2|^2 = |m| and W_1 = W_2^T m/|m|, for one output, shape (runs, 1)."""
    size = np.linalg.norm(targets, axis=(1, 2), keepdims=True)
    root = np.sqrt(variances)
    inner = size * np.eye(len(variances)) + targets.mT @ targets / size
    return np.linalg.eigvalsh(2 * root[:, None] * inner * root)[:, -1:]


def oscillate(runs: OscillatingChain, steps: int, every: int) -> xr.Dataset:
    """Train, and measure every few steps at the centre of the oscillation, (q_{n-1} + 2 q_n + q_{n+1})/4.

    ``charge`` is that of the iterate; ``sharpness`` and ``direction_charge`` belong to the largest eigenvalue of the
    Hessian at the centre and its eigenvector v; ``gradient`` is that of the loss there and ``sharpness_gradient`` that
    of <v, H v>. ``squared_step``: <Delta, v>^2 of the step from the iterate.
    """
    chain, rate, path = runs.chain, runs.rate, [runs.start]
    size = (steps + 1, *chain.target.shape[1:])
    jitter = JITTER * np.stack([np.random.default_rng([seed, 2]).normal(size=size) for seed in runs.seeds], axis=1)
    for noise in jitter:
        batch = replace(chain, target=chain.target + noise)
        path.append(path[-1] - rate * batch.gradient(path[-1]))
    rows = []
    for n in range(1, steps + 1, every):
        before, now, after = path[n - 1 : n + 2]
        centre = (before + 2 * now + after) / 4
        values, vectors = np.linalg.eigh(runs.hessian(centre))
        v = vectors[..., -1]
        gradient = chain.gradient(centre)
        around = chain.gradient(centre + CURVED * v) + chain.gradient(centre - CURVED * v)
        rows.append((
            runs.charge(now), values[:, -1], runs.charge(v), ((after - now) * v).sum(-1) ** 2, gradient,
            (around - 2 * gradient) / CURVED**2,
        ))  # fmt: skip
    charge, sharpness, direction, squared, gradient, curved = (np.stack(column) for column in zip(*rows, strict=True))
    series, vectors = ("step", "run"), ("step", "run", "weight")
    return xr.Dataset(
        {
            "charge": (series, charge, {"units": "w²"}),
            "sharpness": (series, sharpness, {"units": "ℓ/w²"}),
            "direction_charge": (series, direction),
            "squared_step": (series, squared, {"units": "w²"}),
            "gradient": (vectors, gradient),
            "sharpness_gradient": (vectors, curved),
            "rate": ("run", rate[:, 0], {"units": "w²/ℓ"}),
        },
        coords={"step": np.arange(1, steps + 1, every)},
    )
