"""A page within a page: a network that trains in the browser, with predictions of its norms over what it measures.

`show` draws the default setting as PyTorch trained it and puts the digits into the page; the classic script
`book/_static/explorable-training.js` trains the same network, draw for draw, when a slider moves. Without scripts the
picture stays.
"""

import json
import math

import numpy as np
import xarray as xr
from IPython.display import HTML

from nld.experiment.datasets.data import digits
from nld.experiment.studies.page_training import BATCH, EPSILON, FILTERS, STEPS, train_two_layers
from nld.figures._render.text import power
from nld.learning_rules.rules import heavy_ball
from nld.publish.explorables.explorable import Slider, power_of_ten, short
from nld.publish.rendering import render
from nld.theory.discrete import predict_squared_norm_from_steps
from nld.theory.solutions import predict_squared_norm

SLIDERS = (
    Slider("learning_rate", "η", "learning rate", "w²/ℓ", -3, 0, 0.05, -1, "log"),
    Slider("momentum", "β", "momentum", "", 0, 0.98, 0.01, 0.9, "linear"),
    Slider("weight_decay", "k", "weight decay", "ℓ/w²", 0, 0.01, 0.0005, 0.0005, "linear"),
    Slider("filter_scale", "c", "length of the filters at the start, times the usual", "", -1, 1, 0.05, 0, "log"),
)
LABELS = {
    "measured": "measured, median over filters",
    "exact": "exact law, from the lengths of the steps",
    "white": "T&K (17) with χ = 1",
    "smooth": "T&K (17) as printed",
    "before": "the run before",
}
TITLES = {
    "loss": "Loss of the batches [ℓ]",
    "squared_norm": "Squared norm r² [w²]",
    "rate": "Effective rate η/r² [1/ℓ]",
}
READOUTS = {
    "free": "After {steps} steps the loss is {loss} ℓ and the squared norm {squared_norm} w². The exact law says "
    "{exact} w² and was never off by more than {apart} of a filter's squared norm; T&K (17) says "
    "{white} w² with χ = 1 and {smooth} w² as printed.",
    "held": "After {steps} steps the loss is {loss} ℓ. Every norm is what it was at first, in the median "
    "{squared_norm} w², and the effective rate stays at {rate} 1/ℓ.",
    "diverged": "After {steps} steps the loss or a norm is no longer a number: this run diverged.",
}
FRAME = {"left": 34, "top": 8, "width": 176, "height": 130}
LOSS, EVERY = 10, 5  # steps that a mean of the loss takes, and between points of the other curves
# Two of these characters hold three pixels of 17 levels; none of them means anything in HTML or JSON.
ALPHABET = "".join(c for c in map(chr, range(35, 127)) if c not in "<>&\\'`")[:71]


def defaults() -> dict[str, float]:
    """Where the sliders stand when the page opens."""
    return {slider.name: slider.value for slider in SLIDERS}


def predictions(
    record: xr.Dataset, learning_rate: float, momentum: float, weight_decay: float
) -> dict[str, np.ndarray]:
    """exact, white and smooth: r² of each filter, (steps + 1, filters), as the theory has it from what was measured."""
    rule = heavy_ball(learning_rate, momentum, weight_decay)
    norms = record["squared_norm"].values
    unit = norms * record["squared_gradient"].values
    return {
        "exact": predict_squared_norm_from_steps(rule, record["squared_step"].values, norms[0]).value,
        **{name: predict_squared_norm(rule, unit, norms[0], name).value for name in ("white", "smooth")},
    }


def show() -> HTML:
    """The default setting, trained by PyTorch, the controls, and the script that trains in the page."""
    chosen = defaults()
    rates = chosen["learning_rate"], chosen["momentum"], chosen["weight_decay"]
    record = train_two_layers(*rates, chosen["filter_scale"])
    measured = np.vstack([record["squared_norm"].values, record["last_squared_norm"].values])
    predicted = predictions(record, *rates)
    norms = {"measured": measured, **predicted}
    courses = {name: np.median(values, axis=1) for name, values in norms.items()}
    losses = record["loss"].values.reshape(-1, LOSS).mean(1)
    readout = READOUTS["free"].format(
        steps=STEPS,
        loss=short(losses[-1]),
        apart=power(np.abs(norms["exact"] / measured - 1).max()),
        squared_norm=short(courses["measured"][-1]),
        **{name: short(courses[name][-1]) for name in predicted},
    )
    every = np.arange(0, STEPS + 1, EVERY)
    shown = {name: course[every] for name, course in courses.items()}
    effective = {name: rates[0] / course for name, course in shown.items()}
    return HTML(
        render(
            "explorable_training.html",
            sliders=SLIDERS,
            labels=LABELS,
            plots=[
                _plot("loss", {"measured": losses}, np.arange(LOSS / 2, STEPS, LOSS), math.log(digits().classes)),
                _plot("squared_norm", shown, every),
                _plot("rate", effective, every),
            ],
            frame=FRAME,
            steps=STEPS,
            readout=readout,
            setting=", ".join(f"{slider.symbol} = {slider.shown}" for slider in SLIDERS),
            data=page_data(),
        )
    )


def page_data() -> str:
    """What the script needs, as JSON: digits, sizes of the network, sentences."""
    source = digits()
    return json.dumps(
        {
            "images": _encoded(source.train_images.numpy()),
            "labels": "".join(str(label) for label in source.train_labels.tolist()),
            "alphabet": ALPHABET,
            "mean": float(source.mean),
            "scale": float(source.scale),
            "pixels": math.prod(source.image),
            "filters": FILTERS,
            "classes": source.classes,
            "epsilon": EPSILON,
            "batch": BATCH,
            "steps": STEPS,
            "seeds": [0, 1],
            "frame": FRAME,
            "readouts": READOUTS,
        },
        separators=(",", ":"),
        ensure_ascii=False,
    )


def _encoded(images: np.ndarray) -> str:
    """Pixels, three in two characters: the number a + 17 b + 289 c in base 71."""
    pixels = images.ravel().astype(int)
    pixels = np.concatenate([pixels, np.zeros(-len(pixels) % 3, int)]).reshape(-1, 3)
    numbers = pixels @ [1, 17, 289]
    return "".join(ALPHABET[n // len(ALPHABET)] + ALPHABET[n % len(ALPHABET)] for n in numbers)


def _plot(name: str, curves: dict[str, np.ndarray], steps: np.ndarray, guessing: float | None = None) -> dict:
    values = np.concatenate([*curves.values(), [] if guessing is None else [guessing]])
    low = math.floor(math.log10(values.min()))
    high = max(math.ceil(math.log10(values.max())), low + 1)

    def height(value):
        return FRAME["top"] + FRAME["height"] * (1 - (np.log10(value) - low) / (high - low))

    x = FRAME["left"] + FRAME["width"] * steps / STEPS
    return {
        "name": name,
        "title": TITLES[name],
        "ticks": [{"text": _tick(e), "height": height(10.0**e)} for e in range(low, high + 1)],
        "guessing": None if guessing is None else height(guessing),
        "curves": {
            curve: " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, height(course), strict=True))
            for curve, course in curves.items()
        },
    }


def _tick(exponent: int) -> str:
    """A power of ten as an axis shows it."""
    return f"{10.0**exponent:g}" if -2 <= exponent <= 3 else power_of_ten(exponent)
