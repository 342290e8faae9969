"""A matrix behind a learnable multiplier learns a map of any size from noisy examples: who carries the size?"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nld.learning_rules.rules import adam

SIZE, BATCH = 16, 8  # inputs and outputs, and examples of a step
RATE, DECAY, MOMENTUM, SQUARE_DECAY = 0.01, 0.25, 0.9, 0.99
NOISE = 4.0  # standard deviation of the outputs around the map


def learn(wanted: Sequence[float], seeds: Sequence[int], *, multiplied: bool, steps: int = 4000) -> xr.Dataset:
    """Learn y = a T x + noise by the outputs s W x, with AdamW for W and Adam for s, or s = 1 throughout.

    Args:
        wanted: sizes a of the map; T is a random rotation.
        multiplied: whether s learns.

    Returns:
        norm |W| and multiplier |s|, the root of the mean square and the mean over the last half of the steps, and error
        |s W - a T|/a, the root of its mean square there; each (seed, wanted).
    """
    size = np.array(wanted)
    shape = len(seeds), len(wanted)
    random = [np.random.default_rng([seed, 8]) for seed in seeds]
    turned = np.stack([np.linalg.qr(each.normal(size=(SIZE, SIZE)))[0] for each in random])[:, None]
    weights = np.stack([each.uniform(-1, 1, (SIZE, SIZE)) for each in random])[:, None].repeat(len(wanted), 1)
    weights, multiplier = weights / SIZE**0.5, np.ones((*shape, 1))
    matrix_rule = adam(RATE, MOMENTUM, SQUARE_DECAY, DECAY, 1e-12, decoupled=True)
    multiplier_rule = adam(RATE, MOMENTUM, SQUARE_DECAY, epsilon=1e-12)
    matrix_state: tuple = ()
    multiplier_state: tuple = ()
    sums = np.zeros((3, *shape))
    for step in range(steps):
        x = np.stack([each.normal(size=(SIZE, BATCH)) for each in random])[:, None]
        noise = NOISE * np.stack([each.normal(size=(SIZE, BATCH)) for each in random])[:, None]
        wrong = multiplier[..., None] * weights - size[:, None, None] * turned
        seen = (wrong @ x - noise) @ x.swapaxes(-1, -2) / BATCH  # gradient of half the squared error by the product
        along = (seen * weights).sum((-2, -1))[..., None]
        rows, slope = weights.reshape(*shape, -1), (multiplier[..., None] * seen).reshape(*shape, -1)
        moved, matrix_state = matrix_rule.step(rows, matrix_state, lambda _, slope=slope: slope)
        if multiplied:
            multiplier, multiplier_state = multiplier_rule.step(
                multiplier, multiplier_state, lambda _, along=along: along
            )
        weights = moved.reshape(weights.shape)
        if step >= steps // 2:
            error = ((multiplier[..., None] * weights - size[:, None, None] * turned) ** 2).sum((-2, -1)) / size**2
            sums += (weights**2).sum((-2, -1)), np.abs(multiplier[..., 0]), error
    norm, mean, error = sums / (steps - steps // 2)
    dims = ("judging_seed", "wanted")
    return xr.Dataset({"norm": (dims, norm**0.5), "multiplier": (dims, mean), "error": (dims, error**0.5)})
