"""A page within a page: the damped charge and the norm of a filter, moved by sliders.

`show` returns the picture for the default values, drawn here from nld's own numbers; the classic script
`book/_static/explorable-charge.js` then redraws it when a slider moves. Without scripts the picture stays.
"""

import json
from dataclasses import dataclass

import numpy as np

from nld.learning_rules.rules import heavy_ball, iterate
from nld.theory.solutions import predict_squared_norm

STEPS, SIZE = 300, 8
FRAME = {"left": 34, "top": 10, "width": 276, "height": 180}
READOUT = (
    "After " + str(STEPS) + " steps the squared norm is {squared_norm} w²; the closure with χ says {corrected} w², "
    "the paper's Eq 16 {eq16} w²."
)
# name: symbol and meaning, unit, lowest, highest, step, default; a logarithmic slider moves the exponent.
SLIDERS = {
    "learning_rate": ("η", "learning rate", "w²/l", -3, -1, 0.05, -2, "log"),
    "momentum": ("β", "momentum", "", 0, 0.98, 0.01, 0.9, "linear"),
    "weight_decay": ("k", "weight decay", "l/w²", 0, 0.1, 0.002, 0.0, "linear"),
    "correlation": ("φ", "correlation of successive gradients", "", 0, 1, 0.01, 0.0, "linear"),
}


@dataclass(frozen=True)
class Explorable:
    """What a notebook displays as HTML."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def defaults() -> dict[str, float]:
    """Where the sliders stand when the page opens."""
    return {name: 10.0 ** row[6] if row[7] == "log" else float(row[6]) for name, row in SLIDERS.items()}


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


def show(seed: int = 0) -> Explorable:
    """The picture at the default values, its sliders, and the script that brings them to life."""
    values, draws = defaults(), noise(seed)
    found = compute(**values, noise=draws)
    top = 1.08 * max(found[name].max() for name in ("squared_norm", "eq16", "corrected"))
    last = {name: _short(found[name][-1]) for name in ("squared_norm", "corrected", "eq16")}
    data = json.dumps({"noise": draws.tolist(), "frame": FRAME, "readout": READOUT}, separators=(",", ":"))
    charge = {name: (found[name], 1.05) for name in ("charge", "charge_predicted")}
    norms = {name: (found[name], top) for name in ("squared_norm", "eq16", "corrected")}
    return Explorable(
        '<div class="nld-explorable nld-sliders" role="group" '
        'aria-label="Explorable: a damped charge and the norm of a filter">'
        f"<fieldset hidden><legend>Move the sliders</legend>{''.join(map(_slider, SLIDERS))}</fieldset>"
        '<div class="nld-plots">'
        + _plot("charge", "Charge of a rotation, over its first value", charge, "1.05", _key("charge"))
        + _plot("norm", "Squared norm r² of a filter, in w²", norms, _short(top), _key("norm"))
        + f'</div><output class="nld-readout" aria-live="polite">{READOUT.format(**last)}</output>'
        "<noscript><p>The sliders need JavaScript. The picture shows η = "
        f"{values['learning_rate']:g} w²/l, β = {values['momentum']:g}, k = {values['weight_decay']:g}, "
        f"φ = {values['correlation']:g}.</p></noscript>"
        f'<script type="application/json">{data}</script>'
        '</div><script src="../_static/explorable-charge.js"></script>'
    )


def _slider(name: str) -> str:
    symbol, meaning, unit, low, high, step, default, scale = SLIDERS[name]
    shown = f"{_short(defaults()[name])} {unit}".strip()
    return (
        f'<label><span>{symbol}, {meaning}</span><input type="range" name="{name}" min="{low}" max="{high}" '
        f'step="{step}" value="{default}" data-scale="{scale}" data-unit="{unit}" aria-valuetext="{shown}" '
        f'autocomplete="off"><span class="nld-value">{shown}</span></label>'
    )


def _key(plot: str) -> str:
    lines = {
        "charge": (("charge", "simulated"), ("charge_predicted", "e<sup>−μt/m</sup>")),
        "norm": (("squared_norm", "simulated"), ("eq16", "Eq 16"), ("corrected", "with χ")),
    }[plot]
    return "".join(
        '<span><svg viewBox="0 0 24 6" aria-hidden="true">'
        f'<line class="nld-{name}" x1="0" y1="3" x2="24" y2="3"/></svg>'
        f"{text}</span>"
        for name, text in lines
    )


def _plot(name: str, title: str, curves: dict, top: str, key: str) -> str:
    left, above, width, height = FRAME["left"], FRAME["top"], FRAME["width"], FRAME["height"]
    lines = "".join(
        f'<polyline class="nld-{curve}" data-curve="{curve}" points="{_points(values, scale)}"/>'
        for curve, (values, scale) in curves.items()
    )
    return (
        f'<figure><figcaption>{title}<span class="nld-key">{key}</span></figcaption>'
        f'<svg viewBox="0 0 320 222" role="img" aria-label="{title} over {STEPS} steps">'
        f'<path class="nld-axis" d="M{left},{above}V{above + height}H{left + width}"/>{lines}'
        f'<text x="{left - 4}" y="{above + height}" text-anchor="end">0</text>'
        f'<text x="{left - 4}" y="{above + 8}" text-anchor="end" data-top="{name}">{top}</text>'
        f'<text x="{left}" y="{above + height + 16}" text-anchor="middle">0</text>'
        f'<text x="{left + width / 2}" y="{above + height + 16}" text-anchor="middle">step n</text>'
        f'<text x="{left + width}" y="{above + height + 16}" text-anchor="end">{STEPS}</text></svg></figure>'
    )


def _points(values: np.ndarray, top: float) -> str:
    x = FRAME["left"] + FRAME["width"] * np.arange(len(values)) / (len(values) - 1)
    y = FRAME["top"] + FRAME["height"] * (1 - np.clip(values / top, -0.05, 1.05))
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _short(value: float) -> str:
    return f"{float(f'{value:.3g}'):g}"
