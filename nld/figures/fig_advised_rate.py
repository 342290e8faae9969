"""An advice of the monitor, followed: raise the learning rate where a short run has hardly turned its weights.

Two language models and a convolutional network, from rates that scripts come with to where the report is silent.
"""

import numpy as np
import xarray as xr

from nld.figures._data.advised_evidence import CLAIMS, evidence
from nld.figures._data.advised_prose import gain, gain_again, numbers
from nld.figures._data.advised_runs import EFFECT, EVIDENCE, SCALES, SETTINGS, measure
from nld.figures._render.labels import label_panel, label_point
from nld.figures._render.style import BASELINE, new_mosaic
from nld.figures.evidence import judged
from nld.inference import Verdict, rule

__all__ = ["AT_ONCE", "CLAIMS", "EVIDENCE", "alt", "caption", "compute", "draw", "judge", "measure", "numbers"]

KEPT_SEEDS, AT_ONCE = 8, 1  # a seed takes more than a minute of a core
STYLE = {  # colour, marker, and label at the rate of the script
    "rotary, AdamW 1e-3": ("#0072B2", "o", "rotary"),
    "rotary, AdamW 3e-4": ("#56B4E9", "s", ""),
    "GPT-2, AdamW 3e-4": ("#D55E00", "^", "GPT-2"),
    "digits, AdamW 1e-3": ("#E69F00", "D", "AdamW"),
    "digits, SGD 3e-3": ("#009E73", "v", "SGD"),
}
SHIFT = {"rotary": (26, 1), "AdamW": (0, 11)}  # of labels that would lie on lines
UNITS = {"language": "w", "digits": "w or w²/ℓ"}  # of learning rates
TITLES = {"language": "language models", "digits": "digits"}


def compute(profile: str, *, seed: int = 0) -> xr.Dataset:
    """Losses, rates and turns of all runs of the judging seeds; one size for both profiles.

    Args:
        seed: judging seeds begin at 10,000 + seed.
    """
    return judged(EVIDENCE, measure, seed=seed, live=1)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Each claim at each scale by the numbers that it states."""
    return rule(evidence(data))


def draw(data: xr.Dataset):
    """Loss against the learning rate with arrows from script to advice, at each scale; and what each change brought."""
    figure, axes = new_mosaic([["language", "digits"], ["gains", "gains"]], (6.4, 6.0), height_ratios=[1.2, 1])
    for letter, scale in zip("ab", SCALES, strict=True):
        for name, setting in SETTINGS.items():
            if setting.network in SCALES[scale]:
                _draw_setting(data.sel(setting=name), axes[scale], name)
        axes[scale].set(xscale="log", xlabel=f"largest learning rate [{UNITS[scale]}]", ylabel="test loss [ℓ]")
        axes[scale].set_title(f"({letter}) {TITLES[scale]}")
    axes["digits"].set_ylim(0, None)
    _draw_gains(data, axes["gains"])
    return figure


def _draw_setting(data: xr.Dataset, axes, name: str) -> None:
    (color, marker, label), rate = STYLE[name], SETTINGS[name].rate
    loss = data["judged_loss"].values
    rates = rate * data["judged_factor"].values
    axes.plot(rates[:, :3].T, loss[:, :3].T, color=color, linewidth=0.5, alpha=0.5)
    axes.plot(rates[:, 2:].T, loss[:, 2:].T, color=color, linewidth=0.5, alpha=0.5, linestyle=":")
    axes.plot(rates[:, :3], loss[:, :3], marker, color=color, markersize=3.5)
    axes.plot(rates[:, 3], loss[:, 3], marker, color=color, markersize=3.5, fillstyle="none", linestyle="none")
    middle = [(np.exp(np.log(rates[:, k]).mean()), loss[:, k].mean()) for k in range(2)]
    axes.plot(*zip(*middle, strict=True), color=color, linewidth=1.6)
    axes.annotate("", xy=middle[1], xytext=middle[0], arrowprops={"arrowstyle": "-|>", "color": color, "shrinkB": 0})
    label_point(axes, label, middle[0], SHIFT.get(label, (8, 2)), color=color)


def _draw_gains(data: xr.Dataset, axes) -> None:
    names = list(SETTINGS)
    axes.axvspan(-EFFECT, EFFECT, color="#888888", alpha=0.2, linewidth=0)
    axes.axvline(0, **BASELINE)
    for row, name in enumerate(names):
        color, marker, _ = STYLE[name]
        first, again = gain(data, name), gain_again(data, name)
        spread = np.linspace(-0.12, 0.12, len(first)) if len(first) > 1 else np.zeros(1)
        axes.plot(first, row - 0.2 + spread, marker, color=color, markersize=4)
        axes.plot(again, row + 0.2 + spread, marker, color=color, markersize=4, fillstyle="none")
    axes.set_yticks(range(len(names)), names)
    axes.set(ylim=(len(names) - 0.4, -0.6), xlabel="fall of the test loss [ℓ]")
    axes.tick_params(axis="y", length=0)
    label_panel(axes, "filled: the advice, followed once", 0.98, 0.38, ha="right")
    label_panel(axes, "open: the same again, after silence", 0.98, 0.31, ha="right")
    axes.set_title("(c) what the change brings")


def caption(data: xr.Dataset) -> str:
    told = numbers(data)
    return (
        "Where a short run has hardly turned its weights, the report advises a larger learning rate. "
        f"{told['helps']}. **(a)** Test loss of two language models after {told['steps']} steps against the largest "
        "learning rate: one built as GPT-2, and one with rotary positions, from two rates. "
        f"Lines join the runs of one of {told['seeds']}, from the rate of a script along the report's advice to where "
        "it is silent, and dotted on to a control (open) that makes the first change once more. Arrows: the first "
        "advice, means. **(b)** The same for a convolutional network on digits. **(c)** What the advice brings, "
        "filled, and what the same change brings where the report is silent, open; grey, less than "
        f"{told['effect']} ℓ."
    )


def alt(data: xr.Dataset) -> str:
    told = numbers(data)
    rows = "; ".join(
        f"{name}: times {told[f'{place}-factor']}, from {told[f'{place}-before']} to {told[f'{place}-after']} ℓ, again "
        f"{told[f'{place}-again']} ℓ"
        for place, name in enumerate(SETTINGS, 1)
    )
    return (
        "Three panels. Top: test loss against learning rate on a logarithmic axis, language models left, digits right; "
        "arrows lead from scripts' rates down to advised ones, and open markers follow to their right. Bottom: a row "
        f"for each setting with filled dots of what the advice brings and open ones of the same change again. {rows}."
    )
