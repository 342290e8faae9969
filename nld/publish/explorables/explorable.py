"""A page within a page: the damped charge and the norm of a filter, moved by sliders.

`show` returns the picture for the default values, drawn here from nld's own numbers; the classic script
`book/_static/explorable-charge.js` then redraws it when a slider moves. Without scripts the picture stays.
"""

import json
from typing import NamedTuple

import numpy as np
from IPython.display import HTML

from nld.learning_rules.rules import heavy_ball, iterate
from nld.publish.rendering import render
from nld.theory.solutions import predict_squared_norm

STEPS, SIZE = 300, 8
FRAME = {"left": 34, "top": 10, "width": 276, "height": 180}
READOUT = (
    "After " + str(STEPS) + " steps the squared norm is {squared_norm} w²; the closure with χ says {corrected} w², "
    "T&K (16) {eq16} w²."
)
LABELS = {"charge": "simulated", "squared_norm": "simulated", "eq16": "T&K (16)", "corrected": "with χ"}


class Slider(NamedTuple):
    """One slider: a logarithmic one moves the exponent."""

    name: str
    symbol: str
    meaning: str
    unit: str
    low: float
    high: float
    step: float
    start: float
    scale: str

    @property
    def value(self) -> float:
        """Of the parameter, when the page opens."""
        return 10.0**self.start if self.scale == "log" else float(self.start)

    @property
    def shown(self) -> str:
        """The value with its unit."""
        return f"{short(self.value)} {self.unit}".strip()


SLIDERS = (
    Slider("learning_rate", "η", "learning rate", "w²/ℓ", -3, -1, 0.05, -2, "log"),
    Slider("momentum", "β", "momentum", "", 0, 0.98, 0.01, 0.9, "linear"),
    Slider("weight_decay", "k", "weight decay", "ℓ/w²", 0, 0.1, 0.002, 0.0, "linear"),
    Slider("correlation", "φ", "correlation of successive gradients", "", 0, 1, 0.01, 0.0, "linear"),
)


def defaults() -> dict[str, float]:
    """Where the sliders stand when the page opens."""
    return {slider.name: slider.value for slider in SLIDERS}


def noise(seed: int = 0) -> np.ndarray:
    """Normal numbers to three digits, (STEPS, SIZE): short in the page, the same for Python and the page."""
    return np.random.default_rng(seed).normal(size=(STEPS, SIZE)).round(3)


def compute(
    learning_rate: float, momentum: float, weight_decay: float, correlation: float, noise: np.ndarray
) -> dict[str, np.ndarray]:
    """The curves of the page, by the package's own rules and predictions.

    Returns:
        Each (steps + 1,): charge and charge_predicted of a rotation, over the first value; squared_norm, eq16 and
        corrected of a filter with |g^| = 1, in w².
    """
    rule, steps = heavy_ball(learning_rate, momentum, weight_decay), len(noise)
    start, buffer = np.array([1.2, 0.0]), np.array([0.0, -0.6])
    path = iterate(rule, lambda q: (q @ q - 1) * q, start, steps, state=(buffer,)).position
    buffers = np.vstack([buffer, -np.diff(path, axis=0) / learning_rate])
    before = np.vstack([start, path[:-1]])
    charge = before[:, 0] * buffers[:, 1] - before[:, 1] * buffers[:, 0]
    unit = np.ones(steps)
    chi = (1 + momentum * correlation) / (1 - momentum * correlation)
    return {
        "charge": charge / charge[0],
        "charge_predicted": np.exp(-rule.friction / rule.mass * learning_rate * np.arange(steps + 1)),
        "squared_norm": _squared_norm(rule, correlation, noise),
        "eq16": predict_squared_norm(rule, unit, 1.0, "smooth", inertia=True).value,
        "corrected": predict_squared_norm(rule, unit, 1.0, chi).value,
    }


def _squared_norm(rule, correlation: float, noise: np.ndarray) -> np.ndarray:
    """|q|² under gradients orthogonal to q, carried along with it, each correlated with the one before."""
    direction, fresh = np.eye(noise.shape[1])[1], iter(noise)

    def gradient(q):
        nonlocal direction
        before = _without(direction, q)
        direction = correlation * before + np.sqrt(1 - correlation**2) * _without(next(fresh), q, before)
        return direction / np.sqrt(q @ q)

    return (iterate(rule, gradient, np.eye(noise.shape[1])[0], len(noise)).position ** 2).sum(-1)


def _without(v: np.ndarray, *directions: np.ndarray) -> np.ndarray:
    for d in directions:
        v = v - (v @ d) / (d @ d) * d
    return v / np.sqrt(v @ v)


def show() -> HTML:
    """The picture at the default values, its sliders, and the script that brings them to life."""
    draws = noise()
    curves = compute(**defaults(), noise=draws)
    norms = ("squared_norm", "eq16", "corrected")
    top = 1.08 * max(curves[name].max() for name in norms)
    last = {name: short(curves[name][-1]) for name in norms}

    def plot(name: str, title: str, shown: tuple[str, ...], top: float) -> dict:
        drawn = [{"name": c, "label": LABELS.get(c, ""), "points": _points(curves[c], top)} for c in shown]
        return {"name": name, "title": title, "top": short(top), "curves": drawn}

    plots = [
        plot("charge", "Charge of a rotation, over its first value", ("charge", "charge_predicted"), 1.05),
        plot("norm", "Squared norm r² of a filter, in w²", norms, top),
    ]
    data = json.dumps({"noise": draws.tolist(), "frame": FRAME, "readout": READOUT}, separators=(",", ":"))
    return HTML(
        render(
            "explorable.html",
            sliders=SLIDERS,
            defaults=defaults(),
            plots=plots,
            frame=FRAME,
            steps=STEPS,
            readout=READOUT.format(**last),
            data=data,
        )
    )


def _points(values: np.ndarray, top: float) -> str:
    x = FRAME["left"] + FRAME["width"] * np.arange(len(values)) / (len(values) - 1)
    y = FRAME["top"] + FRAME["height"] * (1 - np.clip(values / top, -0.05, 1.05))
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def short(value: float) -> str:
    """A number with three digits."""
    return f"{float(f'{value:.3g}'):g}"


def power_of_ten(exponent: int) -> str:
    """10 to an integer, as text: 10⁻⁸."""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
