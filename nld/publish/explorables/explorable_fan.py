"""A page within a page: a filter on a loss that is constant along rays, and one step from it in three geometries.

`show` draws the filter where it stands first, by the package's own rules; the classic script
`book/_static/explorable-fan.js` follows the reader, who pulls it out along its ray, turns it, and takes steps. Before
anything moves, the reader says how much less the filter will turn. Without scripts the first picture stays.
"""

import json
import math

import numpy as np
from IPython.display import HTML

from nld.learning_rules.potentials import Potential, burg, euclidean, quadratic_form
from nld.learning_rules.rules import natural_gradient
from nld.publish.explorables.explorable import Slider, short
from nld.publish.rendering import render

STRETCH = 3.0  # M = diag(1, STRETCH) of the ellipse
METRICS: dict[str, tuple[str, Potential]] = {
    "round": ("round: ‖q̇‖²", euclidean),
    "ellipse": (f"ellipse: q̇₁² + {STRETCH:g} q̇₂²", quadratic_form(np.diag([1.0, STRETCH]))),
    "burg": ("Burg: (q̇₁/q₁)² + (q̇₂/q₂)²", burg),
}
KEPT = {"round": "‖q‖²", "ellipse": f"q₁² + {STRETCH:g} q₂²", "burg": "q₁q₂"}
SLIDERS = (
    Slider("norm", "r", "norm of the filter", "w", 0.5, 3, 0.01, 1, "linear"),
    Slider("angle", "φ", "its angle", "°", 5, 85, 0.5, 60, "linear"),
    Slider("learning_rate", "η", "learning rate", "w²/ℓ", 0.1, 1, 0.05, 0.7, "linear"),
)
ESTIMATES = {"1": "as much as before", "2": "half as much", "4": "a quarter", "8": "an eighth"}
READOUT = (
    "At r = {norm} w the gradient is {gradient} ℓ/w long and the effective rate η/r² is {rate} 1/ℓ. The step turns the "
    "filter by {turn}° and changes {kept}, which gradient flow would keep, by {change} %."
)
ANSWER = (
    "You said: {said}. At twice the norm the step of this filter turns it by 1/{factor} of what it does now. {verdict}"
)
VERDICTS = {"near": "That is what you said.", "far": "Pull it out and watch the gradient."}
FRAME = {"left": 20, "top": 8, "size": 190, "span": 3.3}  # of the plane, span in w
SIDE = {"left": 36, "top": 8, "width": 170, "height": 190, "low": -2, "high": 2}  # of the curves, decades of degrees


def gradient(q: np.ndarray) -> np.ndarray:
    """Of the loss 1 - q₁/‖q‖, which is constant along rays and has its valley along the first axis."""
    return q[1] * np.array([-q[1], q[0]]) / (q @ q) ** 1.5


def compute(metric: str, norm: float, angle: float, learning_rate: float) -> dict[str, float]:
    """One step of the natural gradient of ``metric`` from q = (r cos φ, r sin φ); the angle in degrees.

    Returns:
        gradient: |∇f|, in ℓ/w; x, y: where the step ends, in w; turn: of the step, in degrees; change: of what the flow
        keeps, relative; rate: η/r², in 1/ℓ.
    """
    q = norm * np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    end, _ = natural_gradient(learning_rate, METRICS[metric][1]).step(q, (), gradient)
    turn = math.radians(angle) - math.atan2(end[1], end[0])
    return {
        "gradient": float(np.sqrt((gradient(q) ** 2).sum())),
        "x": float(end[0]),
        "y": float(end[1]),
        "turn": math.degrees(turn),
        "change": float(kept(metric, end) / kept(metric, q) - 1),
        "rate": learning_rate / norm**2,
    }


def kept(metric: str, q: np.ndarray) -> float:
    """What gradient flow in this geometry conserves on a loss that is constant along rays."""
    if metric == "burg":
        return q[0] * q[1]
    return q[0] ** 2 + (STRETCH if metric == "ellipse" else 1) * q[1] ** 2


