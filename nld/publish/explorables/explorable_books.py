"""A page within a page: the books of a training with which somebody tampers half-way.

`show` keeps the books of the untouched training up to that step; the classic script `book/_static/explorable-books.js`
follows the reader, who chooses what is done to the training, steps through it, and may keep the books with another
momentum. Before anything moves, the reader says which of four sabotages the books will not notice. Every number that
the script adds up was measured by PyTorch. Without scripts the first state stays, with the four results in words.
"""

import json
from itertools import pairwise

import numpy as np
import xarray as xr
from IPython.display import HTML

from nld.experiment.studies.sabotaged import (
    CLIPPED_ENTRY,
    CLIPPED_NORM,
    LOWERED_MOMENTUM,
    RAISED_EPSILON,
    RATES,
    SABOTAGES,
    STEPS,
    TAMPERED,
    train_sabotaged,
)
from nld.figures._render.text import power
from nld.publish.explorables.explorable import Slider, power_of_ten
from nld.publish.rendering import render

WORDS = {
    "none": "nothing",
    "norm": f"the norm of the gradient is clipped at {CLIPPED_NORM:g} ℓ/w",
    "entries": f"each entry of the gradient is clipped at {CLIPPED_ENTRY:g} ℓ/w",
    "momentum": f"β is lowered to {LOWERED_MOMENTUM:g}",
    "epsilon": f"ε of the normalization is raised to {RAISED_EPSILON:g}",
}
SLIDERS = (
    Slider("step", "n", "step of the training", "", 0, STEPS - 1, 1, TAMPERED - 1, "linear"),
    Slider("momentum", "β", "momentum in the books", "", 0.7, 0.99, 0.01, RATES["momentum"], "linear"),
)
ENTRIES = {
    "dissipation": "friction",
    "kinetic": "kinetic",
    "decay": "decay",
    "residual": "residual",
    "together": "together",
}
THOUSANDTH = 1e3  # charges are written in 10⁻³ ℓ
BALANCED = 1e-12  # of ‖π‖‖q‖: more than rounding leaves of sums of 64 products, less than any sabotage
READOUT = (
    "Step {n}, in 10⁻³ ℓ: the charge goes from {before} to {charge}. Friction enters {dissipation}, kinetic symmetry "
    "breaking {kinetic}, weight decay {decay}. {residual} is left, which is {relative} of ‖π‖‖q‖. {verdict}"
)
VERDICTS = {
    "balanced": "The books balance.",
    "momentum": "The books do not balance, although the gradient is orthogonal to the filter: the momentum is not what "
    "they take it for.",
    "loss": "The books do not balance, and the gradient has a cosine of {violation} with the filter: something was "
    "done to the loss or to its gradient.",
}
ANSWERS = {
    "unnoticed": "You said: {said}. So it is. From step {tampered} on the largest residual is {worst} of ‖π‖‖q‖, which "
    "is rounding: clipping the norm multiplies the gradient by one number, and it stays orthogonal to the filter.",
    "noticed": "You said: {said}. But the books notice: from step {tampered} on the largest residual is {worst} of "
    "‖π‖‖q‖. Which of the others do they not notice?",
}
FRAME = {"left": 34, "top": 8, "width": 176, "height": 130}
BRIDGE = {"left": 62, "top": 10, "width": 108, "row": 26, "bar": 14, "right": 218}  # rows of an entry each
TITLES = {"charge": "Charge C [10⁻³ ℓ]", "relative": "Residual, relative to ‖π‖‖q‖"}
TICKS = {"charge": (-40, -20, 0), "relative": (-16, -12, -8, -4, 0)}  # in 10⁻³ ℓ; exponents
AXES = {"charge": (-50, 10), "relative": (-18, 0)}


def record() -> xr.Dataset:
    """The measured trainings, one a sabotage: (sabotage, step)."""
    names = list(SABOTAGES)
    return xr.concat([train_sabotaged(name) for name in names], xr.Variable("sabotage", names))


def books(run: xr.Dataset, momentum: float) -> dict[str, np.ndarray]:
    """The entries of every step of one training, kept by somebody who takes β for ``momentum``.

    With A(q) = q: C_{n+1} − C_n = (β − 1) C_n + β ⟨π_n, Δq_{n−1}⟩ + k ‖q_n‖² + residual.

    Returns:
        before, dissipation, kinetic, decay, residual, in ℓ, and relative, |residual| over ‖π_{n+1}‖ ‖q_n‖: (step).
    """
    charge = run["charge"].values
    before = np.concatenate([[0.0], charge[:-1]])
    dissipation = (momentum - 1) * before
    kinetic = momentum * run["momentum_along_step"].values
    decay = RATES["weight_decay"] * run["squared_norm"].values
    residual = charge - before - dissipation - kinetic - decay
    return {
        "before": before,
        "dissipation": dissipation,
        "kinetic": kinetic,
        "decay": decay,
        "residual": residual,
        "relative": abs(residual) / run["size"].values,
    }


