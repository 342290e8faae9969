"""What a layer normalization does to single numbers: pairs (input, output) pooled over tokens, and curves through them.

Outputs are taken before the layer's own weight and bias.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from nld.errors import InvalidInput
from nld.experiment.datasets import data
from nld.experiment.studies import norm_free

SLOPES = np.geomspace(0.01, 100, 81)  # tried first, in units of one over the deviation of the inputs
CURVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "inverse root": lambda z: z / np.sqrt(1 + z**2),
}


@dataclass(frozen=True)
class Fit:
    """y = amplitude · curve(slope · x) + offset by least squares; ``explained`` is R², the share of the variance."""

    amplitude: float
    slope: float
    offset: float
    explained: float


def normalized(tokens: np.ndarray) -> np.ndarray:
    """Layer normalization of (tokens, dimension) with epsilon 0."""
    return (tokens - tokens.mean(-1, keepdims=True)) / tokens.std(-1, keepdims=True)


@torch.no_grad()
def pairs(model: nn.Module, images: int = 64) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What each norm of a model reads and what it makes of it, two arrays (tokens, dimension) by the norm's name.

    In float64, on so many test images of the digits; the model is left as it is.
    """
    source, model = data.digits(), copy.deepcopy(model).double()
    seen: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def listen(name: str):
        def hook(norm, inputs, output):
            bare = (output - norm.bias) / norm.weight
            seen[name] = tuple(t.flatten(0, -2).numpy() for t in (inputs[0], bare))

        return hook

    handles = [norm.register_forward_hook(listen(name)) for name, norm in norm_free.norms(model).items()]
    try:
        model(source.normalized(source.test_images[:images], torch.float64))
    finally:
        for handle in handles:
            handle.remove()
    return seen


def bends(x: np.ndarray, y: np.ndarray) -> float:
    """Largest share of a token's variance of outputs that no straight line through its own inputs explains."""
    x, y = (v - v.mean(-1, keepdims=True) for v in (x, y))
    rest = y - x * ((x * y).sum(-1) / (x * x).sum(-1))[:, None]
    return float(((rest**2).sum(-1) / (y**2).sum(-1)).max())


def outlier_tokens(count: int = 2000, dimension: int = 64, *, size: float = 20.0, seed: int = 0) -> np.ndarray:
    """Standard normal tokens, two coordinates of which are ``size`` times larger, by a log-normal factor a token."""
    draw = np.random.default_rng(seed)
    tokens = draw.normal(size=(count, dimension))
    tokens[:, :2] *= size * draw.lognormal(size=(count, 1))
    return tokens


def line(x: np.ndarray, y: np.ndarray) -> Fit:
    """The best straight line through pairs of any shape."""
    return _linear(x.ravel(), y.ravel(), 1.0)


def middle(x: np.ndarray, y: np.ndarray) -> Fit:
    """The best straight line through the 68 % of the pairs whose inputs are nearest to the median input."""
    distance = np.abs(x - np.median(x))
    inside = distance <= np.quantile(distance, 0.68)
    return line(x[inside], y[inside])


def extremes(x: np.ndarray, y: np.ndarray, share: float = 0.01) -> float:
    """Mean output of the inputs farthest from the median, this share of them, over what the line of the middle gives.

    1 for a straight line; less where extreme inputs are squashed, as by an S.
    """
    straight, centre = middle(x, y), np.median(x)
    distance = np.abs(x - centre)
    far = distance >= np.quantile(distance, 1 - share)
    zero = straight.amplitude * centre + straight.offset
    return float((np.sign(x[far] - centre) * (y[far] - zero)).mean() / (straight.amplitude * distance[far]).mean())


def fit(x: np.ndarray, y: np.ndarray, curve: str = "tanh") -> Fit:
    """The best curve of ``CURVES`` through pairs of any shape: a grid of slopes, then refined twice around its best.

    Raises:
        ValueError: no such curve.
    """
    if curve not in CURVES:
        raise InvalidInput(f"expected a curve among {', '.join(CURVES)}, got {curve!r}")
    x, y = x.ravel(), y.ravel()
    slopes, ratio = SLOPES / x.std(), SLOPES[1] / SLOPES[0]
    result = Fit(0.0, 0.0, 0.0, -np.inf)
    for _ in range(3):
        for slope in slopes:
            result = max(result, _linear(CURVES[curve](slope * x), y, slope), key=lambda each: each.explained)
        slopes, ratio = result.slope * np.geomspace(1 / ratio, ratio, 11), ratio**0.2
    return result


def _linear(feature: np.ndarray, y: np.ndarray, slope: float) -> Fit:
    """The line of y over a feature, which is a curve at ``slope`` times the inputs."""
    centred = feature - feature.mean()
    amplitude = centred @ (y - y.mean()) / (centred @ centred)
    explained = amplitude**2 * feature.var() / y.var()
    return Fit(float(amplitude), float(slope), float(y.mean() - amplitude * feature.mean()), float(explained))