def contour(metric: str, norm: float, angle: float) -> np.ndarray:
    """Points of the picture on the curve through q on which ``kept`` is constant, from 3° to 87°: (points, 2)."""
    polar = np.radians(np.arange(3, 88, 2))
    directions = np.stack([np.cos(polar), np.sin(polar)], -1)
    q = norm * np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    radii = np.array([math.sqrt(kept(metric, q) / kept(metric, direction)) for direction in directions])
    return (directions * radii[:, None])[radii <= FRAME["span"]]


def show() -> HTML:
    """The filter where it stands first, the controls, and the script that follows the reader."""
    first = {slider.name: slider.value for slider in SLIDERS}
    found = compute("round", **first)
    angle = math.radians(first["angle"])
    q = np.array([first["norm"] * math.cos(angle), first["norm"] * math.sin(angle)])
    norms = np.arange(0.5, 3.01, 0.05)
    curves = {
        name: " ".join(
            _beside(r, compute(name, r, first["angle"], first["learning_rate"])["turn"]) for r in norms.tolist()
        )
        for name in METRICS
    }
    words = {name: short(found[name]) for name in ("gradient", "rate", "turn")}
    readout = READOUT.format(
        norm=short(first["norm"]), kept=KEPT["round"], change=f"{100 * found['change']:+.3g}", **words
    )
    data = {
        "stretch": STRETCH,
        "kept": KEPT,
        "frame": FRAME,
        "side": SIDE,
        "readout": READOUT,
        "answer": ANSWER,
        "verdicts": VERDICTS,
        "estimates": ESTIMATES,
    }
    return HTML(
        render(
            "explorable_fan.html",
            sliders=SLIDERS,
            metrics={name: label for name, (label, _) in METRICS.items()},
            estimates=ESTIMATES,
            wedges=[(f"{0.06 + 0.035 * n:.3f}", _wedge(9 * n, 9 * n + 9)) for n in range(10)],
            ray=_place(FRAME["span"] * q / first["norm"]),
            origin=_place(np.zeros(2)),
            here=_place(q),
            end=_place(np.array([found["x"], found["y"]])),
            pull=_place(q - gradient(q)),
            contour=" ".join(",".join(_place(point)) for point in contour("round", first["norm"], first["angle"])),
            curves=curves,
            dot=_beside(first["norm"], found["turn"]).split(","),
            frame=FRAME,
            side=SIDE,
            ticks=[(f"{10.0**e:g}", _height(10.0**e)) for e in range(SIDE["low"], SIDE["high"] + 1)],
            readout=readout,
            data=json.dumps(data, separators=(",", ":"), ensure_ascii=False),
        )
    )


def _place(point: np.ndarray) -> tuple[str, str]:
    scale = FRAME["size"] / FRAME["span"]
    return f"{FRAME['left'] + scale * point[0]:.1f}", f"{FRAME['top'] + FRAME['size'] - scale * point[1]:.1f}"


def _wedge(low: float, high: float) -> str:
    """A part of the fan between two angles, as the points of a polygon."""
    around = [np.array([math.cos(math.radians(a)), math.sin(math.radians(a))]) for a in (low, high)]
    corners = [np.zeros(2), *(FRAME["span"] * point for point in around)]
    return " ".join(",".join(_place(point)) for point in corners)


def _height(turn: float) -> float:
    share = (math.log10(turn) - SIDE["low"]) / (SIDE["high"] - SIDE["low"])
    return round(SIDE["top"] + SIDE["height"] * (1 - share), 1)


def _beside(norm: float, turn: float) -> str:
    """Where a norm and a turn stand in the right picture, both logarithmic."""
    x = SIDE["left"] + SIDE["width"] * math.log(norm / 0.5) / math.log(6)
    return f"{x:.1f},{_height(turn):.1f}"