def show() -> HTML:
    """The untouched training up to the step before anybody tampers, the controls, and the script."""
    measured, step = record(), TAMPERED - 1
    run = measured.sel(sabotage="none")
    kept = books(run, RATES["momentum"])
    zero, entries = _bridge(kept, step)
    data = {
        "runs": {name: _columns(measured.sel(sabotage=name)) for name in WORDS},
        "rates": RATES,
        "tampered": TAMPERED,
        "balanced": BALANCED,
        "axes": AXES,
        "frame": FRAME,
        "bridge": BRIDGE,
        "words": WORDS,
        "readout": READOUT,
        "verdicts": VERDICTS,
        "answers": ANSWERS,
    }
    return HTML(
        render(
            "explorable_books.html",
            words=WORDS,
            sabotages={name: text for name, text in WORDS.items() if name != "none"},
            sliders=SLIDERS,
            tampered=TAMPERED,
            last=STEPS - 1,
            step=step,
            frame=FRAME,
            bridge=BRIDGE,
            zero=zero,
            entries=entries,
            plots=[
                _plot("charge", {"measured": run["charge"].values, "kept": _predicted(kept)}, step),
                _plot("relative", {"relative": kept["relative"]}, step),
            ],
            between=f"{(_across(step) + _across(step + 1)) / 2:.1f}",
            readout=sentence(run, kept, step),
            left={name: power(worst(measured.sel(sabotage=name))) for name in WORDS if name != "none"},
            data=json.dumps(data, separators=(",", ":"), ensure_ascii=False),
        )
    )


def sentence(run: xr.Dataset, kept: dict[str, np.ndarray], step: int) -> str:
    """What the books say of one step, in words."""
    violation, relative = float(run["violation"][step]), float(kept["relative"][step])
    cause = "balanced" if relative < BALANCED else "momentum" if violation < BALANCED else "loss"
    charges = {"charge": run["charge"].values, **kept}
    return READOUT.format(
        n=step,
        relative=power(relative),
        verdict=VERDICTS[cause].format(violation=power(violation)),
        **{name: thousandths(float(values[step])) for name, values in charges.items() if name != "relative"},
    )


def worst(run: xr.Dataset) -> float:
    """Largest relative residual after somebody has tampered, in books that take β for what it was at first."""
    return float(books(run, RATES["momentum"])["relative"][TAMPERED:].max())


def thousandths(value: float) -> str:
    """A charge in 10⁻³ ℓ with two decimals."""
    return f"{THOUSANDTH * value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def _columns(run: xr.Dataset) -> dict[str, list[float]]:
    return {str(name): run[name].values.tolist() for name in run.data_vars}


def _predicted(kept: dict[str, np.ndarray]) -> np.ndarray:
    """The charge after each step as the first three entries have it."""
    return kept["before"] + kept["dissipation"] + kept["kinetic"] + kept["decay"]


def _bridge(kept: dict[str, np.ndarray], step: int) -> tuple[str, list[dict[str, str]]]:
    """Where zero is, and the entries as bars, each from where the one before ended: name, label, text, x and width."""
    moves = np.array([kept[name] for name in ENTRIES if name != "together"])
    ends = np.vstack([np.zeros(moves.shape[1]), moves.cumsum(0)])
    places = BRIDGE["left"] + BRIDGE["width"] * (ends[:, step] - ends.min()) / (ends.max() - ends.min())
    spans = [*pairwise(places), (places[0], places[-1])]
    amounts = [*moves[:, step], ends[-1, step]]
    return f"{places[0]:.1f}", [
        {
            "name": name,
            "label": label,
            "text": thousandths(float(amount)),
            "x": f"{min(span):.1f}",
            "width": f"{max(abs(span[1] - span[0]), 0.8):.1f}",
        }
        for (name, label), span, amount in zip(ENTRIES.items(), spans, amounts, strict=True)
    ]


def _across(step: float) -> float:
    return FRAME["left"] + FRAME["width"] * step / (STEPS - 1)


def _height(name: str, value: float) -> float:
    """Of a charge in 10⁻³ ℓ or an exponent in its picture; what is below the axis lies on it."""
    low, high = AXES[name]
    return FRAME["top"] + FRAME["height"] * (1 - max(0.0, (value - low) / (high - low)))


def _plot(name: str, curves: dict[str, np.ndarray], step: int) -> dict:
    """Curves up to a step, with a dot at its end."""

    def drawn(values: np.ndarray) -> str:
        heights = THOUSANDTH * values if name == "charge" else np.log10(np.maximum(values, 1e-300))
        return " ".join(f"{_across(n):.1f},{_height(name, float(h)):.1f}" for n, h in enumerate(heights[: step + 1]))

    points = {curve: drawn(values) for curve, values in curves.items()}
    return {
        "name": name,
        "title": TITLES[name],
        "ticks": [
            {"text": str(t).replace("-", "−") if name == "charge" else power_of_ten(t), "height": _height(name, t)}
            for t in TICKS[name]
        ],
        "guessing": None,
        "curves": points,
        "dot": next(iter(points.values())).split()[-1].split(","),
    }
