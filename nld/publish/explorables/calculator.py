"""A page within a page: what the theory says of a training run, in words, from the numbers that are typed for it.

`show` answers for `DEFAULT`; the classic script `book/_static/calculator.js` answers again whenever a number changes.
Without scripts the answers for `DEFAULT` stay. Sentences are here only, and in the page as data.
"""

import json
import math
from decimal import ROUND_HALF_UP, Context, Decimal

from IPython.display import HTML

from nld.learning_rules.decoupled import lion
from nld.learning_rules.rules import LearningRule, adam, heavy_ball
from nld.publish.rendering import render
from nld.theory.rotation import rotational_equilibrium

OPTIMIZERS = {"sgd": "SGD with momentum", "adamw": "AdamW", "lion": "Lion"}
INTERPOLATION = 0.9  # of Lion, its beta_1
FIELDS = {
    "learning_rate": "η, learning rate",
    "momentum": "β, momentum (AdamW's β₁, Lion's β₂)",
    "weight_decay": "k, weight decay",
    "steps": "steps of the run",
    "batch": "images in a batch",
}
DEFAULT = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.0005, "steps": 78200, "batch": 128}
FEW = 100  # steps; an average over fewer follows the noise
MEMORIES = 3  # after which a twentieth of the start is left

SENTENCES = {
    "forgotten": {"sgd": "r⁴", "adamw": "r²", "lion": "r²"},
    "memory": "A norm forgets within {memory} steps, which are {images} images.",
    "no memory": "A norm never forgets: what the first gradients did to it stays.",
    "zero": "Off: k is 0, and the norms only grow.",
    "off": "Off, as far as norms go: the run ends before they have forgotten where they started.",
    "on": "On: gradients make norms grow, decay makes them shrink, and the run is long enough for both.",
    "noisy": "On, and strong: norms average over fewer than {few} steps, so that the effective learning rate follows "
    "the noise of the gradients.",
    "reached": "Yes, after about {settled} steps. Of what {forgotten} was at the start, {left} is left at the end.",
    "missed": "No: that takes about {settled} steps. Of what {forgotten} was at the start, {left} is left at the end.",
    "none": "No: without weight decay there is none.",
    "angle": "Each filter turns by {degrees}° in a step ({angle} rad), whatever its gradients are.",
    "norm": {
        "sgd": "The squared norm is {norm} w²/ℓ times ‖ĝ‖, the length of the gradient at norm one.",
        "adamw": "The root mean square of a filter's weights is {root}, whatever their number.",
        "lion": "The root mean square of a filter's weights is {root}, whatever their number.",
    },
    "invalid": "Expected η > 0, β from 0 to below 1, k ≥ 0 with η·k below 1, and at least one step and one image.",
}
QUESTIONS = {
    "memory": "Memory",
    "decay": "Is weight decay on?",
    "equilibrium": "Will the run reach equilibrium?",
    "angle": "Angle in equilibrium",
    "norm": "Norm in equilibrium",
}


def numbers(
    optimizer: str, learning_rate: float, momentum: float, weight_decay: float, steps: float, batch: float
) -> dict[str, float]:
    """What the theory says of normalized filters with white gradients; only if ``weight_decay`` > 0.

    Returns:
        memory: steps in which SGD's r⁴, or AdamW's and Lion's r², loses all but 1/e of what it was, (1 - β)/(4ηk) and
        1/(2ηk); images in that time; left: share of it after all steps; settled: steps until equilibrium; angle, in
        radians, and degrees; norm: equilibrium r², of SGD over ‖ĝ‖, of the others over the number of weights; its root.
    """
    rule = _rule(optimizer, learning_rate, momentum, weight_decay)
    decayed = learning_rate * weight_decay
    memory = (1 - momentum) / (4 * decayed) if optimizer == "sgd" else 1 / (2 * decayed)
    settled = rotational_equilibrium(rule, squared_gradient=1.0, size=1)
    return {
        "memory": memory,
        "images": memory * batch,
        "left": math.exp(-steps / memory),
        "settled": MEMORIES * memory,
        "angle": settled.angular_step,
        "degrees": math.degrees(settled.angular_step),
        "norm": settled.squared_norm,
        "root": math.sqrt(settled.squared_norm),
    }


def _rule(optimizer: str, learning_rate: float, momentum: float, weight_decay: float) -> LearningRule:
    if optimizer == "sgd":
        return heavy_ball(learning_rate, momentum, weight_decay)
    if optimizer == "adamw":
        return adam(learning_rate, momentum, weight_decay=weight_decay, decoupled=True)
    return lion(learning_rate, INTERPOLATION, momentum, weight_decay)


def answers(optimizer: str, **typed: float) -> dict[str, str]:
    """The answer to each of QUESTIONS; arguments as of ``numbers``, with ``weight_decay`` 0 admitted."""
    if typed["weight_decay"] == 0:
        words = {"memory": SENTENCES["no memory"], "decay": SENTENCES["zero"], "equilibrium": SENTENCES["none"]}
        return words | {"angle": "–", "norm": "–"}
    found = numbers(optimizer, **typed)
    decay = "off" if typed["steps"] <= found["memory"] else "noisy" if found["memory"] < FEW else "on"
    chosen = {
        "memory": SENTENCES["memory"],
        "decay": SENTENCES[decay],
        "equilibrium": SENTENCES["reached" if typed["steps"] >= found["settled"] else "missed"],
        "angle": SENTENCES["angle"],
        "norm": SENTENCES["norm"][optimizer],
    }
    said = {name: in_words(value) for name, value in found.items()} | {
        "forgotten": SENTENCES["forgotten"][optimizer],
        "left": share(found["left"]),
        "few": str(FEW),
    }
    return {name: sentence.format(**said) for name, sentence in chosen.items()}


def in_words(value: float) -> str:
    """A number with three digits, half rounded up as in the page; from a thousand on in groups of three."""
    rounded = float(Context(prec=3, rounding=ROUND_HALF_UP).create_decimal(Decimal(value)))
    return f"{rounded:,.0f}" if rounded >= 1000 else f"{rounded:g}"


def share(value: float) -> str:
    """A share in percent; what is less than a thousandth is called that."""
    return "less than 0.1\u00a0%" if value < 1e-3 else f"{in_words(100 * value)}\u00a0%"


def show() -> HTML:
    """The fields, the answers for `DEFAULT`, and the script that answers for other numbers."""
    data = {"sentences": SENTENCES, "few": FEW, "memories": MEMORIES, "interpolation": INTERPOLATION}
    return HTML(
        render(
            "calculator.html",
            optimizers=OPTIMIZERS,
            fields={name: (label, f"{DEFAULT[name]:g}") for name, label in FIELDS.items()},
            questions=QUESTIONS,
            answers=answers("sgd", **DEFAULT),
            data=json.dumps(data, separators=(",", ":"), ensure_ascii=False),
        )
    )
